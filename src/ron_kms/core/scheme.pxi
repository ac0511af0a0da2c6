# A signing suite in compiled form: one or two tracks, each an algorithm of libsodium or liboqs with its sizes.

cdef enum:
    MAX_TRACKS = 2

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


cdef class SignatureScheme:
    cdef Track track[MAX_TRACKS]
    cdef int count
    cdef size_t secret_size
    cdef bint uses_liboqs
    cdef tuple _names
    cdef bytes _context
    cdef list _oqs_objects  # keeps the OQS_SIG structs alive

    def __init__(self, names: tuple, context: bytes = b"") -> None:
        cdef Track *track
        if not 1 <= len(names) <= MAX_TRACKS:
            raise ValueError(f"a scheme has 1 to {MAX_TRACKS} tracks")
        if len(context) > 255:
            raise ValueError("a context has at most 255 bytes")
        self._names = tuple(names)
        self._context = bytes(context)
        self._oqs_objects = []
        self.count = 0
        self.secret_size = 0
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
            self.secret_size += track.secret_size
            self.count += 1

    @property
    def tracks(self) -> tuple:
        return self._names

    @property
    def public_sizes(self) -> tuple:
        return tuple([self.track[i].public_size for i in range(self.count)])

    @property
    def secret_sizes(self) -> tuple:
        return tuple([self.track[i].secret_size for i in range(self.count)])

    @property
    def signature_sizes(self) -> tuple:
        return tuple([self.track[i].signature_size for i in range(self.count)])

    def __repr__(self) -> str:
        return f"SignatureScheme({self._names!r})"


cdef str fingerprint_of(tuple public_keys):
    cdef uint8_t digest[16]
    cdef bytes joined = b"".join(public_keys)
    blake2b(digest, sizeof(digest), <const uint8_t *> PyBytes_AsString(joined), len(joined), NULL, 0)
    return PyBytes_FromStringAndSize(<char *> digest, 8).hex()


cdef tuple checked_public_keys(SignatureScheme scheme, object public_keys):
    cdef tuple keys = tuple([bytes(key) for key in public_keys])
    if len(keys) != scheme.count:
        raise ValueError(f"{scheme.count} public keys are needed, one a track")
    for i in range(scheme.count):
        if <size_t> len(keys[i]) != scheme.track[i].public_size:
            raise ValueError(f"a public key of {scheme._names[i]} has {scheme.track[i].public_size} bytes, not {len(keys[i])}")
    return keys


cdef class PublicKey:
    cdef readonly SignatureScheme scheme
    cdef readonly tuple public_keys
    cdef const uint8_t *pointers[MAX_TRACKS]  # into public_keys, which never changes

    def __init__(self, scheme: SignatureScheme, public_keys: object) -> None:
        self.scheme = scheme
        self.public_keys = checked_public_keys(scheme, public_keys)
        for i in range(scheme.count):
            self.pointers[i] = <const uint8_t *> PyBytes_AsString(self.public_keys[i])

    @property
    def fingerprint(self) -> str:
        return fingerprint_of(self.public_keys)

    def __repr__(self) -> str:
        return f"<PublicKey {'+'.join(self.scheme._names)} {self.fingerprint}>"
