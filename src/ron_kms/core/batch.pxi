# Batches: many keys and many messages at once. Python objects are prepared first, then the loop runs over plain C structs
# without the GIL, then results are handed out item by item: a bad item spoils no other.

# What a loop reads must not change under it: Ed25519 reads its message twice, and two signatures of one nonce over two
# messages give the private key away; a ciphertext is authenticated first and decrypted then. Nobody can change bytes, so
# they are read where they are; of anything else (bytearray, memoryview, mmap) the loop gets a copy of its own.
cdef bytes own(object source):
    cdef Py_buffer view
    if type(source) is bytes:
        return <bytes> source
    PyObject_GetBuffer(source, &view, PyBUF_SIMPLE)
    try:
        return PyBytes_FromStringAndSize(<char *> view.buf, view.len)
    finally:
        PyBuffer_Release(&view)


cdef struct SignJob:
    Py_buffer message
    bint held
    const Track *tracks  # NULL: nothing to do, the item is refused already
    int count
    const uint8_t *secret
    uint8_t *signature[MAX_TRACKS]
    int failed


cdef struct VerifyJob:
    Py_buffer buffer[MAX_TRACKS + 1]  # what is held: the message, then the signatures
    int held
    const Track *tracks
    int count
    const uint8_t *public[MAX_TRACKS]
    const uint8_t *signature[MAX_TRACKS]  # NULL: missing or of a wrong size, which is simply not valid
    int mask


cdef int run_sign(SignJob *job) noexcept nogil:
    cdef const uint8_t *secret = job.secret
    cdef int t
    for t in range(job.count):
        if track_sign(
            &job.tracks[t], job.signature[t], <const uint8_t *> job.message.buf, <size_t> job.message.len, secret
        ) != 0:
            return -1
        secret += job.tracks[t].secret_size
    return 0


cdef int run_verify(VerifyJob *job) noexcept nogil:
    cdef int t, mask = 0
    for t in range(job.count):
        if job.signature[t] != NULL and track_verify(
            &job.tracks[t], job.signature[t], <const uint8_t *> job.buffer[0].buf, <size_t> job.buffer[0].len, job.public[t]
        ) == 0:
            mask |= 1 << t
    return mask


cdef tuple prepare_sign(SignJob *job, object slot_object, object message):
    cdef KeySlot slot
    cdef SignatureScheme scheme
    cdef tuple signatures
    cdef int t
    if not isinstance(slot_object, KeySlot):
        raise TypeError(f"a KeySlot is needed to sign, not {type(slot_object).__name__}")
    slot = <KeySlot> slot_object
    slot.check_usable()
    if not isinstance(slot.scheme, SignatureScheme):
        raise TypeError(f"{slot!r} does not sign")
    scheme = <SignatureScheme> slot.scheme
    PyObject_GetBuffer(own(message), &job.message, PyBUF_SIMPLE)
    job.held = True
    if scheme.count == 1:
        signatures = (PyBytes_FromStringAndSize(NULL, scheme.track[0].signature_size),)
    else:
        signatures = (
            PyBytes_FromStringAndSize(NULL, scheme.track[0].signature_size),
            PyBytes_FromStringAndSize(NULL, scheme.track[1].signature_size),
        )
    slot.pin()  # nothing below can fail, so that it is unpinned with the job
    for t in range(scheme.count):
        job.signature[t] = <uint8_t *> PyBytes_AsString(signatures[t])
    job.secret = slot.memory
    job.count = scheme.count
    job.tracks = scheme.track
    return signatures


def sign(object slots, object messages) -> list:
    # Tuples of our own: the caller's lists may change while the GIL is away.
    cdef tuple held_slots = tuple(slots)
    cdef tuple held_messages = tuple(messages)
    cdef Py_ssize_t i, n = len(held_slots)
    cdef list results
    cdef SignJob *jobs
    cdef bint wipe = False
    if len(held_messages) != n:
        raise ValueError(f"{n} slots but {len(held_messages)} messages")
    results = [None] * n
    jobs = <SignJob *> calloc(n + 1, sizeof(SignJob))
    if jobs == NULL:
        raise MemoryError
    try:
        for i in range(n):
            try:
                results[i] = prepare_sign(&jobs[i], held_slots[i], held_messages[i])
                wipe |= (<KeySlot> held_slots[i]).scheme.uses_liboqs
            except Exception as error:  # an argument can raise anything: a view that was released, a map that was closed
                results[i] = error.with_traceback(None)
        with nogil:
            for i in range(n):
                if jobs[i].tracks != NULL:
                    jobs[i].failed = run_sign(&jobs[i])
            if wipe:
                sodium_stackzero(STACK_TO_WIPE)
        for i in range(n):
            if jobs[i].failed:
                results[i] = CoreError("signing failed in the cryptographic library")
    finally:
        for i in range(n):
            if jobs[i].tracks != NULL:
                (<KeySlot> held_slots[i]).unpin()
            if jobs[i].held:
                PyBuffer_Release(&jobs[i].message)
        free(jobs)
    return results


cdef int prepare_verify(VerifyJob *job, object key_object, object message, object signatures) except -1:
    cdef PublicKey key
    cdef SignatureScheme scheme
    cdef Py_buffer *view
    cdef int t
    if not isinstance(key_object, PublicKey):
        raise TypeError(f"a PublicKey is needed to verify, not {type(key_object).__name__}")
    key = <PublicKey> key_object
    if not isinstance(key.scheme, SignatureScheme):
        raise TypeError(f"{key!r} has no signatures")
    scheme = <SignatureScheme> key.scheme
    if len(signatures) != scheme.count:
        raise TypeError(f"{scheme.count} signatures are needed, one a track, None where it is missing")
    PyObject_GetBuffer(own(message), &job.buffer[0], PyBUF_SIMPLE)
    job.held = 1
    for t in range(scheme.count):
        job.public[t] = key.pointers[t]
        if signatures[t] is None:
            continue
        view = &job.buffer[job.held]
        PyObject_GetBuffer(own(signatures[t]), view, PyBUF_SIMPLE)
        job.held += 1
        if <size_t> view.len == scheme.track[t].signature_size:
            job.signature[t] = <const uint8_t *> view.buf
    job.count = scheme.count
    job.tracks = scheme.track
    return 0


def verify(object keys, object messages, object signatures) -> list:
    cdef tuple held_keys = tuple(keys)
    cdef tuple held_messages = tuple(messages)
    cdef tuple held_signatures = tuple(signatures)
    cdef Py_ssize_t i, n = len(held_keys)
    cdef int t
    cdef list results
    cdef VerifyJob *jobs
    if len(held_messages) != n or len(held_signatures) != n:
        raise ValueError(f"{n} keys but {len(held_messages)} messages and {len(held_signatures)} signatures")
    results = [None] * n
    jobs = <VerifyJob *> calloc(n + 1, sizeof(VerifyJob))
    if jobs == NULL:
        raise MemoryError
    try:
        for i in range(n):
            try:
                prepare_verify(&jobs[i], held_keys[i], held_messages[i], held_signatures[i])
            except Exception as error:
                results[i] = error.with_traceback(None)
        with nogil:
            for i in range(n):
                if jobs[i].tracks != NULL:
                    jobs[i].mask = run_verify(&jobs[i])
        for i in range(n):
            if jobs[i].tracks != NULL:
                results[i] = jobs[i].mask
    finally:
        for i in range(n):
            for t in range(jobs[i].held):
                PyBuffer_Release(&jobs[i].buffer[t])
        free(jobs)
    return results
