# Authenticated encryption under a kept key, with 24 random bytes of nonce: XChaCha20-Poly1305 (libsodium) and XAES-256-GCM
# (C2SP, on the AES-256 of liboqs and the AES-GCM of libsodium).

cdef enum AeadKind:
    AEAD_XCHACHA
    AEAD_XAES

cdef enum:
    AES_BLOCK = 16
    GCM_NONCE_SIZE = 12


cdef class AeadScheme(Scheme):
    cdef AeadKind kind

    def __cinit__(self, str name not None):
        self._names = (name,)
        if name == "XChaCha20-Poly1305":
            self.kind = AEAD_XCHACHA
        elif name == "XAES-256-GCM":
            if not _has_aes_gcm:
                raise CoreError("XAES-256-GCM needs a CPU with AES instructions, which this machine has not")
            self.kind = AEAD_XAES
        else:
            raise CoreError(f"there is no authenticated encryption {name}")
        self.secret_size = KEY_SIZE
        self.seed_size = KEY_SIZE

    cdef int make(self, uint8_t *secret, uint8_t **publics) noexcept nogil:
        randombytes_buf(secret, KEY_SIZE)
        return 0

    cdef int expand(self, uint8_t *secret, uint8_t **publics, const uint8_t *seed) noexcept nogil:
        memcpy(secret, seed, KEY_SIZE)
        return 0


def has_aes_gcm() -> bool:
    return _has_aes_gcm


# The key for one nonce: two blocks of AES-CMAC in counter mode (NIST SP 800-108r1), as C2SP XAES-256-GCM writes it out.
cdef void xaes_derive(uint8_t *derived, const uint8_t *key, const uint8_t *nonce) noexcept nogil:
    cdef uint8_t subkey[AES_BLOCK]
    cdef uint8_t blocks[2 * AES_BLOCK]
    cdef uint8_t carry
    cdef int i
    memset(blocks, 0, sizeof(blocks))
    aes256_ecb(blocks, AES_BLOCK, key, subkey)
    carry = 0x87 * (subkey[0] >> 7)
    for i in range(AES_BLOCK):
        subkey[i] = <uint8_t> (subkey[i] << 1) | (subkey[i + 1] >> 7 if i < AES_BLOCK - 1 else 0)
    subkey[AES_BLOCK - 1] ^= carry
    for i in range(2):
        blocks[i * AES_BLOCK + 1] = <uint8_t> (i + 1)
        blocks[i * AES_BLOCK + 2] = 0x58
        memcpy(blocks + i * AES_BLOCK + 4, nonce, 12)
    for i in range(2 * AES_BLOCK):
        blocks[i] ^= subkey[i % AES_BLOCK]
    aes256_ecb(blocks, 2 * AES_BLOCK, key, derived)
    sodium_memzero(subkey, sizeof(subkey))
    sodium_memzero(blocks, sizeof(blocks))


cdef struct AeadJob:
    Py_buffer buffer[2]  # what is held: the input, then the associated data
    int held
    AeadKind kind
    const uint8_t *key  # NULL: nothing to do, the item is refused already
    uint8_t *out
    int failed


cdef int run_aead(AeadJob *job, bint sealing) noexcept nogil:
    cdef const uint8_t *data = <const uint8_t *> job.buffer[0].buf
    cdef size_t size = <size_t> job.buffer[0].len
    cdef const uint8_t *ad = <const uint8_t *> job.buffer[1].buf
    cdef size_t ad_size = <size_t> job.buffer[1].len
    cdef aead_encrypt_t encrypt = aes_gcm_encrypt
    cdef aead_decrypt_t decrypt = aes_gcm_decrypt
    cdef const uint8_t *key = job.key
    cdef const uint8_t *nonce
    cdef const uint8_t *inner
    cdef uint8_t derived[KEY_SIZE]
    cdef int failed
    if sealing:
        randombytes_buf(job.out, NONCE_SIZE)
        nonce = job.out
    else:
        nonce = data
    inner = nonce
    if job.kind == AEAD_XCHACHA:
        encrypt, decrypt = xchacha_encrypt, xchacha_decrypt
    else:
        xaes_derive(derived, job.key, nonce)
        key = derived
        inner = nonce + NONCE_SIZE - GCM_NONCE_SIZE
    if sealing:
        failed = encrypt(job.out + NONCE_SIZE, NULL, data, size, ad, ad_size, NULL, inner, key)
    else:
        failed = decrypt(job.out, NULL, NULL, data + NONCE_SIZE, size - NONCE_SIZE, ad, ad_size, inner, key)
    sodium_memzero(derived, KEY_SIZE)
    return failed


cdef bytes prepare_aead(AeadJob *job, object slot_object, object ad, object data, bint sealing):
    cdef KeySlot slot
    cdef Py_ssize_t size
    cdef bytes out
    if not isinstance(slot_object, KeySlot) or not isinstance((<KeySlot> slot_object).scheme, AeadScheme):
        raise TypeError("a KeySlot of authenticated encryption is needed")
    slot = <KeySlot> slot_object
    PyObject_GetBuffer(own(data), &job.buffer[0], PyBUF_SIMPLE)
    job.held = 1
    PyObject_GetBuffer(own(ad), &job.buffer[1], PyBUF_SIMPLE)
    job.held = 2
    size = job.buffer[0].len + (NONCE_SIZE + AEAD_TAG_SIZE if sealing else -NONCE_SIZE - AEAD_TAG_SIZE)
    if size < 0:
        raise CoreError("the sealed data do not open")
    out = PyBytes_FromStringAndSize(NULL, size)
    slot.pin()
    job.kind = (<AeadScheme> slot.scheme).kind
    job.out = <uint8_t *> PyBytes_AsString(out)
    job.key = slot.memory
    return out


cdef list run_aead_batch(tuple slots, tuple ads, tuple inputs, bint sealing):
    cdef Py_ssize_t i, n = len(slots)
    cdef int b
    cdef list results = [None] * n
    cdef AeadJob *jobs
    if len(ads) != n or len(inputs) != n:
        raise ValueError(f"{n} slots but {len(ads)} associated data and {len(inputs)} inputs")
    jobs = <AeadJob *> calloc(n + 1, sizeof(AeadJob))
    if jobs == NULL:
        raise MemoryError
    try:
        for i in range(n):
            try:
                results[i] = prepare_aead(&jobs[i], slots[i], ads[i], inputs[i], sealing)
            except Exception as error:
                results[i] = error.with_traceback(None)
        with nogil:
            for i in range(n):
                if jobs[i].key != NULL:
                    jobs[i].failed = run_aead(&jobs[i], sealing)
            sodium_stackzero(STACK_TO_WIPE)
        for i in range(n):
            if jobs[i].failed:
                results[i] = CoreError("sealing failed" if sealing else "the sealed data do not open")
    finally:
        for i in range(n):
            if jobs[i].key != NULL:
                (<KeySlot> slots[i]).unpin()
            for b in range(jobs[i].held):
                PyBuffer_Release(&jobs[i].buffer[b])
        free(jobs)
    return results


def aead_seal(object slots, object ads, object plaintexts) -> list:
    return run_aead_batch(tuple(slots), tuple(ads), tuple(plaintexts), True)


def aead_open(object slots, object ads, object sealed) -> list:
    return run_aead_batch(tuple(slots), tuple(ads), tuple(sealed), False)
