# cython: language_level=3, boundscheck=False, wraparound=False, binding=True
"""The native core: guarded key memory and batch loops over liboqs and libsodium with the GIL released.

Everything that touches a secret is here, one idea a file under ``core/``. The core checks lengths and return codes and
raises; ``ron_kms.crypto`` gives them meaning. Signatures, units and errors stand in ``_core.pyi``.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AsString, PyBytes_FromStringAndSize
from cpython.exc cimport PyErr_CheckSignals
from libc.errno cimport EINTR, errno
from libc.stdint cimport uint8_t, uintptr_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset, strlen

include "core/native.pxi"
include "core/guarded.pxi"
include "core/process.pxi"
include "core/scheme.pxi"
include "core/slots.pxi"
include "core/batch.pxi"
include "core/secret.pxi"
include "core/kem.pxi"
include "core/hpke.pxi"
include "core/aead.pxi"
include "core/selftest.pxi"
include "core/passphrase.pxi"
include "core/merkle.pxi"
include "core/writer.pxi"
