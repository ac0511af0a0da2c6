# Private keys: one guarded allocation a key version, holding the secrets of all its tracks one after the other.

cdef class KeySlot(_Guarded):
    cdef readonly SignatureScheme scheme
    cdef readonly tuple public_keys
    cdef readonly str fingerprint

    cdef const uint8_t *secret(self, int track) noexcept nogil:
        return self.memory + (self.scheme.track[0].secret_size if track == 1 else 0)

    def __repr__(self) -> str:
        if self.scheme is None:
            return "<KeySlot empty>"
        return f"<KeySlot {'+'.join(self.scheme._names)} {self.fingerprint}{' released' if self.closed else ''}>"


cdef KeySlot new_slot(SignatureScheme scheme):
    cdef KeySlot slot = KeySlot.__new__(KeySlot)
    slot.scheme = scheme
    slot.allocate(scheme.secret_size)
    return slot


cdef enum:
    LARGEST_SIGNATURE = 8192

cdef const uint8_t *PAIRWISE_MESSAGE = <const uint8_t *> b"ron-kms pairwise test"


# Generates each track's pair and signs and verifies with it once (the pairwise consistency test of FIPS 140-3), so that a
# pair that does not fit is never stored.
cdef int generate_one(SignatureScheme scheme, uint8_t *secret, uint8_t **publics) noexcept nogil:
    cdef uint8_t signature[LARGEST_SIGNATURE]
    cdef const Track *track
    cdef int i
    for i in range(scheme.count):
        track = &scheme.track[i]
        if track_keypair(track, publics[i], secret) != 0:
            return -1
        if track_sign(track, signature, PAIRWISE_MESSAGE, 21, secret) != 0:
            return -1
        if track_verify(track, signature, PAIRWISE_MESSAGE, 21, publics[i]) != 0:
            return -1
        secret += track.secret_size
    return 0


def generate(SignatureScheme scheme not None, Py_ssize_t count=1) -> list:
    cdef list slots = []
    cdef KeySlot slot
    cdef uint8_t **publics
    cdef uint8_t **secrets
    cdef Py_ssize_t i
    cdef int t, failed = 0
    if count < 0:
        raise ValueError("the count of keys cannot be negative")
    for t in range(scheme.count):
        if scheme.track[t].signature_size > LARGEST_SIGNATURE:
            raise CoreError(f"signatures of {scheme._names[t]} are larger than the core expects")
    publics = <uint8_t **> calloc(count * MAX_TRACKS + 1, sizeof(uint8_t *))
    secrets = <uint8_t **> calloc(count + 1, sizeof(uint8_t *))
    try:
        if publics == NULL or secrets == NULL:
            raise MemoryError
        for i in range(count):
            slot = new_slot(scheme)
            slot.public_keys = tuple(
                [PyBytes_FromStringAndSize(NULL, scheme.track[t].public_size) for t in range(scheme.count)])
            for t in range(scheme.count):
                publics[i * MAX_TRACKS + t] = <uint8_t *> PyBytes_AsString(slot.public_keys[t])
            secrets[i] = slot.memory
            slots.append(slot)
        with nogil:
            for i in range(count):
                failed |= generate_one(scheme, secrets[i], publics + i * MAX_TRACKS)
            if scheme.uses_liboqs:
                sodium_stackzero(STACK_TO_WIPE)
    finally:
        free(publics)
        free(secrets)
    if failed:
        raise CoreError(f"key generation for {'+'.join(scheme._names)} failed its pairwise test")
    for slot in slots:
        slot.freeze()
        slot.fingerprint = fingerprint_of(slot.public_keys)
    return slots
