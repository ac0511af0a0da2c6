# Key encapsulation: X25519 (RFC 9180 DHKEM), ML-KEM (FIPS 203), X-Wing (draft-connolly-cfrg-xwing-kem), each with the number
# that HPKE knows it by. A shared secret has 32 bytes and never leaves this file's callers.

cdef enum KemKind:
    KEM_X25519
    KEM_ML
    KEM_X_WING

cdef enum:
    SHARED_SIZE = 32
    X25519_SIZE = 32
    ML_KEM_SEED_SIZE = 64
    LARGEST_ENC = 1568

cdef const uint8_t *X_WING_LABEL = <const uint8_t *> b"\\.//^\\"


cdef struct Kem:
    KemKind kind
    unsigned int id
    const void *oqs  # ML-KEM of liboqs, with its sizes; they are zero where there is none
    size_t oqs_public_size
    size_t oqs_secret_size
    size_t oqs_enc_size
    size_t enc_size


# A key from its short form: the scalar of X25519 (RFC 7748), the seeds of ML-KEM (FIPS 203, d and z) and X-Wing. The secret
# holds ML-KEM's, then the scalar and X25519's public key, which decapsulation needs too.
cdef int kem_expand(const Kem *kem, uint8_t *secret, uint8_t *public, const uint8_t *seed) noexcept nogil:
    cdef uint8_t expanded[ML_KEM_SEED_SIZE + X25519_SIZE]
    cdef uint8_t *scalar = secret + kem.oqs_secret_size
    cdef uint8_t *x_public = public + kem.oqs_public_size
    cdef int failed = 0
    if kem.kind == KEM_ML:
        return oqs_kem_keypair_derand(kem.oqs, public, secret, seed)
    if kem.kind == KEM_X_WING:
        shake256(expanded, sizeof(expanded), seed, 32)
        failed = oqs_kem_keypair_derand(kem.oqs, public, secret, expanded)
        memcpy(scalar, expanded + ML_KEM_SEED_SIZE, X25519_SIZE)
        sodium_memzero(expanded, sizeof(expanded))
    else:
        memcpy(scalar, seed, X25519_SIZE)
    failed |= x25519_base(x_public, scalar)
    memcpy(scalar + X25519_SIZE, x_public, X25519_SIZE)
    return failed


cdef int kem_keypair(const Kem *kem, uint8_t *secret, uint8_t *public) noexcept nogil:
    cdef uint8_t seed[32]
    cdef int failed
    if kem.kind == KEM_ML:
        return oqs_kem_keypair(kem.oqs, public, secret)
    randombytes_buf(seed, 32)
    failed = kem_expand(kem, secret, public, seed)
    sodium_memzero(seed, 32)
    return failed


cdef int kem_encapsulate(const Kem *kem, uint8_t *enc, uint8_t *shared, const uint8_t *public) noexcept nogil:
    cdef uint8_t scalar[X25519_SIZE]
    cdef uint8_t dh[X25519_SIZE]
    cdef uint8_t ml_shared[SHARED_SIZE]
    cdef uint8_t *x_enc = enc + kem.oqs_enc_size
    cdef const uint8_t *x_public = public + kem.oqs_public_size
    cdef int failed
    if kem.kind == KEM_ML:
        return oqs_encaps(kem.oqs, enc, shared, public)
    randombytes_buf(scalar, X25519_SIZE)
    failed = x25519_base(x_enc, scalar) | x25519(dh, scalar, x_public)
    if kem.kind == KEM_X25519:
        dhkem_shared(shared, dh, x_enc, x_public)
    else:
        failed |= oqs_encaps(kem.oqs, enc, ml_shared, public)
        x_wing_shared(shared, ml_shared, dh, x_enc, x_public)
        sodium_memzero(ml_shared, SHARED_SIZE)
    sodium_memzero(scalar, X25519_SIZE)
    sodium_memzero(dh, X25519_SIZE)
    return failed


cdef int kem_decapsulate(const Kem *kem, uint8_t *shared, const uint8_t *enc, const uint8_t *secret) noexcept nogil:
    cdef uint8_t dh[X25519_SIZE]
    cdef uint8_t ml_shared[SHARED_SIZE]
    cdef const uint8_t *x_enc = enc + kem.oqs_enc_size
    cdef const uint8_t *scalar = secret + kem.oqs_secret_size
    cdef const uint8_t *x_public = scalar + X25519_SIZE
    cdef int failed
    if kem.kind == KEM_ML:
        return oqs_decaps(kem.oqs, shared, enc, secret)
    failed = x25519(dh, scalar, x_enc)
    if kem.kind == KEM_X25519:
        dhkem_shared(shared, dh, x_enc, x_public)
    else:
        failed |= oqs_decaps(kem.oqs, ml_shared, enc, secret)
        x_wing_shared(shared, ml_shared, dh, x_enc, x_public)
        sodium_memzero(ml_shared, SHARED_SIZE)
    sodium_memzero(dh, X25519_SIZE)
    return failed


cdef int kem_test_pair(const Kem *kem, const uint8_t *secret, const uint8_t *public) noexcept nogil:
    cdef uint8_t enc[LARGEST_ENC]
    cdef uint8_t sent[SHARED_SIZE]
    cdef uint8_t received[SHARED_SIZE]
    cdef int failed
    failed = kem_encapsulate(kem, enc, sent, public)
    failed |= kem_decapsulate(kem, received, enc, secret)
    failed |= sodium_memcmp(sent, received, SHARED_SIZE)
    sodium_memzero(sent, SHARED_SIZE)
    sodium_memzero(received, SHARED_SIZE)
    return failed


# ExtractAndExpand of RFC 9180, 4.1, for DHKEM(X25519, HKDF-SHA256).
cdef void dhkem_shared(
    uint8_t *shared, const uint8_t *dh, const uint8_t *enc, const uint8_t *public
) noexcept nogil:
    cdef uint8_t suite[5]
    cdef uint8_t context[2 * X25519_SIZE]
    cdef uint8_t extracted[MAC_SIZE]
    memcpy(suite, <const uint8_t *> b"KEM\x00\x20", 5)
    memcpy(context, enc, X25519_SIZE)
    memcpy(context + X25519_SIZE, public, X25519_SIZE)
    labeled_extract(extracted, suite, 5, NULL, 0, b"eae_prk", dh, X25519_SIZE)
    labeled_expand(shared, SHARED_SIZE, suite, 5, extracted, b"shared_secret", context, 2 * X25519_SIZE)
    sodium_memzero(extracted, MAC_SIZE)


cdef void x_wing_shared(
    uint8_t *shared, const uint8_t *ml_shared, const uint8_t *dh, const uint8_t *enc, const uint8_t *public
) noexcept nogil:
    cdef uint8_t joined[SHARED_SIZE + 3 * X25519_SIZE + 6]
    memcpy(joined, ml_shared, SHARED_SIZE)
    memcpy(joined + 32, dh, X25519_SIZE)
    memcpy(joined + 64, enc, X25519_SIZE)
    memcpy(joined + 96, public, X25519_SIZE)
    memcpy(joined + 128, X_WING_LABEL, 6)
    sha3_256(shared, joined, sizeof(joined))
    sodium_memzero(joined, sizeof(joined))


cdef class KemScheme(Scheme):
    cdef Kem kem

    def __cinit__(self, str name not None):
        self._names = (name,)
        if name == "X25519":
            self.kem.kind, self.kem.id = KEM_X25519, 0x0020
        elif name == "ML-KEM-768":
            self.kem.kind, self.kem.id = KEM_ML, 0x0041
            self.use_liboqs("ML-KEM-768")
        elif name == "ML-KEM-1024":
            self.kem.kind, self.kem.id = KEM_ML, 0x0042
            self.use_liboqs("ML-KEM-1024")
        elif name == "X-Wing":
            self.kem.kind, self.kem.id = KEM_X_WING, 0x647A
            self.use_liboqs("ML-KEM-768")
        else:
            raise CoreError(f"there is no key encapsulation {name}")
        self.count = 1
        self.public_size[0] = self.kem.oqs_public_size
        self.secret_size = self.kem.oqs_secret_size
        self.kem.enc_size = self.kem.oqs_enc_size
        if self.kem.kind != KEM_ML:
            self.public_size[0] += X25519_SIZE
            self.secret_size += 2 * X25519_SIZE
            self.kem.enc_size += X25519_SIZE
        self.seed_size = ML_KEM_SEED_SIZE if self.kem.kind == KEM_ML else 32

    cdef int use_liboqs(self, str name) except -1:
        kem = _oqs.lib.OQS_KEM_new(name.encode("ascii"))
        if kem == _oqs.ffi.NULL:
            raise CoreError(f"this build of liboqs has no {name}")
        kem = _oqs.ffi.gc(kem, _oqs.lib.OQS_KEM_free)
        self._oqs_objects.append(kem)
        if (
            kem.length_shared_secret != SHARED_SIZE
            or kem.length_keypair_seed != ML_KEM_SEED_SIZE
            or kem.length_ciphertext > LARGEST_ENC
        ):
            raise CoreError(f"{name} of liboqs has other sizes than FIPS 203")
        self.kem.oqs = <const void *> <uintptr_t> int(_oqs.ffi.cast("uintptr_t", kem))
        self.kem.oqs_public_size = kem.length_public_key
        self.kem.oqs_secret_size = kem.length_secret_key
        self.kem.oqs_enc_size = kem.length_ciphertext
        self.uses_liboqs = True
        return 0

    cdef int make(self, uint8_t *secret, uint8_t **publics) noexcept nogil:
        return kem_keypair(&self.kem, secret, publics[0]) or kem_test_pair(&self.kem, secret, publics[0])

    cdef int expand(self, uint8_t *secret, uint8_t **publics, const uint8_t *seed) noexcept nogil:
        return kem_expand(&self.kem, secret, publics[0], seed)

    @property
    def enc_size(self) -> int:
        return self.kem.enc_size
