# The Merkle tree over the items of one batch (RFC 6962, section 2.1), without the GIL: a batch has up to 1,024 of them, and
# hashed one by one from Python they would keep the event loop waiting for a millisecond.

cdef enum:
    SHA256_SIZE = 32
    MERKLE_LEVELS = 64  # a batch has fewer than 2 ** 64 items


cdef struct Leaf:
    const uint8_t *data
    Py_ssize_t size


cdef void leaf_hash(uint8_t *out, const Leaf *leaf) noexcept nogil:
    cdef uint8_t state[128]
    cdef uint8_t prefix = 0
    sha256_init(state)
    sha256_update(state, &prefix, 1)
    sha256_update(state, leaf.data, <unsigned long long> leaf.size)
    sha256_final(state, out)


# ``pair`` is two hashes one after the other; their parent takes the place of the left one.
cdef void node_hash(uint8_t *pair) noexcept nogil:
    cdef uint8_t state[128]
    cdef uint8_t prefix = 1
    sha256_init(state)
    sha256_update(state, &prefix, 1)
    sha256_update(state, pair, 2 * SHA256_SIZE)
    sha256_final(state, pair)


def merkle_root(object leaves) -> bytes:
    cdef tuple held = tuple(leaves)
    cdef Py_ssize_t i, n = len(held)
    cdef uint8_t stack[MERKLE_LEVELS * SHA256_SIZE]
    cdef uint8_t prefix = 0
    cdef int depth = 0
    cdef Py_ssize_t rest
    cdef Leaf *jobs = <Leaf *> calloc(n + 1, sizeof(Leaf))
    if jobs == NULL:
        raise MemoryError
    try:
        for i in range(n):
            if type(held[i]) is not bytes:
                raise TypeError(f"a leaf is bytes, not {type(held[i]).__name__}")
            jobs[i].data = <const uint8_t *> PyBytes_AsString(held[i])
            jobs[i].size = len(<bytes> held[i])
        with nogil:
            # The stack holds the roots of the full subtrees so far, the largest first: one for each bit of i.
            for i in range(n):
                leaf_hash(&stack[depth * SHA256_SIZE], &jobs[i])
                depth += 1
                rest = i
                while rest & 1:
                    depth -= 1
                    node_hash(&stack[(depth - 1) * SHA256_SIZE])
                    rest >>= 1
            while depth > 1:
                depth -= 1
                node_hash(&stack[(depth - 1) * SHA256_SIZE])
            if n == 0:
                sha256(stack, &prefix, 0)
    finally:
        free(jobs)
    return PyBytes_FromStringAndSize(<char *> stack, SHA256_SIZE)
