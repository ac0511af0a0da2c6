"""What waits in a log's journal for the next checkpoint, checked as far as it can be: no signature covers it yet."""

from __future__ import annotations

from collections.abc import Iterator

from ron_kms.audit.journal import FOLDER, GROUP_HEAD, Group, Segment, read_segments
from ron_kms.audit.reading import Entry
from ron_kms.audit.record import decode
from ron_kms.audit.result import Finding, Result
from ron_kms.audit.source import Folder, read_tile
from ron_kms.audit.tree import TILE_WIDTH, leaf_hash
from ron_kms.errors import Malformed

_LOOKS = 5


def check_tail(source: Folder, size: int, result: Result) -> int | None:
    """Check the journal behind a checkpoint of ``size`` records; None where there is none, as in a copy.

    An end that was cut off within a write is no finding: it is what a crash leaves, or what is being written just now.

    :returns: how many records wait.
    :raises OSError: it cannot be read.
    """
    segments = _segments(source)
    if segments is None:
        return None
    tiles = _Tiles(source, size)
    end = segments[0].first if segments else size
    if end > size:
        result.add(Finding(f"records {size} to {end - 1} are missing", FOLDER, size))
    for number, segment in enumerate(segments):
        name = f"{FOLDER}/{segment.path.name}"
        if segment.first != end:
            result.add(Finding(f"it begins with record {segment.first}, and {end} was to come", name, end))
        end = segment.first
        for group in segment.groups:
            if group.first != end:
                result.add(Finding(f"it goes on with record {group.first} after {end}", name, end, group.start))
            end = group.first + len(group.records)
            _check_group(tiles, group, name, result)
        followed = number + 1 < len(segments) and segments[number + 1].first > end
        if segment.good < segment.size and (followed or segment.later > end):
            result.add(Finding(f"record {end} or what was written with it was changed", name, end, segment.good))
    return max(0, end - size)


def read_tail(source: Folder, size: int) -> Iterator[Entry]:
    """The records that wait behind a checkpoint of ``size`` records.

    :raises Malformed: one is not a record.
    :raises OSError: the journal cannot be read.
    """
    for segment in _segments(source) or ():
        for group in segment.groups:
            for number, record in enumerate(group.records, group.first):
                if number >= size:
                    yield Entry(number, record, decode(record))


class _Tiles:
    """What the tiles say of records, one tile after another."""

    def __init__(self, source: Folder, size: int) -> None:
        self.size = size
        self._source = source
        self._tile = -1
        self._hashes: list[bytes] | None = None

    def hash(self, number: int) -> bytes | None:
        """A record's; None where its tile is lost or moved away or has another size, which is found elsewhere."""
        tile, at = divmod(number, TILE_WIDTH)
        if tile != self._tile:
            self._tile = tile
            try:
                self._hashes = read_tile(self._source, 0, tile, min(TILE_WIDTH, self.size - tile * TILE_WIDTH))
            except Malformed:
                self._hashes = None
        return self._hashes[at] if self._hashes is not None else None


def _check_group(tiles: _Tiles, group: Group, name: str, result: Result) -> None:
    at = group.start + GROUP_HEAD
    for number, record in enumerate(group.records, group.first):
        if number < tiles.size:
            if tiles.hash(number) not in (None, leaf_hash(record)):
                result.add(Finding(f"record {number} is not the one that the tiles have", name, number, at))
        else:
            try:
                decode(record)
            except Malformed as error:
                result.add(Finding(f"record {number}: {error.message}", name, number, at))
        at += 2 + len(record)


def _segments(source: Folder) -> list[Segment] | None:
    """The journal's files; those of a log that is being written may go away between two looks."""
    for _ in range(_LOOKS):
        try:
            return read_segments(source.path / FOLDER, sync=False)
        except FileNotFoundError:
            continue
    return None
