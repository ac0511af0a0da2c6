/* The floor: what the cryptography costs when C calls it in a plain loop. It makes the very calls that the core makes, of
 * the same libsodium and a copy of the same static liboqs, and times them itself. */

#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <oqs/oqs.h>
#include <sodium.h>

#include "floor.h"

/* --- random numbers ---------------------------------------------------------------------------------------------------
 * ML-DSA signs by trial and error: how often it tries follows from the random numbers of the call, and decides how long
 * it takes. Preloaded into the process, this getentropy gives every contender the same sequence, so that all do the same
 * work; the system is still asked each time, so that it costs what it costs. */

static _Thread_local uint64_t replayed;

void floor_replay(uint64_t seed) { replayed = seed; }

#if defined(__linux__)
#include <sys/random.h>

static uint64_t splitmix64(uint64_t *state) {
    uint64_t z = (*state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

int getentropy(void *buffer, size_t length) {
    uint8_t *out = buffer;
    if (length > 256 || getrandom(buffer, length, 0) != (ssize_t)length) return -1;
    for (size_t at = 0; replayed != 0 && at < length; at += 8) {
        uint64_t word = splitmix64(&replayed);
        memcpy(out + at, &word, length - at < 8 ? length - at : 8);
    }
    return 0;
}
#endif

/* --- one key ---------------------------------------------------------------------------------------------------------- */

static const uint8_t *seed_of_key;

static void give_seed(uint8_t *buffer, size_t length) { memcpy(buffer, seed_of_key, length); }

const char *floor_oqs_version(void) { return OQS_version(); }

const void *floor_ed25519_sign(void) { return (const void *)(uintptr_t)crypto_sign_ed25519_detached; }

int floor_key_make(floor_key *key, const char *const *names, int tracks, const uint8_t *seeds) {
    memset(key, 0, sizeof *key);
    if (sodium_init() < 0) return -1;
    OQS_init();
    for (key->tracks = 0; key->tracks < tracks; key->tracks++) {
        floor_track *track = &key->track[key->tracks];
        const char *name = names[key->tracks];
        seed_of_key = seeds + 32 * key->tracks;
        if (strcmp(name, "Ed25519") == 0) {
            track->public_size = 32;
            track->secret_size = track->signature_size = 64;
        } else {
            const OQS_SIG *sig = OQS_SIG_new(name);
            if (sig == NULL) return -1;
            track->oqs = sig;
            track->public_size = sig->length_public_key;
            track->secret_size = sig->length_secret_key;
            track->signature_size = sig->length_signature;
        }
        track->public_key = malloc(track->public_size);
        track->secret_key = malloc(track->secret_size);
        if (track->public_key == NULL || track->secret_key == NULL) return -1;
        if (track->oqs == NULL) {
            if (crypto_sign_ed25519_seed_keypair(track->public_key, track->secret_key, seed_of_key) != 0) return -1;
        } else {
            OQS_randombytes_custom_algorithm(give_seed);
            OQS_STATUS status = OQS_SIG_keypair(track->oqs, track->public_key, track->secret_key);
            OQS_randombytes_switch_algorithm(OQS_RAND_alg_system);
            if (status != OQS_SUCCESS) return -1;
        }
        key->public_size += track->public_size;
        key->secret_size += track->secret_size;
        key->signature_size += track->signature_size;
    }
    return 0;
}

void floor_key_wipe(floor_key *key) {
    for (int t = 0; t < 2; t++) {
        floor_track *track = &key->track[t];
        free(track->public_key);
        if (track->secret_key != NULL) sodium_memzero(track->secret_key, track->secret_size);
        free(track->secret_key);
        OQS_SIG_free((OQS_SIG *)track->oqs);
    }
    memset(key, 0, sizeof *key);
}

/* --- the calls -------------------------------------------------------------------------------------------------------- */

static int sign_one(const floor_track *track, const uint8_t *message, size_t size, const uint8_t *secret, uint8_t *out) {
    size_t written;
    if (track->oqs == NULL) return crypto_sign_ed25519_detached(out, NULL, message, size, secret);
    return OQS_SIG_sign_with_ctx_str(track->oqs, out, &written, message, size, (const uint8_t *)"", 0, secret);
}

static int verify_one(
    const floor_track *track, const uint8_t *message, size_t size, const uint8_t *public_key, const uint8_t *signature) {
    if (track->oqs == NULL) return crypto_sign_ed25519_verify_detached(signature, message, size, public_key);
    return OQS_SIG_verify_with_ctx_str(
        track->oqs, message, size, signature, track->signature_size, (const uint8_t *)"", 0, public_key);
}

static int sign_batch(const floor_work *work, int first, uint8_t **unused) {
    int failed = 0;
    (void)unused;
    for (int i = first; i < first + work->batch; i++) {
        int at = i % work->total;
        uint8_t *signature = work->signatures + at * work->key->signature_size;
        for (int t = 0; t < work->key->tracks; t++) {
            const floor_track *track = &work->key->track[t];
            failed |= sign_one(
                track, work->messages + at * work->message_size, work->message_size, track->secret_key, signature);
            signature += track->signature_size;
        }
    }
    return failed;
}

static int verify_batch(const floor_work *work, int first, uint8_t **unused) {
    int failed = 0;
    (void)unused;
    for (int i = first; i < first + work->batch; i++) {
        int at = i % work->total;
        const uint8_t *signature = work->signatures + at * work->key->signature_size;
        for (int t = 0; t < work->key->tracks; t++) {
            const floor_track *track = &work->key->track[t];
            failed |= verify_one(
                track, work->messages + at * work->message_size, work->message_size, track->public_key, signature);
            signature += track->signature_size;
        }
    }
    return failed;
}

/* A pair, signed and verified with once, its secret in guarded memory made read-only: what the core does for each key. */
static int generate_batch(const floor_work *work, int first, uint8_t **slots) {
    static const uint8_t message[] = "ron-kms pairwise test";
    const floor_key *key = work->key;
    uint8_t public_key[4096], signature[8192];
    int failed = 0;
    (void)first;
    for (int i = 0; i < work->batch; i++) {
        uint8_t *secret = slots[i] = sodium_malloc(key->secret_size);
        if (secret == NULL) return -1;
        for (int t = 0; t < key->tracks; t++) {
            const floor_track *track = &key->track[t];
            failed |= track->oqs == NULL ? crypto_sign_ed25519_keypair(public_key, secret)
                                         : (int)OQS_SIG_keypair(track->oqs, public_key, secret);
            failed |= sign_one(track, message, sizeof message - 1, secret, signature);
            failed |= verify_one(track, message, sizeof message - 1, public_key, signature);
            secret += track->secret_size;
        }
        failed |= sodium_mprotect_readonly(slots[i]);
    }
    return failed;
}

/* --- time ------------------------------------------------------------------------------------------------------------- */

static int64_t now(clockid_t clock) {
    struct timespec at;
    clock_gettime(clock, &at);
    return (int64_t)at.tv_sec * 1000000000 + at.tv_nsec;
}

static int64_t waited_so_far(void) {
    long long waited = 0;
    FILE *file = fopen("/proc/thread-self/schedstat", "re");
    if (file == NULL) return 0;
    if (fscanf(file, "%*d %lld", &waited) != 1) waited = 0;
    fclose(file);
    return waited;
}

static void meet(int parties) {
    static atomic_int waiting, meetings;
    int before = atomic_load(&meetings);
    if (parties < 2) return;
    if (atomic_fetch_add(&waiting, 1) + 1 == parties) {
        atomic_store(&waiting, 0);
        atomic_fetch_add(&meetings, 1);
        return;
    }
    while (atomic_load(&meetings) == before) sched_yield();
}

void floor_start(int parties, floor_span *span) {
    memset(span, 0, sizeof *span);
    meet(parties);
    span->waited = -waited_so_far();
    span->start = now(CLOCK_MONOTONIC);
}

void floor_end(floor_span *span) {
    span->end = now(CLOCK_MONOTONIC);
    span->waited += waited_so_far();
}

static void run(
    int (*batch)(const floor_work *, int, uint8_t **), const floor_work *work, int64_t *walls, floor_span *span) {
    uint8_t **slots = calloc((size_t)work->batch, sizeof *slots);
    if (slots == NULL) abort();
    floor_replay(work->seed);
    floor_start(work->parties, span);
    for (int call = 0; call < work->calls; call++) {
        int64_t cpu = now(CLOCK_THREAD_CPUTIME_ID), wall = now(CLOCK_MONOTONIC);
        span->failed |= batch(work, work->first + call * work->batch, slots);
        walls[call] = now(CLOCK_MONOTONIC) - wall;
        span->cpu += now(CLOCK_THREAD_CPUTIME_ID) - cpu;
        for (int i = 0; i < work->batch && slots[i] != NULL; i++) {
            sodium_free(slots[i]);
            slots[i] = NULL;
        }
    }
    floor_end(span);
    floor_replay(0);
    free(slots);
}

void floor_sign(const floor_work *work, int64_t *walls, floor_span *span) { run(sign_batch, work, walls, span); }
void floor_verify(const floor_work *work, int64_t *walls, floor_span *span) { run(verify_batch, work, walls, span); }
void floor_generate(const floor_work *work, int64_t *walls, floor_span *span) { run(generate_batch, work, walls, span); }
