/* The wall clock is ahead by so many microseconds as is told; clocks that only go on are left alone.

   libfaketime 0.9.10 cannot do that: where it leaves the monotonic clock alone, waits until a time of it fail. */
#include "told.h"

static int (*real(void))(clockid_t, struct timespec *)
{
    static int (*found)(clockid_t, struct timespec *);

    if (!found)
        found = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    return found;
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
    int done = real()(clock, time);

    if (!done && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        int64_t nanos = time->tv_nsec + told() % 1000000 * 1000;

        time->tv_sec += told() / 1000000 + (nanos < 0 ? -1 : nanos / 1000000000);
        time->tv_nsec = nanos < 0 ? nanos + 1000000000 : nanos % 1000000000;
    }
    return done;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone)
{
    struct timespec now;

    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    time->tv_sec = now.tv_sec;
    time->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *out)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    if (out)
        *out = now.tv_sec;
    return now.tv_sec;
}
