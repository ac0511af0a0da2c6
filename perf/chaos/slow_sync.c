/* Preloaded: fsync and fdatasync take as many microseconds longer as the file says that RON_KMS_CHAOS_SYNC names. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static void delay(void)
{
    char text[32];
    const char *path = getenv("RON_KMS_CHAOS_SYNC");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    ssize_t size;
    long micros;
    struct timespec time;

    if (fd < 0)
        return;
    size = read(fd, text, sizeof text - 1);
    close(fd);
    if (size <= 0)
        return;
    text[size] = 0;
    micros = strtol(text, NULL, 10);
    time.tv_sec = micros / 1000000;
    time.tv_nsec = micros % 1000000 * 1000;
    nanosleep(&time, NULL);
}

int fsync(int fd)
{
    delay();
    return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(fd);
}

int fdatasync(int fd)
{
    delay();
    return ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(fd);
}
