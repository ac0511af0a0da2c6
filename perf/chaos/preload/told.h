/* A number that the drill sets while the process runs: 8 bytes in the file that RON_KMS_CHAOS names, mapped. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile const int64_t *place;

__attribute__((constructor)) static void find(void)
{
    const char *path = getenv("RON_KMS_CHAOS");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *found = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *place, PROT_READ, MAP_SHARED, fd, 0);

    if (found != MAP_FAILED)
        place = found;
    if (fd >= 0)
        close(fd);
}

static int64_t told(void)
{
    return place ? *place : 0;
}
