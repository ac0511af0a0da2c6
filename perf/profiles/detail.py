"""What a record of this suite has in its ``detail``."""

from __future__ import annotations

from typing import Any

import msgspec

from perf.detail import Distribution
from perf.profiles.stacks import Stack


class Thread(msgspec.Struct, frozen=True):
    """One thread of the worker, or all of one name.

    :ivar cpu: microseconds of processor time an operation.
    :ivar queued: microseconds an operation in which it could have run and had no processor.
    :ivar switches: how often an operation it gave the processor up, waiting or not.
    :ivar states: shares of the native samples in which it ran, waited for the interpreter's lock, or had nothing to do;
        empty where no native samples were taken.
    """

    name: str
    cpu: float
    queued: float
    switches: float
    states: dict[str, float]


class Heap(msgspec.Struct, frozen=True):
    """What memray saw of a worker under load.

    :ivar operations: how many it answered meanwhile.
    :ivar allocations: calls of allocators an operation.
    :ivar allocated: bytes of these an operation.
    :ivar peak: MiB at the highest.
    :ivar places: who allocated most: function, allocations an operation, bytes an operation.
    """

    operations: int
    allocations: float
    allocated: float
    peak: float
    places: tuple[tuple[str, float, float], ...]


class Detail(msgspec.Struct, frozen=True, kw_only=True):
    """
    :ivar command: how it is done again.
    :ivar distributions: ``loop``: how late the event loop was, in milliseconds; ``gc``: how long collections took.
    :ivar stacks: of the threads that ran, as microseconds of processor time an operation.
    :ivar native: with frames of C and Rust, as samples; few, for each of these samples stops the process.
    :ivar files: what lies beside the record: flamegraphs as SVG, and what speedscope opens.
    """

    command: str
    distributions: tuple[Distribution, ...] = ()
    stacks: tuple[Stack, ...] = ()
    native: tuple[Stack, ...] = ()
    threads: tuple[Thread, ...] = ()
    heap: Heap | None = None
    files: tuple[str, ...] = ()


def detail(content: Any) -> Detail:
    """:raises msgspec.ValidationError: it is something else."""
    return msgspec.convert(content, Detail)
