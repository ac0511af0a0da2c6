# A secret from a passphrase: Argon2id (RFC 9106, version 1.3, one lane) of libsodium, straight into guarded memory.

cdef enum:
    ARGON2ID13 = 2  # crypto_pwhash_ALG_ARGON2ID13
    ARGON2_SALT_SIZE = 16


def from_passphrase(object passphrase, bytes salt not None, unsigned long long opslimit, size_t memlimit) -> SecretKey:
    cdef SecretKey key = new_secret()
    cdef const uint8_t *salted = <const uint8_t *> PyBytes_AsString(salt)
    cdef Py_buffer given
    cdef int failed
    if len(salt) != ARGON2_SALT_SIZE:
        raise ValueError("the salt has 16 bytes")
    PyObject_GetBuffer(passphrase, &given, PyBUF_SIMPLE)
    try:
        with nogil:
            failed = argon2(
                key.memory, KEY_SIZE, <const char *> given.buf, given.len, salted, opslimit, memlimit, ARGON2ID13)
            sodium_stackzero(STACK_TO_WIPE)
    finally:
        PyBuffer_Release(&given)
    if failed:
        raise CoreError("Argon2id refuses: too little memory is left, or its parameters are out of range")
    key.freeze()
    return key


# As the independent implementation of OpenSSL computes it; libsodium takes neither the secret nor the lanes of RFC 9106's
# own example.
cdef int _test_argon2id() except -1:
    cdef uint8_t key[KEY_SIZE]
    cdef bytes salt = bytes(range(ARGON2_SALT_SIZE))
    argon2(key, KEY_SIZE, b"correct horse battery staple", 28, <const uint8_t *> PyBytes_AsString(salt), 2, 65536, ARGON2ID13)
    _expect("Argon2id", PyBytes_FromStringAndSize(<char *> key, KEY_SIZE) == _from_hex(
        "2df47ede6358ed17a9976d4fcedb897a10036d432a4acef17d263bfc98bd20ac"))
    return 0


_test_argon2id()
