# Symmetric secrets: the root, the store key and what is derived from them. 32 bytes each, in guarded memory.

cdef extern from "<unistd.h>" nogil:
    ssize_t c_read "read"(int fd, void *buffer, size_t count)
    ssize_t c_write "write"(int fd, const void *buffer, size_t count)

cdef enum:
    KEY_SIZE = 32
    MAC_SIZE = 32
    NONCE_SIZE = 24
    AEAD_TAG_SIZE = 16
    HMAC_STATE_SIZE = 512  # crypto_auth_hmacsha256_statebytes() is 208


cdef void hmac_sha256(
    uint8_t *out, const uint8_t *key, size_t key_size, const uint8_t *data, size_t size
) noexcept nogil:
    cdef uint8_t state[HMAC_STATE_SIZE]
    hmac_init(state, key, key_size)
    hmac_update(state, data, size)
    hmac_final(state, out)
    sodium_memzero(state, HMAC_STATE_SIZE)


# HKDF-SHA256 (RFC 5869) without salt and with one block of output.
cdef void hkdf_sha256(uint8_t *out, const uint8_t *key, const uint8_t *info, size_t size) noexcept nogil:
    cdef uint8_t state[HMAC_STATE_SIZE]
    cdef uint8_t extracted[MAC_SIZE]
    cdef uint8_t salt[MAC_SIZE]
    cdef uint8_t block = 1
    memset(salt, 0, MAC_SIZE)
    hmac_sha256(extracted, salt, MAC_SIZE, key, KEY_SIZE)
    hmac_init(state, extracted, MAC_SIZE)
    hmac_update(state, info, size)
    hmac_update(state, &block, 1)
    hmac_final(state, out)
    sodium_memzero(state, HMAC_STATE_SIZE)
    sodium_memzero(extracted, MAC_SIZE)


# A signal that interrupts is let through, so that waiting for a pipe can be ended by the keyboard.
cdef int interrupted() except -1 nogil:
    if errno != EINTR:
        return 0
    with gil:
        PyErr_CheckSignals()
    return 1


cdef int read_whole(int fd, uint8_t *buffer, size_t size, size_t *got) except -2 nogil:
    cdef ssize_t n
    got[0] = 0
    while got[0] < size:
        n = c_read(fd, buffer + got[0], size - got[0])
        if n == 0:
            return 0
        if n < 0:
            if interrupted():
                continue
            return -1
        got[0] += <size_t> n
    return 0


cdef int write_whole(int fd, const uint8_t *buffer, size_t size) except -2 nogil:
    cdef ssize_t n
    cdef size_t done = 0
    while done < size:
        n = c_write(fd, buffer + done, size - done)
        if n < 0:
            if interrupted():
                continue
            return -1
        done += <size_t> n
    return 0


cdef bytes seal_secret(const uint8_t *key, const uint8_t *secret, size_t size, bytes ad):
    cdef bytes blob = PyBytes_FromStringAndSize(NULL, NONCE_SIZE + size + AEAD_TAG_SIZE)
    cdef uint8_t *out = <uint8_t *> PyBytes_AsString(blob)
    randombytes_buf(out, NONCE_SIZE)
    xchacha_encrypt(
        out + NONCE_SIZE, NULL, secret, size, <const uint8_t *> PyBytes_AsString(ad), len(ad), NULL, out, key)
    return blob


# Memory for a secret, what a sealed blob holds, and protection, without the GIL: the system calls take as long as an
# Ed25519 signature.
cdef int open_secret(const uint8_t *key, _Guarded into, size_t size, bytes blob, bytes ad) except -1:
    cdef const uint8_t *data = <const uint8_t *> PyBytes_AsString(blob)
    cdef const uint8_t *bound = <const uint8_t *> PyBytes_AsString(ad)
    cdef size_t length = <size_t> len(blob), bound_length = <size_t> len(ad)
    cdef bint opens = False, kept = False
    with nogil:
        into.memory = <uint8_t *> sodium_malloc(size)
        if into.memory != NULL:
            opens = length == NONCE_SIZE + size + AEAD_TAG_SIZE and xchacha_decrypt(
                into.memory, NULL, NULL, data + NONCE_SIZE, size + AEAD_TAG_SIZE, bound, bound_length, data, key
            ) == 0
            kept = sodium_mprotect_readonly(into.memory) == 0  # which splits a mapping: there may be no more of them
    if not kept:
        raise out_of_guarded_memory()
    into.size = size
    if not opens:
        raise CoreError("a sealed blob does not open: wrong key, or it was moved, swapped or edited")
    return 0


cdef class SecretKey(_Guarded):

    @staticmethod
    def generate() -> SecretKey:
        cdef SecretKey key = new_secret()
        randombytes_buf(key.memory, KEY_SIZE)
        key.freeze()
        return key

    @staticmethod
    def receive(int fd) -> SecretKey:
        cdef SecretKey key = new_secret()
        cdef size_t got
        cdef int failed
        with nogil:
            failed = read_whole(fd, key.memory, KEY_SIZE, &got)
        if failed or got != KEY_SIZE:
            raise CoreError("the key did not arrive whole")
        key.freeze()
        return key

    @staticmethod
    def read_hex(int fd) -> SecretKey:
        cdef SecretKey key = new_secret()
        cdef _Guarded text = _Guarded.__new__(_Guarded)
        cdef size_t got, size = 0
        cdef int failed
        text.allocate(2 * KEY_SIZE + 2)
        with nogil:
            failed = read_whole(fd, text.memory, 2 * KEY_SIZE + 2, &got)
        if failed:
            raise OSError(errno, "the key cannot be read")
        if (
            got == 2 * KEY_SIZE + 1 and text.memory[2 * KEY_SIZE] == 10
            or got == 2 * KEY_SIZE
        ):
            sodium_hex2bin(key.memory, KEY_SIZE, <const char *> text.memory, 2 * KEY_SIZE, NULL, &size, NULL)
        text.wipe()
        if size != KEY_SIZE:
            raise ValueError("64 hexadecimal digits and a newline are needed")
        key.freeze()
        return key

    def write_hex(self, int fd) -> None:
        cdef _Guarded text = _Guarded.__new__(_Guarded)
        cdef int failed
        text.allocate(2 * KEY_SIZE + 1)
        self.pin()
        try:
            sodium_bin2hex(<char *> text.memory, 2 * KEY_SIZE + 1, self.memory, KEY_SIZE)
            text.memory[2 * KEY_SIZE] = 10
            failed = write_whole(fd, text.memory, 2 * KEY_SIZE + 1)
        finally:
            self.unpin()
            text.wipe()
        if failed:
            raise OSError(errno, "the key cannot be written")

    def send(self, int fd) -> None:
        cdef int failed
        self.pin()
        try:
            failed = write_whole(fd, self.memory, KEY_SIZE)
        finally:
            self.unpin()
        if failed:
            raise OSError(errno, "the key cannot be sent")

    @property
    def id(self) -> str:
        return self.mac(b"ron-kms/key-id/v1")[:8].hex()

    def derive(self, bytes info not None) -> SecretKey:
        cdef SecretKey key = new_secret()
        self.pin()
        hkdf_sha256(key.memory, self.memory, <const uint8_t *> PyBytes_AsString(info), len(info))
        self.unpin()
        key.freeze()
        return key

    def mac(self, bytes data not None) -> bytes:
        cdef bytes tag = PyBytes_FromStringAndSize(NULL, MAC_SIZE)
        self.pin()
        hmac_sha256(
            <uint8_t *> PyBytes_AsString(tag), self.memory, KEY_SIZE, <const uint8_t *> PyBytes_AsString(data), len(data))
        self.unpin()
        return tag

    def check(self, bytes data not None, bytes tag not None) -> bool:
        cdef uint8_t expected[MAC_SIZE]
        cdef int differs
        self.pin()
        hmac_sha256(expected, self.memory, KEY_SIZE, <const uint8_t *> PyBytes_AsString(data), len(data))
        self.unpin()
        differs = len(tag) != MAC_SIZE or sodium_memcmp(expected, PyBytes_AsString(tag), MAC_SIZE) != 0
        sodium_memzero(expected, MAC_SIZE)
        return not differs

    def chain(self, object parts) -> bytes:
        cdef bytes tag = PyBytes_FromStringAndSize(NULL, MAC_SIZE)
        self.run_chain(parts, <uint8_t *> PyBytes_AsString(tag))
        return tag

    def check_chain(self, object parts, bytes tag not None) -> bool:
        cdef uint8_t expected[MAC_SIZE]
        cdef int differs
        self.run_chain(parts, expected)
        differs = len(tag) != MAC_SIZE or sodium_memcmp(expected, PyBytes_AsString(tag), MAC_SIZE) != 0
        sodium_memzero(expected, MAC_SIZE)
        return not differs

    # Macaroons (Birgisson et al. 2014, as libmacaroons derives keys): each part is signed with the signature so far as key.
    cdef int run_chain(self, object parts, uint8_t *out) except -1:
        cdef tuple held = tuple(parts)
        cdef bytes part
        for part in held:
            if part is None:
                raise TypeError("the parts of a chain are bytes")
        self.pin()
        hmac_sha256(out, <const uint8_t *> b"macaroons-key-generator", 23, self.memory, KEY_SIZE)
        self.unpin()
        for part in held:
            hmac_sha256(out, out, MAC_SIZE, <const uint8_t *> PyBytes_AsString(part), len(part))
        return 0

    def seal_key(self, SecretKey key not None, bytes ad not None) -> bytes:
        self.pin()
        try:
            key.pin()
            try:
                return seal_secret(self.memory, key.memory, KEY_SIZE, ad)
            finally:
                key.unpin()
        finally:
            self.unpin()

    def open_key(self, bytes blob not None, bytes ad not None) -> SecretKey:
        cdef SecretKey key = SecretKey.__new__(SecretKey)
        self.pin()
        try:
            open_secret(self.memory, key, KEY_SIZE, blob, ad)
        finally:
            self.unpin()
        return key

    def seal_slot(self, KeySlot slot not None, bytes ad not None) -> bytes:
        self.pin()
        try:
            slot.pin()
            try:
                return seal_secret(self.memory, slot.memory, slot.size, ad)
            finally:
                slot.unpin()
        finally:
            self.unpin()

    def open_slot(self, Scheme scheme not None, object public_keys, bytes blob not None, bytes ad not None) -> KeySlot:
        cdef KeySlot slot
        cdef tuple publics = checked_public_keys(scheme, public_keys)
        slot = KeySlot.__new__(KeySlot)
        slot.scheme = scheme
        slot.public_keys = publics
        self.pin()
        try:
            open_secret(self.memory, slot, scheme.secret_size, blob, ad)
        finally:
            self.unpin()
        slot.fingerprint = fingerprint_of(publics)
        return slot

    def __repr__(self) -> str:
        return "<SecretKey released>" if self.closed else f"<SecretKey {self.id}>"


cdef SecretKey new_secret():
    cdef SecretKey key = SecretKey.__new__(SecretKey)
    key.allocate(KEY_SIZE)
    return key
