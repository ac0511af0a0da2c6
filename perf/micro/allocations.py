"""What one call takes of memory: what of it lives in its result, and all that was allocated on the way."""

from __future__ import annotations

import sys
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

from perf.micro.cells import Memory

if sys.platform == "linux":
    import memray

OPERATIONS = 1_024
_FREES = ("FREE", "PYMALLOC_FREE", "MUNMAP")


class Made:
    """Allocations, Python's and C's, of all threads, whether they live on or not.

    :ivar allocations: None where nothing can count them.
    :ivar allocated: their bytes.
    """

    def __init__(self) -> None:
        self.allocations: int | None = None
        self.allocated = 0


def memory(call: Callable[[], object], operations: int) -> Memory:
    """Of one call that was made before; what looking costs is taken off.

    What is allocated on the way is the mean of so many calls that they have :data:`OPERATIONS`: ML-DSA tries until it
    has a signature, and allocates each time.

    :param operations: in the call, by which all is divided.
    """
    calls = max(1, OPERATIONS // operations)
    blocks, kept, peak = ((of - off) / operations for of, off in zip(_kept(call), _looking().kept, strict=True))
    made, looking = Made(), _looking().made
    with counting(made):
        for _ in range(calls):
            call()
    if made.allocations is None or looking.allocations is None:
        return Memory(blocks, kept, peak)
    allocations, allocated = made.allocations - looking.allocations, made.allocated - looking.allocated
    operations *= calls
    return Memory(blocks, kept, peak, allocations / operations, allocated / operations)


class _Looking(NamedTuple):
    kept: tuple[int, int, int]
    made: Made


@cache
def _looking() -> _Looking:
    """What a call costs that does nothing."""
    for _ in range(2):  # the first look allocates what later ones find
        made = Made()
        with counting(made):
            _nothing()
    return _Looking(_kept(_nothing), made)


@contextmanager
def counting(made: Made) -> Iterator[None]:
    """Count what is allocated inside."""
    if sys.platform != "linux":
        yield
        return
    frees = {memray.AllocatorType[name] for name in _FREES}
    with tempfile.TemporaryDirectory(prefix="ron-kms-allocations-") as folder:
        path = Path(folder) / "trace"
        with memray.Tracker(path, trace_python_allocators=True):
            yield
        with memray.FileReader(path) as reader:
            found = [one for one in reader.get_allocation_records() if one.allocator not in frees]
    made.allocations = sum(one.n_allocations for one in found)
    made.allocated = sum(one.size * one.n_allocations for one in found)


def _kept(call: Callable[[], object]) -> tuple[int, int, int]:
    """Blocks and bytes that live on in a call's result, and the most bytes at any time in it."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        result = call()
        after, peak = tracemalloc.get_traced_memory()
        blocks = sum(stat.count for stat in tracemalloc.take_snapshot().statistics("filename"))
        del result
    finally:
        tracemalloc.stop()
    return blocks, after - before, peak - before


def _nothing() -> None:
    pass
