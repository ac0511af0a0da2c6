# Known answers of what the core itself computes with libsodium, at import. Those of liboqs follow from the table of suites
# (ron_kms.crypto.selftest).

cdef bytes _from_hex(str text):
    return bytes.fromhex(text)


cdef int _expect(str algorithm, bint holds) except -1:
    if not holds:
        raise ImportError(f"the known-answer self-test of {algorithm} failed: this libsodium must not be used")
    return 0


cdef int _test_ed25519() except -1:
    # RFC 8032, 7.1, test 3
    cdef bytes seed = _from_hex("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7")
    cdef bytes public = _from_hex("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025")
    cdef bytes expected = _from_hex(
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a")
    cdef uint8_t pk[32]
    cdef uint8_t sk[64]
    cdef uint8_t signature[64]
    cdef uint8_t message[2]
    message[0], message[1] = 0xAF, 0x82
    ed25519_seed_keypair(pk, sk, <const uint8_t *> PyBytes_AsString(seed))
    _expect("Ed25519 key generation", PyBytes_FromStringAndSize(<char *> pk, 32) == public)
    ed25519_sign(signature, NULL, message, 2, sk)
    _expect("Ed25519 signing", PyBytes_FromStringAndSize(<char *> signature, 64) == expected)
    _expect("Ed25519 verification", ed25519_verify(signature, message, 2, pk) == 0)
    message[0] ^= 1
    _expect("Ed25519 verification", ed25519_verify(signature, message, 2, pk) != 0)
    return 0


cdef int _test_hmac() except -1:
    # RFC 4231, test case 2
    cdef uint8_t tag[MAC_SIZE]
    hmac_sha256(tag, <const uint8_t *> b"Jefe", 4, <const uint8_t *> b"what do ya want for nothing?", 28)
    _expect("HMAC-SHA256", PyBytes_FromStringAndSize(<char *> tag, MAC_SIZE) == _from_hex(
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"))
    return 0


cdef int _test_xchacha20poly1305() except -1:
    # draft-irtf-cfrg-xchacha-03, A.3.1
    cdef bytes key = bytes(range(0x80, 0xA0))
    cdef bytes nonce = bytes(range(0x40, 0x58))
    cdef bytes ad = _from_hex("50515253c0c1c2c3c4c5c6c7")
    cdef bytes plain = (
        b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.")
    cdef bytes tag = _from_hex("c0875924c1c7987947deafd8780acf49")
    cdef uint8_t sealed[256]
    cdef uint8_t opened[256]
    cdef size_t size = len(plain)
    xchacha_encrypt(
        sealed, NULL, <const uint8_t *> PyBytes_AsString(plain), size, <const uint8_t *> PyBytes_AsString(ad), len(ad),
        NULL, <const uint8_t *> PyBytes_AsString(nonce), <const uint8_t *> PyBytes_AsString(key))
    _expect("XChaCha20-Poly1305", PyBytes_FromStringAndSize(<char *> sealed + size, AEAD_TAG_SIZE) == tag)
    _expect("XChaCha20-Poly1305", xchacha_decrypt(
        opened, NULL, NULL, sealed, size + AEAD_TAG_SIZE, <const uint8_t *> PyBytes_AsString(ad), len(ad),
        <const uint8_t *> PyBytes_AsString(nonce), <const uint8_t *> PyBytes_AsString(key)) == 0)
    _expect("XChaCha20-Poly1305", PyBytes_FromStringAndSize(<char *> opened, size) == plain)
    sealed[0] ^= 1
    _expect("XChaCha20-Poly1305", xchacha_decrypt(
        opened, NULL, NULL, sealed, size + AEAD_TAG_SIZE, <const uint8_t *> PyBytes_AsString(ad), len(ad),
        <const uint8_t *> PyBytes_AsString(nonce), <const uint8_t *> PyBytes_AsString(key)) != 0)
    return 0


cdef int _test_xaes256gcm() except -1:
    # C2SP XAES-256-GCM, its first test vector
    cdef bytes key = b"\x01" * 32
    cdef bytes nonce = b"ABCDEFGHIJKLMNOPQRSTUVWX"
    cdef bytes expected = _from_hex("ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271")
    cdef bytes plain = b"XAES-256-GCM"
    cdef uint8_t derived[KEY_SIZE]
    cdef uint8_t sealed[64]
    xaes_derive(derived, <const uint8_t *> PyBytes_AsString(key), <const uint8_t *> PyBytes_AsString(nonce))
    aes_gcm_encrypt(
        sealed, NULL, <const uint8_t *> PyBytes_AsString(plain), len(plain), NULL, 0, NULL,
        <const uint8_t *> PyBytes_AsString(nonce) + NONCE_SIZE - GCM_NONCE_SIZE, derived)
    _expect("XAES-256-GCM", PyBytes_FromStringAndSize(<char *> sealed, len(expected)) == expected)
    return 0


_test_ed25519()
_test_hmac()
_test_xchacha20poly1305()
if _has_aes_gcm:
    _test_xaes256gcm()
