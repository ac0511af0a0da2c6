"""Stacks as py-spy collapses them: which part of a service each sample is of, and what they look like together."""

from __future__ import annotations

import re
from collections import Counter
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
_FRAME = re.compile(r"^(?P<name>.*) \((?P<file>.*?)(?::\d+)?\)$")


class Stack(msgspec.Struct, frozen=True, array_like=True):
    """
    :ivar thread: its name.
    :ivar frames: outermost first, ``function (file)``.
    :ivar samples: how many.
    """

    thread: str
    frames: tuple[str, ...]
    samples: int


def parse(text: str) -> list[Stack]:
    """What ``py-spy record --format raw --threads`` writes; lines of a function count as one."""
    found: Counter[tuple[str, tuple[str, ...]]] = Counter()
    for line in text.splitlines():
        stack, _, count = line.rpartition(" ")
        if not count.isdigit():
            continue
        first, *frames = stack.split(";")
        found[_thread(first), tuple(map(_without_line, frames))] += int(count)
    return [Stack(thread, frames, samples) for (thread, frames), samples in found.most_common()]


def _thread(told: str) -> str:
    """``thread (12): crypto_0`` without its number."""
    return told.partition(": ")[2] or "native"


def _without_line(frame: str) -> str:
    match = _FRAME.match(frame)
    return f"{match['name']} ({match['file']})" if match else frame


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


def shares(stacks: Iterable[Stack]) -> dict[str, float]:
    """The share of all samples that is of each part."""
    counts: Counter[str] = Counter()
    for stack in stacks:
        counts[part(stack.frames)] += stack.samples
    total = counts.total()
    return {name: counts[name] / total for name in PARTS} if total else {}


def pruned(stacks: Iterable[Stack], least: float = 0.001) -> list[Stack]:
    """Without the frames under which there are so few samples that nobody sees them: their callers keep the samples."""
    kept = list(stacks)
    floor = least * sum(stack.samples for stack in kept)
    below: Counter[tuple[str, tuple[str, ...]]] = Counter()
    for stack in kept:
        for depth in range(len(stack.frames) + 1):
            below[stack.thread, stack.frames[:depth]] += stack.samples
    found: Counter[tuple[str, tuple[str, ...]]] = Counter()
    for stack in kept:
        depth = len(stack.frames)
        while depth and below[stack.thread, stack.frames[:depth]] < floor:
            depth -= 1
        found[stack.thread, stack.frames[:depth]] += stack.samples
    return [Stack(thread, frames, samples) for (thread, frames), samples in found.most_common()]
