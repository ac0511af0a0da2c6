# Hardening of the whole process, for those that keep keys: no core file, no debugger, no /proc/self/mem for others.

cdef extern from *:
    """
    #include <sys/resource.h>
    #if defined(__linux__)
    #include <sys/prctl.h>
    static int ron_kms_set_dumpable(int dumpable) { return prctl(PR_SET_DUMPABLE, dumpable, 0, 0, 0); }
    static int ron_kms_get_dumpable(void) { return prctl(PR_GET_DUMPABLE, 0, 0, 0, 0); }
    #else
    static int ron_kms_set_dumpable(int dumpable) { (void)dumpable; return 0; }
    static int ron_kms_get_dumpable(void) { return 0; }
    #endif
    static int ron_kms_no_core_file(void) {
        struct rlimit none = {0, 0};
        return setrlimit(RLIMIT_CORE, &none);
    }
    """
    int ron_kms_set_dumpable(int dumpable) nogil
    int ron_kms_get_dumpable() nogil
    int ron_kms_no_core_file() nogil


def harden_process(*, dumpable: bool = False) -> None:
    if ron_kms_no_core_file() != 0:
        raise CoreError("the limit of core files cannot be set to zero")
    if ron_kms_set_dumpable(1 if dumpable else 0) != 0:
        raise CoreError("the process cannot be made non-dumpable")


def process_is_dumpable() -> bool:
    return ron_kms_get_dumpable() != 0
