# A thread that writes and syncs files and never takes the GIL. A thread of Python's that has synced must get the GIL back
# before it can tell anybody, from a loop that is busy: for a record of the audit log that costs more than the disk does.
# One order at a time: who gives orders gathers what comes meanwhile for the next one.

cdef extern from *:
    """
    #include <errno.h>
    #include <pthread.h>
    #include <signal.h>
    #include <unistd.h>
    #if !defined(__linux__)
    #define fdatasync fsync
    #endif

    enum { RON_KMS_IDLE, RON_KMS_ORDERED, RON_KMS_DONE, RON_KMS_STOPPED };

    typedef struct {
        pthread_mutex_t lock;
        pthread_cond_t changed;
        pthread_t thread;
        const unsigned char *data;
        size_t size;
        int fd, sync, tell, state, error, waiters;
    } ron_kms_writer;

    static int ron_kms_write_all(int fd, const unsigned char *data, size_t size, int sync) {
        while (size) {
            ssize_t n = write(fd, data, size);
            if (n < 0) {
                if (errno == EINTR) continue;
                return errno;
            }
            data += n;
            size -= (size_t)n;
        }
        while (sync && fdatasync(fd) != 0)
            if (errno != EINTR) return errno;
        return 0;
    }

    static void *ron_kms_writer_run(void *argument) {
        ron_kms_writer *self = argument;
        const unsigned long long one = 1;
        pthread_mutex_lock(&self->lock);
        for (;;) {
            while (self->state == RON_KMS_IDLE || self->state == RON_KMS_DONE)
                pthread_cond_wait(&self->changed, &self->lock);
            if (self->state == RON_KMS_STOPPED) break;
            /* What was ordered stays as it is until it is done: it is read without the lock. */
            pthread_mutex_unlock(&self->lock);
            int error = ron_kms_write_all(self->fd, self->data, self->size, self->sync);
            pthread_mutex_lock(&self->lock);
            self->error = error;
            self->state = RON_KMS_DONE;
            pthread_cond_broadcast(&self->changed);
            pthread_mutex_unlock(&self->lock);
            while (write(self->tell, &one, sizeof one) < 0 && errno == EINTR) {}
            pthread_mutex_lock(&self->lock);
        }
        pthread_mutex_unlock(&self->lock);
        return NULL;
    }

    static ron_kms_writer *ron_kms_writer_start(int tell) {
        ron_kms_writer *self = calloc(1, sizeof *self);
        sigset_t all, before;
        int error;
        if (self == NULL) return NULL;
        self->tell = tell;
        pthread_mutex_init(&self->lock, NULL);
        pthread_cond_init(&self->changed, NULL);
        sigfillset(&all); /* signals are for Python's threads */
        pthread_sigmask(SIG_SETMASK, &all, &before);
        error = pthread_create(&self->thread, NULL, ron_kms_writer_run, self);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        if (error) {
            free(self);
            return NULL;
        }
        return self;
    }

    static int ron_kms_writer_order(ron_kms_writer *self, int fd, const unsigned char *data, size_t size, int sync) {
        int taken;
        pthread_mutex_lock(&self->lock);
        taken = self->state == RON_KMS_IDLE;
        if (taken) {
            self->fd = fd;
            self->data = data;
            self->size = size;
            self->sync = sync;
            self->state = RON_KMS_ORDERED;
        }
        pthread_mutex_unlock(&self->lock);
        if (taken) pthread_cond_broadcast(&self->changed);
        return taken;
    }

    /* With the GIL, which whoever stops it needs first: a waiter that is not counted yet would wait for freed memory. */
    static void ron_kms_writer_enter(ron_kms_writer *self) {
        pthread_mutex_lock(&self->lock);
        self->waiters++;
        pthread_mutex_unlock(&self->lock);
    }

    static void ron_kms_writer_wait(ron_kms_writer *self) {
        pthread_mutex_lock(&self->lock);
        while (self->state == RON_KMS_ORDERED) pthread_cond_wait(&self->changed, &self->lock);
        self->waiters--;
        pthread_cond_broadcast(&self->changed);
        pthread_mutex_unlock(&self->lock);
    }

    static int ron_kms_writer_outcome(ron_kms_writer *self) {
        int error = -1;
        pthread_mutex_lock(&self->lock);
        if (self->state == RON_KMS_DONE) {
            self->state = RON_KMS_IDLE;
            error = self->error;
        }
        pthread_mutex_unlock(&self->lock);
        return error;
    }

    static void ron_kms_writer_stop(ron_kms_writer *self) {
        pthread_mutex_lock(&self->lock);
        while (self->state == RON_KMS_ORDERED) pthread_cond_wait(&self->changed, &self->lock);
        self->state = RON_KMS_STOPPED;
        pthread_cond_broadcast(&self->changed);
        while (self->waiters) pthread_cond_wait(&self->changed, &self->lock);
        pthread_mutex_unlock(&self->lock);
        pthread_join(self->thread, NULL);
        pthread_cond_destroy(&self->changed);
        pthread_mutex_destroy(&self->lock);
        free(self);
    }
    """
    ctypedef struct ron_kms_writer:
        pass

    ron_kms_writer *ron_kms_writer_start(int tell) nogil
    int ron_kms_writer_order(ron_kms_writer *self, int fd, const uint8_t *data, size_t size, int sync) nogil
    void ron_kms_writer_enter(ron_kms_writer *self) nogil
    void ron_kms_writer_wait(ron_kms_writer *self) nogil
    int ron_kms_writer_outcome(ron_kms_writer *self) nogil
    void ron_kms_writer_stop(ron_kms_writer *self) nogil
    int getpid() nogil


cdef class Writer:
    cdef ron_kms_writer *native
    cdef bytes data
    cdef int process

    def __init__(self, int tell):
        if self.native != NULL:
            raise RuntimeError("the writer has begun already")
        self.process = getpid()
        self.native = ron_kms_writer_start(tell)
        if self.native == NULL:
            raise CoreError("no thread can be had")

    def order(self, int fd, bytes data not None, *, bint sync) -> None:
        self.check_running()
        if not ron_kms_writer_order(self.native, fd, <const uint8_t *> PyBytes_AsString(data), <size_t> len(data), sync):
            raise RuntimeError("the last order is not done yet, or nobody has asked what came of it")
        self.data = data

    def wait(self) -> None:
        cdef ron_kms_writer *native = self.native
        if native != NULL:
            ron_kms_writer_enter(native)
            with nogil:
                ron_kms_writer_wait(native)

    def outcome(self) -> int | None:
        cdef int error
        self.check_running()
        error = ron_kms_writer_outcome(self.native)
        if error < 0:
            return None
        self.data = None
        return error

    def close(self) -> None:
        cdef ron_kms_writer *native = self.native
        self.native = NULL
        if native != NULL and self.process == getpid():  # a fork has the memory, and not the thread
            with nogil:
                ron_kms_writer_stop(native)

    def __dealloc__(self):
        if self.native != NULL and self.process == getpid():
            ron_kms_writer_stop(self.native)

    cdef int check_running(self) except -1:
        if self.native == NULL:
            raise ValueError("the writer is closed")
        return 0
