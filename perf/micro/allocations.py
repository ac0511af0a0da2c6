"""What one call takes of memory: what of it lives in its result, and all that was allocated on the way."""

from __future__ import annotations

import sys
import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

from perf.micro.cells import Memory

if sys.platform == "linux":
    import memray

_FREES = ("FREE", "PYMALLOC_FREE", "MUNMAP")


def memory(call: Callable[[], object], operations: int) -> Memory:
    """Of one call; what looking costs is taken off.

    :param operations: in the call, by which all is divided.
    """
    call()
    nothing, traced = _kept(_nothing), _kept(call)
    blocks, kept, peak = ((of - without) / operations for of, without in zip(traced, nothing, strict=True))
    if sys.platform != "linux":
        return Memory(blocks, kept, peak)
    without_calls, without_bytes = _made(_nothing)
    allocations, allocated = _made(call)
    return Memory(
        blocks, kept, peak, (allocations - without_calls) / operations, (allocated - without_bytes) / operations
    )


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


def _made(call: Callable[[], object]) -> tuple[int, int]:
    """Allocations, with their bytes, whether they live on or not."""
    frees = {memray.AllocatorType[name] for name in _FREES}
    with tempfile.TemporaryDirectory(prefix="ron-kms-allocations-") as folder:
        path = Path(folder) / "trace"
        with memray.Tracker(path, trace_python_allocators=True):
            call()
        with memray.FileReader(path) as reader:
            made = [one for one in reader.get_allocation_records() if one.allocator not in frees]
    return sum(one.n_allocations for one in made), sum(one.size * one.n_allocations for one in made)


def _nothing() -> None:
    pass
