# Private keys: one guarded allocation a key version, holding the secrets of all its tracks one after the other.

cdef class KeySlot(_Guarded):
    cdef readonly Scheme scheme
    cdef readonly tuple public_keys
    cdef readonly str fingerprint

    def __repr__(self) -> str:
        if self.scheme is None:
            return "<KeySlot empty>"
        return f"<KeySlot {'+'.join(self.scheme._names)} {self.fingerprint}{' released' if self.closed else ''}>"


cdef KeySlot new_slot(Scheme scheme):
    cdef KeySlot slot = KeySlot.__new__(KeySlot)
    slot.scheme = scheme
    slot.allocate(scheme.secret_size)
    return slot


# Room for a new key's public keys, which the core writes once before anyone sees them.
cdef tuple blank_public_keys(Scheme scheme):
    return tuple([PyBytes_FromStringAndSize(NULL, scheme.public_size[t]) for t in range(scheme.count)])


# Memory, key and protection of each slot in turn, until one fails: -1 for a pair that does not fit, -2 for no memory.
cdef int make_all(Scheme scheme, Py_ssize_t count, uint8_t **secrets, uint8_t **publics) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(count):
        secrets[i] = <uint8_t *> sodium_malloc(scheme.secret_size)
        if secrets[i] == NULL:
            return -2
        if scheme.make(secrets[i], publics + i * MAX_TRACKS) != 0:
            return -1
        if sodium_mprotect_readonly(secrets[i]) != 0:  # which splits a mapping: there are no more of them
            return -2
    return 0


def generate(Scheme scheme not None, Py_ssize_t count=1) -> list:
    cdef list slots = []
    cdef KeySlot slot
    cdef uint8_t **publics
    cdef uint8_t **secrets
    cdef Py_ssize_t i
    cdef int t, failed
    if count < 0:
        raise ValueError("the count of keys cannot be negative")
    publics = <uint8_t **> calloc(count * MAX_TRACKS + 1, sizeof(uint8_t *))
    secrets = <uint8_t **> calloc(count + 1, sizeof(uint8_t *))
    try:
        if publics == NULL or secrets == NULL:
            raise MemoryError
        for i in range(count):
            slot = KeySlot.__new__(KeySlot)
            slot.scheme = scheme
            slot.public_keys = blank_public_keys(scheme)
            for t in range(scheme.count):
                publics[i * MAX_TRACKS + t] = <uint8_t *> PyBytes_AsString(slot.public_keys[t])
            slots.append(slot)
        with nogil:  # guarded memory costs system calls, as long as an Ed25519 signature takes: let others run
            failed = make_all(scheme, count, secrets, publics)
            if scheme.uses_liboqs:
                sodium_stackzero(STACK_TO_WIPE)
        for i in range(count):  # from here on the slots own what there is
            slot = <KeySlot> slots[i]
            slot.memory, slot.size = secrets[i], scheme.secret_size
    finally:
        free(publics)
        free(secrets)
    if failed == -2:
        raise out_of_guarded_memory()
    if failed:
        raise CoreError(f"key generation for {'+'.join(scheme._names)} failed its pairwise test")
    for slot in slots:
        slot.fingerprint = fingerprint_of(slot.public_keys)
    return slots


# For known answers only: their seeds are published and need no guarding.
def from_published_seed(Scheme scheme not None, bytes seed not None) -> KeySlot:
    cdef KeySlot slot
    cdef uint8_t *publics[MAX_TRACKS]
    cdef int t
    if scheme.seed_size == 0 or <size_t> len(seed) != scheme.seed_size:
        raise ValueError(f"{scheme!r} has no key of {len(seed)} bytes of seed")
    slot = new_slot(scheme)
    slot.public_keys = blank_public_keys(scheme)
    for t in range(scheme.count):
        publics[t] = <uint8_t *> PyBytes_AsString(slot.public_keys[t])
    if scheme.expand(slot.memory, publics, <const uint8_t *> PyBytes_AsString(seed)) != 0:
        raise CoreError(f"no key of {scheme!r} comes from this seed")
    slot.freeze()
    slot.fingerprint = fingerprint_of(slot.public_keys)
    return slot
