/* What floor.py calls. Without directives, so that cffi reads it as it is. */

typedef struct {
    const void *oqs; /* an OQS_SIG; NULL: Ed25519 of libsodium */
    size_t public_size, secret_size, signature_size;
    uint8_t *public_key, *secret_key;
} floor_track;

typedef struct {
    int tracks;
    size_t public_size, secret_size, signature_size; /* of all tracks together */
    floor_track track[2];
} floor_key;

/* `calls` batches of `batch` items, item i with message i % total; `first` is the first item. */
typedef struct {
    const floor_key *key;
    const uint8_t *messages;
    size_t message_size;
    uint8_t *signatures; /* of all messages: read by verify, written by sign */
    int total, first, batch, calls;
    int parties;   /* threads that start together */
    uint64_t seed; /* of this thread's random numbers; 0: the system's own */
} floor_work;

/* Nanoseconds: of the monotonic clock, of the thread's processor time inside batches, and how long the thread was ready to
 * run while something else had the processor. */
typedef struct {
    int64_t start, end, cpu, waited;
    int failed;
} floor_span;

const char *floor_oqs_version(void);
const void *floor_ed25519_sign(void);

/* Makes the key that RFC 8032 and FIPS 204 derive from one 32-byte seed a track. Not for two threads at once. */
int floor_key_make(floor_key *key, const char *const *names, int tracks, const uint8_t *seeds);
void floor_key_wipe(floor_key *key);

/* From now on getentropy gives this thread a sequence that follows from `seed` (0: the system's again). */
void floor_replay(uint64_t seed);

/* Returns in all `parties` threads at the same time, and starts their spans. */
void floor_start(int parties, floor_span *span);
void floor_end(floor_span *span);

/* Run the work; walls[i] becomes the duration of batch i. */
void floor_sign(const floor_work *work, int64_t *walls, floor_span *span);
void floor_verify(const floor_work *work, int64_t *walls, floor_span *span);
void floor_generate(const floor_work *work, int64_t *walls, floor_span *span);
