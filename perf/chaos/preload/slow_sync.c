/* fsync and fdatasync take so many microseconds longer as is told. */
#include "told.h"

static int delayed(const char *name, int fd)
{
    int64_t micros = told();
    struct timespec wait = {micros / 1000000, micros % 1000000 * 1000};

    nanosleep(&wait, NULL);
    return ((int (*)(int))dlsym(RTLD_NEXT, name))(fd);
}

int fsync(int fd)
{
    return delayed("fsync", fd);
}

int fdatasync(int fd)
{
    return delayed("fdatasync", fd);
}
