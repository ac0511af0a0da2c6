"""The C loop: ``floor.c``, compiled when first needed, with the static liboqs and the libsodium that the core has."""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pysodium
from cffi import FFI

from ron_kms import _core

HERE = Path(__file__).parent
FLAGS = ("-std=gnu11", "-O3", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-pthread")
# As the core's copy of liboqs is linked; else each call inside liboqs would go by a table, and cost a few per cent.
HIDE = ("-Wl,--exclude-libs,ALL",) if sys.platform == "linux" else ()


class Span(msgspec.Struct):
    """What one thread measured over some calls, in nanoseconds.

    :ivar calls: duration of each call.
    :ivar cpu: the thread's processor time inside the calls.
    :ivar start: of the first call, by the monotonic clock.
    :ivar end: after the last call, when its results are freed too.
    :ivar waited: how long between these two the thread was ready to run while something else had the processor.
    """

    calls: list[int]
    cpu: int
    start: int
    end: int
    waited: int


def build() -> Path:
    """The compiled loop, from the cache or put into it, whose name tells all inputs.

    :raises SystemExit: there is no liboqs, as ``wheels/build_liboqs.py`` says it.
    :raises subprocess.CalledProcessError: the compiler refuses; its message is on stderr.
    """
    liboqs = runpy.run_path(str(HERE.parents[1] / "wheels" / "build_liboqs.py"))["find"]()
    compiler = os.environ.get("CC", "cc").split()
    version = subprocess.run([*compiler, "--version"], stdout=subprocess.PIPE, check=True).stdout
    inputs = (
        repr((liboqs, FLAGS, HIDE)).encode(),
        version,
        *((HERE / name).read_bytes() for name in ("floor.c", "floor.h")),
    )
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ron-kms"
    built = cache / f"floor-{hashlib.sha256(b''.join(inputs)).hexdigest()[:16]}.so"
    if not built.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="building-", dir=cache) as scratch:
            fresh = Path(scratch) / "floor.so"
            sources = (f"-I{liboqs.include}", f"-I{HERE}", str(HERE / "floor.c"), str(liboqs.archive), "-lsodium")
            subprocess.run([*compiler, *FLAGS, *HIDE, *sources, "-o", str(fresh)], check=True)
            fresh.rename(built)
    return built


class Floor:
    """The loaded loop.

    :raises RuntimeError: it would not call what the core calls.
    """

    def __init__(self, library: str) -> None:
        self.ffi, self.lib = _load(library)
        found = self.ffi.string(self.lib.floor_oqs_version()).decode()
        if found != _core.liboqs_version():
            raise RuntimeError(f"the C loop has liboqs {found}, the core {_core.liboqs_version()}: build both again")
        mine = int(self.ffi.cast("uintptr_t", self.lib.floor_ed25519_sign()))
        theirs = ctypes.cast(pysodium.sodium.crypto_sign_ed25519_detached, ctypes.c_void_p).value
        if mine != theirs:
            raise RuntimeError("the C loop and the core have loaded two different libsodium")

    def replay(self, seed: int) -> None:
        """Give this thread the random numbers that follow from ``seed``; 0: the system's."""
        self.lib.floor_replay(seed)

    def start(self, parties: int) -> Any:
        """Return in all these threads at once, with what :meth:`end` wants."""
        span = self.ffi.new("floor_span *")
        self.lib.floor_start(parties, span)
        return span

    def end(self, span: Any) -> tuple[int, int, int]:
        """Start, end, and how long in between the thread was ready to run while something else had the processor."""
        self.lib.floor_end(span)
        return span.start, span.end, span.waited


def _load(library: str) -> tuple[Any, Any]:
    ffi = FFI()
    ffi.cdef(re.sub(r"/\*.*?\*/", "", (HERE / "floor.h").read_text(), flags=re.DOTALL))
    return ffi, ffi.dlopen(library)


class FloorKey(NamedTuple):
    """A key as C has it. Its secret lies in plain memory, and is the bench's own."""

    native: Any
    public_keys: tuple[bytes, ...]
    secret: bytes


def make_key(floor: Floor, tracks: tuple[str, ...], seeds: list[bytes]) -> FloorKey:
    """The key of RFC 8032 or FIPS 204 that 32 bytes a track stand for; ``tracks`` as the C libraries name them."""
    ffi = floor.ffi
    native = ffi.gc(ffi.new("floor_key *"), floor.lib.floor_key_wipe)
    names = [ffi.new("char[]", name.encode()) for name in tracks]
    if floor.lib.floor_key_make(native, ffi.new("char *[]", names), len(names), b"".join(seeds)) != 0:
        raise RuntimeError(f"the C loop cannot make a key of {'+'.join(tracks)}")
    parts = [native.track[t] for t in range(len(tracks))]
    public_keys = tuple(bytes(ffi.buffer(part.public_key, part.public_size)) for part in parts)
    secret = b"".join(bytes(ffi.buffer(part.secret_key, part.secret_size)) for part in parts)
    return FloorKey(native, public_keys, secret)


class FloorLane:
    """One operation in batches of one size, looped and timed by C.

    :param operation: ``generate``, ``sign`` or ``verify``.
    :param messages: of one size, each with its signatures, all tracks one after the other.
    """

    def __init__(
        self, floor: Floor, key: FloorKey, operation: str, batch: int, messages: list[bytes], signatures: list[bytes]
    ) -> None:
        self._floor = floor
        self._key = key
        self._operation = operation
        self._function = getattr(floor.lib, f"floor_{operation}")
        self._batch = batch
        self._total = len(messages)
        self._size = len(messages[0])
        self._messages = floor.ffi.new("uint8_t[]", b"".join(messages))
        self._signatures = [floor.ffi.new("uint8_t[]", b"".join(signatures)) for _ in range(2)]

    def run(self, first: int, calls: int, seed: int, parties: int = 1, party: int = 0) -> Span:
        """Make ``calls`` calls, the first of them the one numbered ``first``.

        :raises RuntimeError: a call failed.
        """
        ffi = self._floor.ffi
        work = ffi.new("floor_work *")
        work.key, work.messages, work.message_size = self._key.native, self._messages, self._size
        work.signatures, work.total = self._signatures[party], self._total
        work.first, work.batch, work.calls = first * self._batch % self._total, self._batch, calls
        work.parties, work.seed = parties, seed
        walls, span = ffi.new("int64_t[]", calls), ffi.new("floor_span *")
        self._function(work, walls, span)
        if span.failed:
            raise RuntimeError(f"{self._operation} failed in the C loop")
        return Span(list(walls), span.cpu, span.start, span.end, span.waited)

    def written(self) -> bytes:
        """The signatures that the first thread's calls wrote, of all messages."""
        return bytes(self._floor.ffi.buffer(self._signatures[0]))
