"""Finding secrets in another process's memory: every readable mapping, every offset, down to parts of a few bytes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from struct import iter_unpack
from typing import NamedTuple

from tests.memory.mappings import contents, guarded, mappings

SHORTEST = 16
"""Bytes in a row that count as found: half of the smallest secret, so that a part of it does not go unseen."""

_TABLE_PIECE = 64
_CHUNK = 1 << 16
_ZEROS = bytes(_CHUNK)


class Found(NamedTuple):
    """Bytes of a secret.

    :ivar secret: its name.
    :ivar place: ``guarded`` for libsodium's guarded memory, otherwise the mapping.
    """

    secret: str
    place: str


class Searched(NamedTuple):
    """What a search saw; ``read`` counts bytes, so that a test can tell an empty search from a clean process."""

    found: frozenset[Found]
    read: int

    def places(self, secret: str) -> set[str]:
        return {one.place for one in self.found if one.secret == secret}

    def outside(self) -> set[Found]:
        """What was found anywhere but in guarded memory."""
        return {one for one in self.found if one.place != "guarded"}


def search(pid: int, secrets: Mapping[str, Iterable[bytes]], tables: Mapping[str, Iterable[bytes]]) -> Searched:
    """Look for parts of secrets.

    Any 16 bytes in a row, wherever they lie, hold a whole word at an address that eight divides. So it is enough to
    look up every such word of the process in the set of all words that the secrets have at any offset, and to compare
    what is around where one is met.

    :param secrets: by name, byte strings of which :data:`SHORTEST` bytes or more must not be found.
    :param tables: by name, arrays of 32-bit numbers, too regular to be told by a word: 31 in a row are found, for they
        hold 16 that begin at a multiple of 64 bytes.
    """
    words: dict[int, list[tuple[str, bytes, int]]] = defaultdict(list)
    for name, parts in secrets.items():
        for part in parts:
            for offset in range(len(part) - 7):
                words[int.from_bytes(part[offset : offset + 8], "little")].append((name, part, offset))
    pieces = {
        part[offset : offset + _TABLE_PIECE]: name
        for name, parts in tables.items()
        for part in parts
        for offset in range(0, len(part) - _TABLE_PIECE + 1, 4)
    }
    wanted, wanted_pieces = set(words), set(pieces)
    protected = {mapping.start for mapping in guarded(pid)}
    found, read = set(), 0
    for mapping, data in contents(pid, mappings(pid)):
        place = "guarded" if mapping.start in protected else mapping.name or f"anonymous {mapping.permissions}"
        read += len(data)
        if data == mapping.file_content():
            continue
        for start in range(0, len(data), _CHUNK):
            chunk = data[start : start + _CHUNK]
            if chunk == _ZEROS[: len(chunk)]:
                continue
            for word in wanted.intersection(memoryview(chunk).cast("Q")):
                near = data[max(0, start - SHORTEST) : start + _CHUNK + SHORTEST]
                found.update(Found(name, place) for name, part, at in words[word] if _holds(near, part, at))
            for piece in wanted_pieces.intersection(piece for (piece,) in iter_unpack(f"{_TABLE_PIECE}s", chunk)):
                found.add(Found(pieces[piece], place))
    return Searched(frozenset(found), read)


def _holds(data: bytes, part: bytes, at: int) -> bool:
    """Whether the data has the word of ``part`` that begins at ``at`` in a piece of it that is long enough."""
    starts = range(max(0, at + 8 - SHORTEST), min(at, len(part) - SHORTEST) + 1)
    return any(part[start : start + SHORTEST] in data for start in starts)
