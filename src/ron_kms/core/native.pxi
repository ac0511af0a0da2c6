# C functions of liboqs (from the cffi module) and libsodium (from the library that pysodium has loaded), as pointers that
# the loops call without the GIL. ``noexcept nogil`` keeps Cython from taking the GIL back after each call.

import ctypes as _ctypes

import pysodium as _pysodium

from ron_kms import _oqs


class CoreError(Exception):
    """A C function refused: a blob that does not open, memory that cannot be had, a key that was released."""


class GuardedMemoryError(CoreError):
    """No more guarded memory: the limits of locked memory or of mappings are reached."""


ctypedef int (*oqs_keypair_t)(const void *, uint8_t *, uint8_t *) noexcept nogil
ctypedef int (*oqs_sign_t)(
    const void *, uint8_t *, size_t *, const uint8_t *, size_t, const uint8_t *, size_t, const uint8_t *) noexcept nogil
ctypedef int (*oqs_verify_t)(
    const void *, const uint8_t *, size_t, const uint8_t *, size_t, const uint8_t *, size_t, const uint8_t *) noexcept nogil

ctypedef int (*oqs_derand_t)(const void *, uint8_t *, uint8_t *, const uint8_t *) noexcept nogil
ctypedef int (*oqs_encaps_t)(const void *, uint8_t *, uint8_t *, const uint8_t *) noexcept nogil
ctypedef int (*oqs_decaps_t)(const void *, uint8_t *, const uint8_t *, const uint8_t *) noexcept nogil
ctypedef void (*sha3_t)(uint8_t *, const uint8_t *, size_t) noexcept nogil
ctypedef void (*shake_t)(uint8_t *, size_t, const uint8_t *, size_t) noexcept nogil
ctypedef void (*aes_ecb_t)(const uint8_t *, size_t, const uint8_t *, uint8_t *) noexcept nogil

ctypedef int (*int_void_t)() noexcept nogil
ctypedef int (*scalarmult_t)(uint8_t *, const uint8_t *, const uint8_t *) noexcept nogil
ctypedef int (*scalarmult_base_t)(uint8_t *, const uint8_t *) noexcept nogil
ctypedef void *(*malloc_t)(size_t) noexcept nogil
ctypedef void (*free_t)(void *) noexcept nogil
ctypedef int (*protect_t)(void *) noexcept nogil
ctypedef void (*memzero_t)(void *, size_t) noexcept nogil
ctypedef void (*stackzero_t)(size_t) noexcept nogil
ctypedef int (*memcmp_t)(const void *, const void *, size_t) noexcept nogil
ctypedef void (*randombytes_t)(void *, size_t) noexcept nogil
ctypedef int (*hex2bin_t)(uint8_t *, size_t, const char *, size_t, const char *, size_t *, const char **) noexcept nogil
ctypedef char *(*bin2hex_t)(char *, size_t, const uint8_t *, size_t) noexcept nogil
ctypedef int (*ed_keypair_t)(uint8_t *, uint8_t *) noexcept nogil
ctypedef int (*ed_seed_keypair_t)(uint8_t *, uint8_t *, const uint8_t *) noexcept nogil
ctypedef int (*ed_sign_t)(uint8_t *, unsigned long long *, const uint8_t *, unsigned long long, const uint8_t *) noexcept nogil
ctypedef int (*ed_verify_t)(const uint8_t *, const uint8_t *, unsigned long long, const uint8_t *) noexcept nogil
ctypedef int (*generichash_t)(
    uint8_t *, size_t, const uint8_t *, unsigned long long, const uint8_t *, size_t) noexcept nogil
ctypedef int (*sha256_t)(uint8_t *, const uint8_t *, unsigned long long) noexcept nogil
ctypedef int (*sha256_init_t)(void *) noexcept nogil
ctypedef int (*hmac_init_t)(void *, const uint8_t *, size_t) noexcept nogil
ctypedef int (*hmac_update_t)(void *, const uint8_t *, unsigned long long) noexcept nogil
ctypedef int (*hmac_final_t)(void *, uint8_t *) noexcept nogil
ctypedef int (*aead_encrypt_t)(
    uint8_t *, unsigned long long *, const uint8_t *, unsigned long long, const uint8_t *, unsigned long long,
    const uint8_t *, const uint8_t *, const uint8_t *) noexcept nogil
ctypedef int (*aead_decrypt_t)(
    uint8_t *, unsigned long long *, uint8_t *, const uint8_t *, unsigned long long, const uint8_t *,
    unsigned long long, const uint8_t *, const uint8_t *) noexcept nogil
ctypedef int (*pwhash_t)(
    uint8_t *, unsigned long long, const char *, unsigned long long, const uint8_t *, unsigned long long, size_t,
    int) noexcept nogil


cdef uintptr_t _oqs_address(str name) except 0:
    return <uintptr_t> int(_oqs.ffi.cast("uintptr_t", _oqs.ffi.addressof(_oqs.lib, name)))


cdef uintptr_t _sodium_address(str name) except 0:
    try:
        function = getattr(_pysodium.sodium, name)
    except AttributeError:
        raise ImportError(f"libsodium has no {name}: install libsodium 1.0.18 or newer") from None
    return <uintptr_t> _ctypes.cast(function, _ctypes.c_void_p).value


cdef oqs_keypair_t oqs_keypair = <oqs_keypair_t> _oqs_address("OQS_SIG_keypair")
cdef oqs_sign_t oqs_sign = <oqs_sign_t> _oqs_address("OQS_SIG_sign_with_ctx_str")
cdef oqs_verify_t oqs_verify = <oqs_verify_t> _oqs_address("OQS_SIG_verify_with_ctx_str")
cdef oqs_keypair_t oqs_kem_keypair = <oqs_keypair_t> _oqs_address("OQS_KEM_keypair")
cdef oqs_derand_t oqs_kem_keypair_derand = <oqs_derand_t> _oqs_address("OQS_KEM_keypair_derand")
cdef oqs_encaps_t oqs_encaps = <oqs_encaps_t> _oqs_address("OQS_KEM_encaps")
cdef oqs_decaps_t oqs_decaps = <oqs_decaps_t> _oqs_address("OQS_KEM_decaps")
cdef sha3_t sha3_256 = <sha3_t> _oqs_address("OQS_SHA3_sha3_256")
cdef shake_t shake256 = <shake_t> _oqs_address("OQS_SHA3_shake256")
cdef aes_ecb_t aes256_ecb = <aes_ecb_t> _oqs_address("OQS_AES256_ECB_enc")

cdef malloc_t sodium_malloc = <malloc_t> _sodium_address("sodium_malloc")
cdef free_t sodium_free = <free_t> _sodium_address("sodium_free")
cdef protect_t sodium_mprotect_readonly = <protect_t> _sodium_address("sodium_mprotect_readonly")
cdef memzero_t sodium_memzero = <memzero_t> _sodium_address("sodium_memzero")
cdef stackzero_t sodium_stackzero = <stackzero_t> _sodium_address("sodium_stackzero")
cdef memcmp_t sodium_memcmp = <memcmp_t> _sodium_address("sodium_memcmp")
cdef randombytes_t randombytes_buf = <randombytes_t> _sodium_address("randombytes_buf")
cdef hex2bin_t sodium_hex2bin = <hex2bin_t> _sodium_address("sodium_hex2bin")
cdef bin2hex_t sodium_bin2hex = <bin2hex_t> _sodium_address("sodium_bin2hex")
cdef ed_keypair_t ed25519_keypair = <ed_keypair_t> _sodium_address("crypto_sign_ed25519_keypair")
cdef ed_seed_keypair_t ed25519_seed_keypair = <ed_seed_keypair_t> _sodium_address("crypto_sign_ed25519_seed_keypair")
cdef ed_sign_t ed25519_sign = <ed_sign_t> _sodium_address("crypto_sign_ed25519_detached")
cdef ed_verify_t ed25519_verify = <ed_verify_t> _sodium_address("crypto_sign_ed25519_verify_detached")
cdef generichash_t blake2b = <generichash_t> _sodium_address("crypto_generichash")
cdef sha256_t sha256 = <sha256_t> _sodium_address("crypto_hash_sha256")
cdef sha256_init_t sha256_init = <sha256_init_t> _sodium_address("crypto_hash_sha256_init")
cdef hmac_update_t sha256_update = <hmac_update_t> _sodium_address("crypto_hash_sha256_update")
cdef hmac_final_t sha256_final = <hmac_final_t> _sodium_address("crypto_hash_sha256_final")
cdef hmac_init_t hmac_init = <hmac_init_t> _sodium_address("crypto_auth_hmacsha256_init")
cdef hmac_update_t hmac_update = <hmac_update_t> _sodium_address("crypto_auth_hmacsha256_update")
cdef hmac_final_t hmac_final = <hmac_final_t> _sodium_address("crypto_auth_hmacsha256_final")
cdef scalarmult_t x25519 = <scalarmult_t> _sodium_address("crypto_scalarmult_curve25519")
cdef scalarmult_base_t x25519_base = <scalarmult_base_t> _sodium_address("crypto_scalarmult_curve25519_base")
cdef aead_encrypt_t xchacha_encrypt = <aead_encrypt_t> _sodium_address("crypto_aead_xchacha20poly1305_ietf_encrypt")
cdef aead_decrypt_t xchacha_decrypt = <aead_decrypt_t> _sodium_address("crypto_aead_xchacha20poly1305_ietf_decrypt")
cdef aead_encrypt_t chacha_encrypt = <aead_encrypt_t> _sodium_address("crypto_aead_chacha20poly1305_ietf_encrypt")
cdef aead_decrypt_t chacha_decrypt = <aead_decrypt_t> _sodium_address("crypto_aead_chacha20poly1305_ietf_decrypt")
cdef aead_encrypt_t aes_gcm_encrypt = <aead_encrypt_t> _sodium_address("crypto_aead_aes256gcm_encrypt")
cdef aead_decrypt_t aes_gcm_decrypt = <aead_decrypt_t> _sodium_address("crypto_aead_aes256gcm_decrypt")
cdef pwhash_t argon2 = <pwhash_t> _sodium_address("crypto_pwhash")

# What liboqs may leave of a key on the stack. The deepest user is the pairwise test of ML-DSA-87 where liboqs has no code
# for the processor: 119 KiB for its frame, 2 KiB for what it calls, and 8 KiB for the signature in the caller's.
cdef enum:
    STACK_TO_WIPE = 144 * 1024

cdef int _started = (<int_void_t> _sodium_address("sodium_init"))()
if _started < 0:
    raise ImportError("libsodium cannot start: sodium_init failed, most likely for lack of a random source")
_oqs.lib.ron_kms_wipe_hash_states()
_oqs.lib.OQS_init()

# libsodium's AES-GCM is there only where the CPU has AES instructions; asking before sodium_init always answers no.
cdef bint _has_aes_gcm = (<int_void_t> _sodium_address("crypto_aead_aes256gcm_is_available"))() == 1


def liboqs_version() -> str:
    return _oqs.ffi.string(_oqs.lib.OQS_version()).decode("ascii")


def sodium_version() -> str:
    return _pysodium.sodium.sodium_version_string().decode("ascii")


def _at_least(found: str, needed: tuple, name: str) -> None:
    if tuple(int(part) for part in found.split("-")[0].split(".")[: len(needed)]) < needed:
        raise ImportError(f"{name} {found} is too old: {'.'.join(map(str, needed))} or newer is needed")


_at_least(liboqs_version(), (0, 13), "liboqs")
_at_least(sodium_version(), (1, 0, 18), "libsodium")
