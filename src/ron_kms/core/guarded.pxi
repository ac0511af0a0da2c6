# Secret memory: allocated by libsodium between guard pages and locked, wiped when it is freed.

cdef object out_of_guarded_memory():
    return GuardedMemoryError("no guarded memory left: keep fewer keys open, or raise RLIMIT_MEMLOCK and vm.max_map_count")


cdef class _Guarded:
    """Owner of one guarded allocation. Subclasses fill it in C; nothing hands its bytes to Python."""

    cdef uint8_t *memory
    cdef size_t size
    cdef Py_ssize_t pins
    cdef bint doomed

    def __init__(self, *args: object, **kwargs: object) -> None:
        raise TypeError(f"{type(self).__name__} is made only inside the core, by generating or unsealing")

    def __dealloc__(self):
        self.wipe()

    cdef int allocate(self, size_t size) except -1:
        self.memory = <uint8_t *> sodium_malloc(size)
        if self.memory == NULL:
            raise out_of_guarded_memory()
        self.size = size
        return 0

    cdef int freeze(self) except -1:
        if sodium_mprotect_readonly(self.memory) != 0:
            raise CoreError("guarded memory cannot be made read-only")
        return 0

    # A slot in use by a batch must outlive it: release() while pinned takes effect with the last unpin. Pins are counted
    # under the GIL only, before and after a loop, never in it.
    cdef inline int check_usable(self) except -1:
        if self.memory == NULL or self.doomed:
            raise CoreError(f"this {type(self).__name__} has been released")
        return 0

    cdef inline int pin(self) except -1:
        self.check_usable()
        self.pins += 1
        return 0

    cdef inline void unpin(self) noexcept:
        self.pins -= 1
        if self.doomed and self.pins == 0:
            self.wipe()

    cdef void wipe(self) noexcept:
        cdef uint8_t *memory = self.memory
        self.memory = NULL
        if memory != NULL:
            with nogil:  # unlocking and unmapping are system calls
                sodium_free(memory)

    def release(self) -> None:
        self.doomed = True
        if self.pins == 0:
            self.wipe()

    @property
    def closed(self) -> bool:
        return self.memory == NULL or self.doomed

    def __reduce__(self):
        raise TypeError(f"a {type(self).__name__} cannot be pickled or copied: its secret stays in guarded memory")

    def __reduce_ex__(self, protocol):
        return self.__reduce__()

    def __copy__(self):
        return self.__reduce__()

    def __deepcopy__(self, memo):
        return self.__reduce__()
