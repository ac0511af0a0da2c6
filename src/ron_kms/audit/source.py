"""Where a log is read from: its folder, and other folders that hold tiles which were moved away."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol

from ron_kms.audit.note import MAX_NOTE
from ron_kms.audit.tiles import ENTRIES, MAX_BUNDLE, path
from ron_kms.audit.tree import HASH_SIZE, TILE_WIDTH, Reader, split
from ron_kms.errors import Malformed

CHECKPOINT = "checkpoint"
KEYS = "keys"
"""A log's verifier keys, beside it."""
MINIMUM = "minimum"
"""The index before which full tiles and bundles may have been moved away (tlog-tiles' minimum index)."""


class Source(Protocol):
    """Reads a log's parts by their paths.

    :ivar name: what a reader knows it as: a folder or a URL.
    """

    name: str

    def read(self, part: str, limit: int) -> bytes | None:
        """A part's bytes, None where it is not there; one of more than ``limit`` bytes is cut off behind the next.

        :raises OSError: it cannot be read.
        """


class Folder:
    """A log as it lies on a disk. Reading needs no lock.

    :param path: the log's own folder.
    :param more: others, searched in their order for what is not there.
    """

    def __init__(self, path: Path, more: Sequence[Path] = ()) -> None:
        self.name = str(path)
        self.path = path
        self._places = (path, *more)

    def read(self, part: str, limit: int) -> bytes | None:
        for place in self._places:
            data = read_file(place / part, limit)
            if data is not None:
                return data
        return None


def read_file(path: Path, limit: int) -> bytes | None:
    """A regular file's bytes, at most one more than ``limit``; None where there is none.

    :raises OSError: it cannot be read.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return None
        with open(fd, "rb", closefd=False) as file:
            return file.read(limit + 1)
    finally:
        os.close(fd)


def read_note(source: Source) -> bytes | None:
    """The newest checkpoint, as it was signed."""
    return source.read(CHECKPOINT, MAX_NOTE)


def read_minimum(source: Source) -> int:
    """The index before which full tiles and bundles may be elsewhere; 0 where nothing says so.

    :raises Malformed: what says so is not a number.
    """
    data = source.read(MINIMUM, 32)
    if data is None:
        return 0
    text = data.decode("ascii", "replace").removesuffix("\n")
    if not text.isascii() or not text.isdigit() or len(text) > 19:
        raise Malformed(f"{MINIMUM}: not a number")
    return int(text)


def read_part(source: Source, level: int | Literal["entries"], number: int, width: int) -> tuple[str, bytes] | None:
    """A tile or bundle, and the path that it was found at: a partial one may have become full meanwhile."""
    limit = MAX_BUNDLE if level == ENTRIES else TILE_WIDTH * HASH_SIZE
    for place in dict.fromkeys((path(level, number, width), path(level, number))):
        data = source.read(place, limit)
        if data is not None:
            return place, data
    return None


def read_tile(source: Source, level: int, number: int, width: int) -> list[bytes] | None:
    """The hashes of a tile; None where it is not there.

    :raises Malformed: it has another size, which is named with its path.
    """
    found = read_part(source, level, number, width)
    if found is None:
        return None
    place, data = found
    whole = width if place == path(level, number, width) else TILE_WIDTH
    try:
        return split(data, whole)[:width]
    except Malformed as error:
        raise Malformed(f"{place}: {error.message}") from None


def tiles_of(source: Source) -> Reader:
    """Reads a log's tiles for proofs; what it returns raises Malformed where a tile is missing or has another size."""

    def read(level: int, number: int, width: int) -> bytes:
        tile = read_tile(source, level, number, width)
        if tile is None:
            raise Malformed(f"{path(level, number, width)}: it is missing")
        return b"".join(tile)

    return read
