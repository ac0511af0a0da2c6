# What a key is made of, in compiled form. Every scheme knows its sizes and how to make a key; what else it can do stands in
# its own file: signatures here, key encapsulation in kem.pxi, authenticated encryption in aead.pxi.

cdef enum:
    MAX_TRACKS = 2


cdef class Scheme:
    cdef int count  # of public keys, one a track
    cdef size_t public_size[MAX_TRACKS]
    cdef size_t secret_size  # of all tracks together
    cdef size_t seed_size
    cdef bint uses_liboqs
    cdef tuple _names
    cdef list _oqs_objects  # keeps the structs of liboqs alive

    # Schemes are set up in __cinit__, which Python can neither call again nor leave out: batches rely on them unasked.
    def __cinit__(self, *args: object):
        if type(self) is Scheme:
            raise TypeError("use SignatureScheme, KemScheme or AeadScheme")
        self._oqs_objects = []

    # Makes one key, and proves that its halves fit (the pairwise consistency test of FIPS 140-3).
    cdef int make(self, uint8_t *secret, uint8_t **publics) noexcept nogil:
        return -1

    # The key that a seed of ``seed_size`` bytes stands for, where the scheme has such a form (0: it has none).
    cdef int expand(self, uint8_t *secret, uint8_t **publics, const uint8_t *seed) noexcept nogil:
        return -1

    @property
    def tracks(self) -> tuple:
        return self._names

    @property
    def public_sizes(self) -> tuple:
        return tuple([self.public_size[i] for i in range(self.count)])

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._names!r})"


cdef struct Track:
    const void *oqs  # NULL: Ed25519 of libsodium
    size_t public_size
    size_t secret_size
    size_t signature_size
    const uint8_t *context  # of FIPS 204
    size_t context_size


cdef int track_keypair(const Track *track, uint8_t *public, uint8_t *secret) noexcept nogil:
    if track.oqs == NULL:
        return ed25519_keypair(public, secret)
    return oqs_keypair(track.oqs, public, secret)


cdef int track_sign(
    const Track *track, uint8_t *signature, const uint8_t *message, size_t length, const uint8_t *secret
) noexcept nogil:
    cdef size_t written = track.signature_size
    if track.oqs == NULL:
        return ed25519_sign(signature, NULL, message, length, secret)
    if oqs_sign(
        track.oqs, signature, &written, message, length, track.context, track.context_size, secret
    ) != 0:
        return -1
    # FIPS 204 signatures have one size; a shorter one would leave uninitialised bytes in the answer.
    return 0 if written == track.signature_size else -1


cdef int track_verify(
    const Track *track, const uint8_t *signature, const uint8_t *message, size_t length, const uint8_t *public
) noexcept nogil:
    if track.oqs == NULL:
        return ed25519_verify(signature, message, length, public)
    return oqs_verify(
        track.oqs, message, length, signature, track.signature_size, track.context, track.context_size, public)


cdef enum:
    LARGEST_SIGNATURE = 8192

cdef const uint8_t *PAIRWISE_MESSAGE = <const uint8_t *> b"ron-kms pairwise test"


cdef class SignatureScheme(Scheme):
    cdef Track track[MAX_TRACKS]
    cdef bytes _context

    # Not __init__, which Python could call again or not at all: batches rely on what is set here without asking.
    def __cinit__(self, tuple names not None, bytes context not None=b""):
        cdef Track *track
        if not 1 <= len(names) <= MAX_TRACKS:
            raise ValueError(f"a scheme has 1 to {MAX_TRACKS} tracks")
        if len(context) > 255:
            raise ValueError("a context has at most 255 bytes")
        self._names = names
        self._context = context
        for name in self._names:
            track = &self.track[self.count]
            if name == "Ed25519":
                track.oqs, track.public_size, track.secret_size, track.signature_size = NULL, 32, 64, 64
            else:
                sig = _oqs.lib.OQS_SIG_new(name.encode("ascii"))
                if sig == _oqs.ffi.NULL:
                    raise CoreError(f"this build of liboqs has no {name}")
                sig = _oqs.ffi.gc(sig, _oqs.lib.OQS_SIG_free)
                self._oqs_objects.append(sig)
                track.oqs = <const void *> <uintptr_t> int(_oqs.ffi.cast("uintptr_t", sig))
                track.public_size = sig.length_public_key
                track.secret_size = sig.length_secret_key
                track.signature_size = sig.length_signature
                track.context = <const uint8_t *> PyBytes_AsString(self._context)
                track.context_size = len(self._context)
                self.uses_liboqs = True
                if track.signature_size > LARGEST_SIGNATURE:
                    raise CoreError(f"signatures of {name} are larger than the core expects")
            self.public_size[self.count] = track.public_size
            self.secret_size += track.secret_size
            self.count += 1

    cdef int make(self, uint8_t *secret, uint8_t **publics) noexcept nogil:
        cdef uint8_t signature[LARGEST_SIGNATURE]
        cdef const Track *track
        cdef int i
        for i in range(self.count):
            track = &self.track[i]
            if track_keypair(track, publics[i], secret) != 0:
                return -1
            if track_sign(track, signature, PAIRWISE_MESSAGE, 21, secret) != 0:
                return -1
            if track_verify(track, signature, PAIRWISE_MESSAGE, 21, publics[i]) != 0:
                return -1
            secret += track.secret_size
        return 0

    @property
    def secret_sizes(self) -> tuple:
        return tuple([self.track[i].secret_size for i in range(self.count)])

    @property
    def signature_sizes(self) -> tuple:
        return tuple([self.track[i].signature_size for i in range(self.count)])


cdef str fingerprint_of(tuple public_keys):
    cdef uint8_t digest[16]
    cdef bytes joined = b"".join(public_keys)
    blake2b(digest, sizeof(digest), <const uint8_t *> PyBytes_AsString(joined), len(joined), NULL, 0)
    return PyBytes_FromStringAndSize(<char *> digest, 8).hex()


cdef tuple checked_public_keys(Scheme scheme, object public_keys):
    cdef tuple keys = tuple([bytes(key) for key in public_keys])
    if len(keys) != scheme.count:
        raise ValueError(f"{scheme.count} public keys are needed, one a track")
    for i in range(scheme.count):
        if <size_t> len(keys[i]) != scheme.public_size[i]:
            raise ValueError(f"a public key of {scheme._names[i]} has {scheme.public_size[i]} bytes, not {len(keys[i])}")
    return keys


cdef class PublicKey:
    cdef readonly Scheme scheme
    cdef readonly tuple public_keys
    cdef const uint8_t *pointers[MAX_TRACKS]  # into public_keys, which never changes

    def __cinit__(self, Scheme scheme not None, object public_keys):
        self.scheme = scheme
        self.public_keys = checked_public_keys(scheme, public_keys)
        for i in range(scheme.count):
            self.pointers[i] = <const uint8_t *> PyBytes_AsString(self.public_keys[i])

    @property
    def fingerprint(self) -> str:
        return fingerprint_of(self.public_keys)

    def __repr__(self) -> str:
        return f"<PublicKey {'+'.join(self.scheme._names)} {self.fingerprint}>"
