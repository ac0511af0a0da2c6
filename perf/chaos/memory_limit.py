"""A bound on the memory of a service's processes together, by what this machine has for it."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from perf.chaos.drill import NotHere
from perf.load.service import Place

V1 = Path("/sys/fs/cgroup/memory")
V2 = Path("/sys/fs/cgroup")


class Bound(Protocol):
    """A group of processes, begun with :attr:`place`.

    :ivar name: what it is made with.
    """

    name: str

    @property
    def place(self) -> Place: ...

    def used(self) -> int:
        """Bytes now."""

    def limit(self, size: int) -> None:
        """At most so many bytes from now on."""

    def kills(self) -> int:
        """How many of its processes the kernel has killed for it."""


class _Group:
    """A memory cgroup, version 1 or 2, by the names of its files."""

    def __init__(self, folder: Path, name: str, used: str, limit: str, events: str) -> None:
        self.name = name
        self._folder = folder
        self._used, self._limit, self._events = used, limit, events

    @property
    def place(self) -> Place:
        return Place(("sh", "-c", f'echo $$ > {self._folder}/cgroup.procs && exec "$@"', "sh"))

    def used(self) -> int:
        return int((self._folder / self._used).read_text())

    def limit(self, size: int) -> None:
        (self._folder / self._limit).write_text(str(size))

    def kills(self) -> int:
        words = (self._folder / self._events).read_text().split()
        return int(words[words.index("oom_kill") + 1])


@contextlib.contextmanager
def bound() -> Iterator[Bound]:
    """A group of its own, removed at the end, by when its processes have ended.

    :raises NotHere: no such group can be made.
    """
    name = f"ron-kms-chaos-{os.getpid()}"
    if (V1 / "memory.limit_in_bytes").exists():
        folder = V1 / name
        group = _Group(folder, "cgroup v1", "memory.usage_in_bytes", "memory.limit_in_bytes", "memory.oom_control")
    elif "memory" in _controllers():
        folder = V2 / name
        group = _Group(folder, "cgroup v2", "memory.current", "memory.max", "memory.events")
    else:
        raise NotHere("there is no memory cgroup")
    try:
        folder.mkdir()
    except OSError as error:
        raise NotHere(f"no memory cgroup can be made: {error.strerror}") from None
    try:
        yield group
    finally:
        for _ in range(100):
            try:
                folder.rmdir()
            except OSError:  # a process that was killed is not gone yet
                time.sleep(0.1)
            else:
                break


def _controllers() -> list[str]:
    try:
        return (V2 / "cgroup.subtree_control").read_text().split()
    except OSError:
        return []
