"""Stacks as py-spy collapses them: which part of a service each sample is of, and what they look like together."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

import msgspec

PARTS = ("cryptography", "edge", "audit", "server", "other")
"""What a sample can be of; ``edge`` is the application between its server and its cryptography."""

_FOLDERS: Mapping[str, str] = MappingProxyType(
    {
        "ron_kms/audit/": "audit",
        "ron_kms/service/audit.py": "audit",
        "ron_kms/custody/core.py": "cryptography",
        "ron_kms/crypto/": "cryptography",
        "ron_kms/server/": "server",
        "ron_kms/": "edge",
        "starlette/": "edge",
        "msgspec/": "edge",
        "blake3": "edge",
        "hypercorn/": "server",
        "granian/": "server",
        "h2/": "server",
        "h11/": "server",
        "hpack/": "server",
        "hyperframe/": "server",
        "priority/": "server",
        "wsproto/": "server",
        "uvloop/": "server",
        "asyncio/": "server",
        "concurrent/futures/": "edge",
    }
)
_NATIVE: Mapping[str, str] = MappingProxyType(
    {
        "_core.abi3": "cryptography",
        "_oqs.abi3": "cryptography",
        "libsodium": "cryptography",
        "_granian": "server",
        "loop.c": "server",
        "msgspec": "edge",
    }
)


class Stack(msgspec.Struct, frozen=True, array_like=True):
    """
    :ivar thread: its name.
    :ivar frames: outermost first, ``function (file)``.
    :ivar weight: samples, or what these stand for.
    """

    thread: str
    frames: tuple[str, ...]
    weight: float


WITHOUT_PYTHON = "threads without Python"
"""Those of which the interpreter knows nothing: a server's own, in Rust."""

_WAY = re.compile(r"^.*(?:/site-packages/|/src/|/lib/python3\.\d+/|/lib/(?=libpython)|-linux-gnu/|/Python-[\d.]+/)")


def without_way(file: str) -> str:
    """A file's name within its package."""
    return _WAY.sub("", file)


def part(frames: Sequence[str]) -> str:
    """Of the innermost frame that is of a part."""
    for frame in reversed(frames):
        file = frame.rpartition("(")[2].rstrip(")")
        for native, of in _NATIVE.items():
            if native in file:
                return of
        for folder, of in _FOLDERS.items():
            if file.startswith(folder):
                return of
    return "other"


_WAITING = ("Runner.run (asyncio/", "Condition.wait (threading", "_worker (concurrent/futures/", "Queue.get (queue")
"""Innermost frames of a thread that waits: for the loop's next event, or for work."""


def awake(stacks: Iterable[Stack], most: Mapping[str, float]) -> list[Stack]:
    """Without the samples of threads that were ready, and waited for a processor when their wait was over.

    :param most: samples that a thread can have, by the share of the time in which it had a processor. What is more was
        taken where it waits.
    """
    kept = list(stacks)
    total: defaultdict[str, float] = defaultdict(float)
    waiting: defaultdict[str, float] = defaultdict(float)
    for one in kept:
        total[one.thread] += one.weight
        waiting[one.thread] += one.weight * _waits(one)

    def part_left(thread: str) -> float:
        excess = max(0.0, total[thread] - most.get(thread, total[thread]))
        return max(0.0, waiting[thread] - excess) / waiting[thread]

    return [Stack(one.thread, one.frames, one.weight * part_left(one.thread)) if _waits(one) else one for one in kept]


def _waits(one: Stack) -> bool:
    return bool(one.frames) and one.frames[-1].startswith(_WAITING)


def weighted(stacks: Iterable[Stack], cpu: Mapping[str, float]) -> list[Stack]:
    """Each thread's samples as its share of what the kernel counted, for a thread that waits may be sampled, too.

    :param cpu: of each thread, in any unit; one without a sample gets a stack without frames.
    """
    kept = [one for one in stacks if one.frames and cpu.get(one.thread, 0) > 0]
    total: defaultdict[str, float] = defaultdict(float)
    for one in kept:
        total[one.thread] += one.weight
    found = [Stack(one.thread, one.frames, one.weight / total[one.thread] * cpu[one.thread]) for one in kept]
    return found + [Stack(name, (), taken) for name, taken in cpu.items() if name not in total and taken > 0]


def by_part(stacks: Iterable[Stack]) -> dict[str, float]:
    """The weight of each part. A thread without Python is the server's."""
    found = dict.fromkeys(PARTS, 0.0)
    for one in stacks:
        found[part(one.frames) if one.frames else "server"] += one.weight
    return found


def pruned(stacks: Iterable[Stack], least: float = 0.001) -> list[Stack]:
    """Without the frames below which there is so little that nobody sees them: their callers keep the weight."""
    kept = list(stacks)
    floor = least * sum(one.weight for one in kept)
    below: defaultdict[tuple[str, tuple[str, ...]], float] = defaultdict(float)
    for one in kept:
        for depth in range(len(one.frames) + 1):
            below[one.thread, one.frames[:depth]] += one.weight
    found: defaultdict[tuple[str, tuple[str, ...]], float] = defaultdict(float)
    for one in kept:
        depth = len(one.frames)
        while depth and below[one.thread, one.frames[:depth]] < floor:
            depth -= 1
        found[one.thread, one.frames[:depth]] += one.weight
    ordered = sorted(found.items(), key=lambda each: -each[1])
    return [Stack(thread, frames, round(weight, 3)) for (thread, frames), weight in ordered]
