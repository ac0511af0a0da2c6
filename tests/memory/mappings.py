"""A process's memory as the kernel shows it: /proc/<pid>/smaps and /proc/<pid>/mem."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_HEADER = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (\S{4}) ([0-9a-f]+) \S+ \d+\s*(.*)")


class Mapping(NamedTuple):
    """One mapping.

    :ivar offset: where in its file it begins.
    :ivar flags: the kernel's VmFlags, such as ``lo`` (locked) and ``dd`` (left out of core files).
    :ivar locked: kilobytes that are locked in memory.
    """

    start: int
    end: int
    permissions: str
    offset: int
    name: str
    flags: frozenset[str]
    locked: int

    @property
    def readable(self) -> bool:
        return self.permissions[0] == "r" and self.name not in ("[vvar]", "[vvar_vclock]", "[vsyscall]")

    def file_content(self) -> bytes | None:
        """What the file holds that is mapped here, None where there is none."""
        try:
            with Path(self.name).open("rb", 0) as file:
                file.seek(self.offset)
                content = file.read(self.end - self.start)
        except OSError:
            return None
        return content + bytes(self.end - self.start - len(content))


def mappings(pid: int | str = "self") -> list[Mapping]:
    """All mappings of a process, by address."""
    found = []
    fields: dict[str, str] = {}
    header = None
    for line in [*Path(f"/proc/{pid}/smaps").read_text().splitlines(), "0-0 ---p 0 0 0 "]:
        match = _HEADER.match(line)
        if match is None:
            name, _, value = line.partition(":")
            fields[name] = value
            continue
        if header is not None:
            start, end, permissions, offset, name = header
            locked = int(fields.get("Locked", "0 kB").split()[0])
            flags = frozenset(fields.get("VmFlags", "").split())
            found.append(Mapping(int(start, 16), int(end, 16), permissions, int(offset, 16), name, flags, locked))
        header, fields = match.groups(), {}
    return found


def guarded(pid: int | str = "self") -> list[Mapping]:
    """The mappings that are libsodium's guarded memory: locked, left out of core files, between forbidden pages."""
    everything = mappings(pid)
    return [
        mapping
        for before, mapping, after in zip(everything, everything[1:], everything[2:], strict=False)
        if {"lo", "dd"} <= mapping.flags
        and not mapping.name
        and before.permissions == after.permissions == "---p"
        and before.end == mapping.start
        and mapping.end == after.start
    ]


def contents(pid: int | str, chosen: list[Mapping]) -> Iterator[tuple[Mapping, bytes]]:
    """What stands in these mappings now; those that have gone meanwhile are left out."""
    with Path(f"/proc/{pid}/mem").open("rb", 0) as memory:
        for mapping in chosen:
            if mapping.readable:
                try:
                    memory.seek(mapping.start)
                    yield mapping, memory.read(mapping.end - mapping.start)
                except OSError:
                    continue
