# HPKE, base mode, one message (RFC 9180): HKDF-SHA256 and ChaCha20-Poly1305 over the KEMs of kem.pxi.

cdef enum:
    HPKE_SUITE_SIZE = 10
    HPKE_NONCE_SIZE = 12


cdef void labeled_extract(
    uint8_t *out, const uint8_t *suite, size_t suite_size, const uint8_t *salt, size_t salt_size,
    const char *label, const uint8_t *ikm, size_t ikm_size
) noexcept nogil:
    cdef uint8_t state[HMAC_STATE_SIZE]
    cdef uint8_t none = 0
    hmac_init(state, salt if salt != NULL else &none, salt_size)
    hmac_update(state, <const uint8_t *> b"HPKE-v1", 7)
    hmac_update(state, suite, suite_size)
    hmac_update(state, <const uint8_t *> label, strlen(label))
    hmac_update(state, ikm if ikm != NULL else &none, ikm_size)
    hmac_final(state, out)
    sodium_memzero(state, HMAC_STATE_SIZE)


# At most one block of output, which is all that this suite needs.
cdef void labeled_expand(
    uint8_t *out, size_t out_size, const uint8_t *suite, size_t suite_size, const uint8_t *prk,
    const char *label, const uint8_t *info, size_t info_size
) noexcept nogil:
    cdef uint8_t state[HMAC_STATE_SIZE]
    cdef uint8_t block[MAC_SIZE]
    cdef uint8_t length[2]
    cdef uint8_t one = 1
    length[0], length[1] = 0, <uint8_t> out_size
    hmac_init(state, prk, MAC_SIZE)
    hmac_update(state, length, 2)
    hmac_update(state, <const uint8_t *> b"HPKE-v1", 7)
    hmac_update(state, suite, suite_size)
    hmac_update(state, <const uint8_t *> label, strlen(label))
    hmac_update(state, info, info_size)
    hmac_update(state, &one, 1)
    hmac_final(state, block)
    memcpy(out, block, out_size)
    sodium_memzero(state, HMAC_STATE_SIZE)
    sodium_memzero(block, MAC_SIZE)


# KeySchedule of RFC 9180, 5.1, mode 0; the nonce is that of the first and only message.
cdef void key_schedule(
    uint8_t *key, uint8_t *nonce, unsigned int kem_id, const uint8_t *shared, const uint8_t *info, size_t info_size
) noexcept nogil:
    cdef uint8_t suite[HPKE_SUITE_SIZE]
    cdef uint8_t context[1 + 2 * MAC_SIZE]
    cdef uint8_t secret[MAC_SIZE]
    memcpy(suite, <const uint8_t *> b"HPKE\0\0\0\x01\0\x03", HPKE_SUITE_SIZE)
    suite[4], suite[5] = <uint8_t> (kem_id >> 8), <uint8_t> kem_id
    context[0] = 0
    labeled_extract(context + 1, suite, HPKE_SUITE_SIZE, NULL, 0, b"psk_id_hash", NULL, 0)
    labeled_extract(context + 1 + MAC_SIZE, suite, HPKE_SUITE_SIZE, NULL, 0, b"info_hash", info, info_size)
    labeled_extract(secret, suite, HPKE_SUITE_SIZE, shared, SHARED_SIZE, b"secret", NULL, 0)
    labeled_expand(key, KEY_SIZE, suite, HPKE_SUITE_SIZE, secret, b"key", context, sizeof(context))
    labeled_expand(nonce, HPKE_NONCE_SIZE, suite, HPKE_SUITE_SIZE, secret, b"base_nonce", context, sizeof(context))
    sodium_memzero(secret, MAC_SIZE)


cdef int hpke_seal_one(
    const Kem *kem, const uint8_t *public, uint8_t *out, const uint8_t *info, size_t info_size,
    const uint8_t *plain, size_t size
) noexcept nogil:
    cdef uint8_t shared[SHARED_SIZE]
    cdef uint8_t key[KEY_SIZE]
    cdef uint8_t nonce[HPKE_NONCE_SIZE]
    cdef int failed = kem_encapsulate(kem, out, shared, public)
    if failed == 0:
        key_schedule(key, nonce, kem.id, shared, info, info_size)
        failed = chacha_encrypt(out + kem.enc_size, NULL, plain, size, NULL, 0, NULL, nonce, key)
        sodium_memzero(key, KEY_SIZE)
    sodium_memzero(shared, SHARED_SIZE)
    return failed


cdef int hpke_open_one(
    const Kem *kem, const uint8_t *secret, uint8_t *plain, const uint8_t *info, size_t info_size,
    const uint8_t *aad, size_t aad_size, const uint8_t *sealed, size_t size
) noexcept nogil:
    cdef uint8_t shared[SHARED_SIZE]
    cdef uint8_t key[KEY_SIZE]
    cdef uint8_t nonce[HPKE_NONCE_SIZE]
    cdef int failed = kem_decapsulate(kem, shared, sealed, secret)
    if failed == 0:
        key_schedule(key, nonce, kem.id, shared, info, info_size)
        failed = chacha_decrypt(
            plain, NULL, NULL, sealed + kem.enc_size, size - kem.enc_size, aad, aad_size, nonce, key)
        sodium_memzero(key, KEY_SIZE)
    sodium_memzero(shared, SHARED_SIZE)
    return failed


cdef struct HpkeJob:
    Py_buffer buffer[2]  # what is held: the input, then the info
    int held
    const Kem *kem  # NULL: nothing to do, the item is refused already
    const uint8_t *secret
    const uint8_t *public  # of the receiver; when rewrapping, of the new one
    const Kem *new_kem
    const uint8_t *new_info
    size_t new_info_size
    uint8_t *out
    int failed


cdef const uint8_t *job_data(const HpkeJob *job, int i) noexcept nogil:
    return <const uint8_t *> job.buffer[i].buf


cdef size_t job_size(const HpkeJob *job, int i) noexcept nogil:
    return <size_t> job.buffer[i].len


cdef int run_rewrap(HpkeJob *job) noexcept nogil:
    # The plaintext is between two HPKE messages here and nowhere else.
    cdef size_t size = job_size(job, 0) - job.kem.enc_size - AEAD_TAG_SIZE
    cdef uint8_t *plain = <uint8_t *> calloc(1, size + 1)
    cdef int failed = -1
    if plain != NULL:
        failed = hpke_open_one(
            job.kem, job.secret, plain, job_data(job, 1), job_size(job, 1), NULL, 0, job_data(job, 0), job_size(job, 0))
        if failed == 0:
            failed = hpke_seal_one(
                job.new_kem, job.public, job.out, job.new_info, job.new_info_size, plain, size)
        sodium_memzero(plain, size)
        free(plain)
    return failed


cdef int hold(HpkeJob *job, object source) except -1:
    PyObject_GetBuffer(own(source), &job.buffer[job.held], PyBUF_SIMPLE)
    job.held += 1
    return 0


cdef PublicKey encapsulating(object key):
    if not isinstance(key, PublicKey) or not isinstance((<PublicKey> key).scheme, KemScheme):
        raise TypeError("a PublicKey of a key encapsulation is needed")
    return <PublicKey> key


cdef bytes prepare_hpke_seal(HpkeJob *job, object key_object, object info, object plaintext):
    cdef PublicKey key = encapsulating(key_object)
    cdef bytes out
    hold(job, plaintext)
    hold(job, info)
    job.new_kem = &(<KemScheme> key.scheme).kem
    out = PyBytes_FromStringAndSize(NULL, job.new_kem.enc_size + job_size(job, 0) + AEAD_TAG_SIZE)
    job.public = key.pointers[0]
    job.out = <uint8_t *> PyBytes_AsString(out)
    job.kem = job.new_kem
    return out


# Holds sealed message and info, and gives the size of the plaintext; start_receiver follows once there is room for it.
cdef Py_ssize_t prepare_receiver(HpkeJob *job, object slot_object, object info, object sealed) except -1:
    cdef KeySlot slot
    cdef const Kem *kem
    if not isinstance(slot_object, KeySlot) or not isinstance((<KeySlot> slot_object).scheme, KemScheme):
        raise TypeError("a KeySlot of a key encapsulation is needed")
    slot = <KeySlot> slot_object
    slot.check_usable()
    kem = &(<KemScheme> slot.scheme).kem
    hold(job, sealed)
    hold(job, info)
    if job_size(job, 0) < kem.enc_size + AEAD_TAG_SIZE:
        raise CoreError("the wrapped key does not open")
    return job_size(job, 0) - kem.enc_size - AEAD_TAG_SIZE


cdef int start_receiver(HpkeJob *job, KeySlot slot, bytes out) except -1:
    slot.pin()  # nothing below can fail, so that it is unpinned with the job
    job.out = <uint8_t *> PyBytes_AsString(out)
    job.secret = slot.memory
    job.kem = &(<KemScheme> slot.scheme).kem
    return 0


cdef void end_jobs(HpkeJob *jobs, Py_ssize_t n, tuple slots):
    cdef Py_ssize_t i
    cdef int b
    for i in range(n):
        if slots is not None and jobs[i].kem != NULL:
            (<KeySlot> slots[i]).unpin()
        for b in range(jobs[i].held):
            PyBuffer_Release(&jobs[i].buffer[b])
    free(jobs)


cdef HpkeJob *new_jobs(Py_ssize_t n, tuple lists) except NULL:
    cdef HpkeJob *jobs
    for items in lists:
        if len(items) != n:
            raise ValueError(f"{n} keys but {len(items)} other items")
    jobs = <HpkeJob *> calloc(n + 1, sizeof(HpkeJob))
    if jobs == NULL:
        raise MemoryError
    return jobs


def hpke_seal(object keys, object infos, object plaintexts) -> list:
    cdef tuple held_keys = tuple(keys), held_infos = tuple(infos), held_plain = tuple(plaintexts)
    cdef Py_ssize_t i, n = len(held_keys)
    cdef HpkeJob *jobs = new_jobs(n, (held_infos, held_plain))
    cdef HpkeJob *job
    cdef list results = [None] * n
    try:
        for i in range(n):
            try:
                results[i] = prepare_hpke_seal(&jobs[i], held_keys[i], held_infos[i], held_plain[i])
            except Exception as error:
                results[i] = error.with_traceback(None)
        with nogil:
            for i in range(n):
                job = &jobs[i]
                if job.kem != NULL:
                    job.failed = hpke_seal_one(
                        job.kem, job.public, job.out, job_data(job, 1), job_size(job, 1), job_data(job, 0), job_size(job, 0))
            sodium_stackzero(STACK_TO_WIPE)
        for i in range(n):
            if jobs[i].failed:
                results[i] = CoreError("the public key is not one that can be wrapped for")
    finally:
        end_jobs(jobs, n, None)
    return results


def hpke_open(object slots, object infos, object sealed, bytes aad not None=b"") -> list:
    cdef tuple held_slots = tuple(slots), held_infos = tuple(infos), held_sealed = tuple(sealed)
    cdef Py_ssize_t i, n = len(held_slots)
    cdef HpkeJob *jobs = new_jobs(n, (held_infos, held_sealed))
    cdef HpkeJob *job
    cdef list results = [None] * n
    cdef const uint8_t *aad_data = <const uint8_t *> PyBytes_AsString(aad)
    cdef size_t aad_size = len(aad)
    cdef Py_ssize_t size
    try:
        for i in range(n):
            try:
                size = prepare_receiver(&jobs[i], held_slots[i], held_infos[i], held_sealed[i])
                results[i] = PyBytes_FromStringAndSize(NULL, size)
                start_receiver(&jobs[i], held_slots[i], results[i])
            except Exception as error:
                results[i] = error.with_traceback(None)
        with nogil:
            for i in range(n):
                job = &jobs[i]
                if job.kem != NULL:
                    job.failed = hpke_open_one(
                        job.kem, job.secret, job.out, job_data(job, 1), job_size(job, 1), aad_data, aad_size,
                        job_data(job, 0), job_size(job, 0))
            sodium_stackzero(STACK_TO_WIPE)
        for i in range(n):
            if jobs[i].failed:
                results[i] = CoreError("the wrapped key does not open")
    finally:
        end_jobs(jobs, n, held_slots)
    return results


def hpke_rewrap(object slots, object infos, object sealed, object new_keys, object new_infos) -> list:
    cdef tuple held_slots = tuple(slots), held_infos = tuple(infos), held_sealed = tuple(sealed)
    cdef tuple held_keys = tuple(new_keys), held_new_infos = tuple(bytes(info) for info in new_infos)
    cdef Py_ssize_t i, n = len(held_slots)
    cdef HpkeJob *jobs = new_jobs(n, (held_infos, held_sealed, held_keys, held_new_infos))
    cdef list results = [None] * n
    cdef Py_ssize_t size
    cdef PublicKey key
    try:
        for i in range(n):
            try:
                key = encapsulating(held_keys[i])
                jobs[i].new_kem = &(<KemScheme> key.scheme).kem
                jobs[i].public = key.pointers[0]
                jobs[i].new_info = <const uint8_t *> PyBytes_AsString(held_new_infos[i])
                jobs[i].new_info_size = len(held_new_infos[i])
                size = prepare_receiver(&jobs[i], held_slots[i], held_infos[i], held_sealed[i])
                results[i] = PyBytes_FromStringAndSize(NULL, jobs[i].new_kem.enc_size + size + AEAD_TAG_SIZE)
                start_receiver(&jobs[i], held_slots[i], results[i])
            except Exception as error:
                results[i] = error.with_traceback(None)
        with nogil:
            for i in range(n):
                if jobs[i].kem != NULL:
                    jobs[i].failed = run_rewrap(&jobs[i])
            sodium_stackzero(STACK_TO_WIPE)
        for i in range(n):
            if jobs[i].failed:
                results[i] = CoreError("the wrapped key does not open")
    finally:
        end_jobs(jobs, n, held_slots)
    return results
