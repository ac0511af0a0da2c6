"""cffi source of ``ron_kms._oqs``: exactly the functions of liboqs that ron-kms calls.

The native core takes their addresses (``ffi.addressof(lib, "OQS_SIG_keypair")``) and calls them in loops that hold no
GIL.
``setup.py`` compiles the module and links it with a static liboqs.
"""

from __future__ import annotations

from cffi import FFI

DECLARATIONS = """
typedef enum { OQS_ERROR = -1, OQS_SUCCESS = 0, ... } OQS_STATUS;

void OQS_init(void);
void ron_kms_wipe_hash_states(void);
const char *OQS_version(void);

typedef struct {
    const char *method_name;
    size_t length_public_key;
    size_t length_secret_key;
    size_t length_signature;
    ...;
} OQS_SIG;

OQS_SIG *OQS_SIG_new(const char *method_name);
void OQS_SIG_free(OQS_SIG *sig);
OQS_STATUS OQS_SIG_keypair(const OQS_SIG *sig, uint8_t *public_key, uint8_t *secret_key);
OQS_STATUS OQS_SIG_sign_with_ctx_str(const OQS_SIG *sig, uint8_t *signature, size_t *signature_len,
                                     const uint8_t *message, size_t message_len,
                                     const uint8_t *ctx_str, size_t ctx_str_len, const uint8_t *secret_key);
OQS_STATUS OQS_SIG_verify_with_ctx_str(const OQS_SIG *sig, const uint8_t *message, size_t message_len,
                                       const uint8_t *signature, size_t signature_len,
                                       const uint8_t *ctx_str, size_t ctx_str_len, const uint8_t *public_key);

typedef struct {
    size_t length_public_key;
    size_t length_secret_key;
    size_t length_ciphertext;
    size_t length_shared_secret;
    size_t length_keypair_seed;
    ...;
} OQS_KEM;

OQS_KEM *OQS_KEM_new(const char *method_name);
void OQS_KEM_free(OQS_KEM *kem);
OQS_STATUS OQS_KEM_keypair(const OQS_KEM *kem, uint8_t *public_key, uint8_t *secret_key);
OQS_STATUS OQS_KEM_keypair_derand(const OQS_KEM *kem, uint8_t *public_key, uint8_t *secret_key, const uint8_t *seed);
OQS_STATUS OQS_KEM_encaps(const OQS_KEM *kem, uint8_t *ciphertext, uint8_t *shared_secret, const uint8_t *public_key);
OQS_STATUS OQS_KEM_decaps(const OQS_KEM *kem, uint8_t *shared_secret, const uint8_t *ciphertext,
                          const uint8_t *secret_key);

void OQS_SHA3_sha3_256(uint8_t *output, const uint8_t *input, size_t inplen);
void OQS_SHA3_shake256(uint8_t *output, size_t outlen, const uint8_t *input, size_t inplen);
void OQS_AES256_ECB_enc(const uint8_t *plaintext, const size_t plaintext_len, const uint8_t *key, uint8_t *ciphertext);
"""

# Primitives that a static liboqs has and its headers keep to itself: X-Wing and XAES-256-GCM need them on secrets.
#
# And what liboqs leaves behind: its SHA-3 states are on the heap, and it frees them as they are. Keccak's permutation
# can be run backwards, so a freed state tells the seed that it has absorbed: that of a key, or of one signature's mask,
# from which the private key follows. They are wiped before they are freed. SHAKE128 expands public matrices only.
PREAMBLE = """
#include <oqs/oqs.h>
#include <oqs/sha3_ops.h>
#include <oqs/sha3x4_ops.h>

void OQS_SHA3_sha3_256(uint8_t *output, const uint8_t *input, size_t inplen);
void OQS_SHA3_shake256(uint8_t *output, size_t outlen, const uint8_t *input, size_t inplen);
void OQS_AES256_ECB_enc(const uint8_t *plaintext, const size_t plaintext_len, const uint8_t *key, uint8_t *ciphertext);

#define STATE_BYTES 200

extern struct OQS_SHA3_callbacks sha3_default_callbacks;
extern struct OQS_SHA3_x4_callbacks sha3_x4_default_callbacks;

#define WIPING(name, states, callbacks)                      \\
    static void wipe_##name(OQS_SHA3_##name##_ctx *state) {  \\
        OQS_MEM_cleanse(state->ctx, (states) * STATE_BYTES); \\
        (callbacks).SHA3_##name##_ctx_release(state);        \\
    }

WIPING(sha3_256_inc, 1, sha3_default_callbacks)
WIPING(sha3_512_inc, 1, sha3_default_callbacks)
WIPING(shake256_inc, 1, sha3_default_callbacks)
WIPING(shake256_x4_inc, 4, sha3_x4_default_callbacks)

static void ron_kms_wipe_hash_states(void) {
    static struct OQS_SHA3_callbacks wiping;
    static struct OQS_SHA3_x4_callbacks wiping_x4;
    wiping = sha3_default_callbacks;
    wiping.SHA3_sha3_256_inc_ctx_release = wipe_sha3_256_inc;
    wiping.SHA3_sha3_512_inc_ctx_release = wipe_sha3_512_inc;
    wiping.SHA3_shake256_inc_ctx_release = wipe_shake256_inc;
    wiping_x4 = sha3_x4_default_callbacks;
    wiping_x4.SHA3_shake256_x4_inc_ctx_release = wipe_shake256_x4_inc;
    OQS_SHA3_set_callbacks(&wiping);
    OQS_SHA3_x4_set_callbacks(&wiping_x4);
}
"""


def builder() -> FFI:
    """The cffi builder, whose ``emit_c_code`` writes the module's C source."""
    ffi = FFI()
    ffi.cdef(DECLARATIONS)
    ffi.set_source("ron_kms._oqs", PREAMBLE)
    return ffi
