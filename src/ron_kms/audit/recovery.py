"""What a start does before a log is gone on with: nothing is taken on trust, and nothing is repaired by guessing.

The checkpoint says what the tree was; the tiles at its edge must give its root. What was appended since comes from the
journal. The store says how far the log had come at least: it must be that long, with that root. Only behind that may an
end be cut off, where a crash has torn what nobody was told of.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import zip_longest
from typing import NamedTuple

from ron_kms.audit.checkpoint import Checkpoint, verify
from ron_kms.audit.folder import LogFolder
from ron_kms.audit.journal import Segment, read_segments
from ron_kms.audit.note import NoteKey, parse_note
from ron_kms.audit.proofs import StoredTree
from ron_kms.audit.tree import EMPTY_ROOT, HASH_SIZE, TILE_HEIGHT, TILE_WIDTH, Frontier, Tile, leaf_hash
from ron_kms.errors import KmsError, Malformed


class Damaged(KmsError):
    """The log is not as it was written: something was changed, cut off, taken out or put in its place."""


class Ahead(Damaged):
    """The log is whole, but newer than the store knows: the store is an older copy."""


class Head(NamedTuple):
    """How far a log had come, as the store says."""

    size: int = 0
    root: bytes = EMPTY_ROOT


class Recovered(NamedTuple):
    """A log as it was found.

    :ivar frontier: of all its records.
    :ivar entries: the records behind the last full bundle that was there.
    :ivar tiles: full ones that are not on the disk yet.
    :ivar since: the records that the store's head may not know of.
    :ivar cut: bytes of a torn end, which no one was told of.
    :ivar checkpoint: the newest.
    """

    frontier: Frontier
    entries: list[bytes]
    tiles: list[Tile]
    since: list[bytes]
    cut: int
    checkpoint: Checkpoint


def recover(folder: LogFolder, origin: str, keys: Collection[NoteKey], head: Head) -> Recovered:
    """Read a log back. Changes nothing.

    :raises Damaged: it is not as it was written.
    :raises Ahead: the store is older than it.
    :raises OSError: it cannot be read.
    """
    if not folder.exists():
        raise Damaged(f"the log {origin} is missing: there is nothing at {folder.path}")
    try:
        checkpoint = _checkpoint(folder, origin, keys)
        frontier = _frontier(folder, checkpoint)
        entries = _entries(folder, frontier)
    except Malformed as error:
        raise Damaged(f"the log {origin}: {error.message}") from None
    if checkpoint.size > head.size:
        raise Ahead(
            f"the log {origin} has a checkpoint of {checkpoint.size} records, and the store knows of {head.size}"
        )
    try:
        return _replay(folder, checkpoint, head, frontier, entries)
    except Malformed as error:
        raise Damaged(f"the log {origin}: {error.message}") from None


def read_checkpoint(folder: LogFolder, origin: str, keys: Collection[NoteKey]) -> Checkpoint:
    """The newest checkpoint, signed with all of the keys.

    :raises Damaged: it is missing, another log's, or not so signed.
    """
    try:
        return _checkpoint(folder, origin, keys)
    except Malformed as error:
        raise Damaged(f"the log {origin}: {error.message}") from None


def unknown(folder: LogFolder) -> bool:
    """Whether a folder that the store does not know of has records in it.

    :raises OSError: it cannot be read.
    """
    data = folder.checkpoint()
    if data is not None:
        try:
            if Checkpoint.parse(parse_note(data).text).size:
                return True
        except Malformed:
            return True
    return folder.journal.is_dir() and any(segment.groups for segment in read_segments(folder.journal))


def root_at(folder: LogFolder, size: int, now: int) -> bytes:
    """The root that the log had at a size, by its tiles.

    :param now: the size of its newest checkpoint, whose tiles are there.
    :raises Damaged: a tile is missing or has another size.
    """

    def read(level: int, index: int, width: int) -> bytes:
        there = (now >> TILE_HEIGHT * level) - index * TILE_WIDTH
        return folder.tile(level, index, min(TILE_WIDTH, there))[: width * HASH_SIZE]

    try:
        return StoredTree(size, read).root()
    except Malformed as error:
        raise Damaged(error.message) from None


def _checkpoint(folder: LogFolder, origin: str, keys: Collection[NoteKey]) -> Checkpoint:
    data = folder.checkpoint()
    if data is None:
        raise Malformed("its checkpoint is missing")
    verified = verify(data, keys)
    if verified.checkpoint.origin != origin:
        raise Malformed(f"its checkpoint is of the log {verified.checkpoint.origin}")
    if set(verified.signed) != set(keys):
        raise Malformed("its checkpoint is not signed with all of its keys")
    return verified.checkpoint


def _frontier(folder: LogFolder, checkpoint: Checkpoint) -> Frontier:
    frontier = Frontier.restore(checkpoint.size, folder.tile)
    if frontier.root != checkpoint.root:
        raise Malformed(f"the tiles at its edge do not give the root of its checkpoint at {checkpoint.size} records")
    return frontier


def _entries(folder: LogFolder, frontier: Frontier) -> list[bytes]:
    """The records of the partial bundle that a checkpoint has left, checked."""
    bundle, width = divmod(frontier.size, TILE_WIDTH)
    if not width:
        return []
    records = folder.records(bundle, width)
    _compare(records, frontier.partial()[0].hashes, bundle * TILE_WIDTH)
    return records


def _compare(records: Sequence[bytes], hashes: Sequence[bytes], first: int) -> None:
    for index, (record, known) in enumerate(zip(records, hashes, strict=True), first):
        if leaf_hash(record) != known:
            raise Malformed(f"record {index} was changed")


def _replay(
    folder: LogFolder, checkpoint: Checkpoint, head: Head, frontier: Frontier, entries: list[bytes]
) -> Recovered:
    segments = _segments(folder)
    tiles: list[Tile] = []
    since: list[bytes] = []
    known = frontier.size
    _at_head(frontier, head)

    def grow(index: int, record: bytes) -> None:
        tiles.extend(frontier.append((leaf_hash(record),)))
        entries.append(record)
        if index >= head.size:
            since.append(record)
        _at_head(frontier, head)

    # Full bundles that a copy has got beyond its checkpoint, in the place of files that the journal had no more.
    while segments and segments[0].first > frontier.size:
        bundle, at = divmod(frontier.size, TILE_WIDTH)
        for index, record in enumerate(folder.records(bundle, TILE_WIDTH)[at:], frontier.size):
            grow(index, record)
    for segment in segments:
        for group in segment.groups:
            for index, record in enumerate(group.records, group.first):
                if index >= frontier.size:
                    grow(index, record)
        _before(folder, segment, known)
    if frontier.size < head.size:
        raise Malformed(f"it has {frontier.size} records and had {head.size}: its end was cut off")
    cut = sum(segment.size - segment.good for segment in segments)
    return Recovered(frontier, entries, tiles, since, cut, checkpoint)


def _at_head(frontier: Frontier, head: Head) -> None:
    if frontier.size == head.size and frontier.root != head.root:
        raise Malformed(f"a record before record {head.size} was changed: the store knows another root")


def _segments(folder: LogFolder) -> list[Segment]:
    try:
        segments = read_segments(folder.journal)
    except FileNotFoundError:
        raise Malformed("its journal is missing") from None
    for segment, following in zip_longest(segments, segments[1:]):
        bad = segment.good < segment.size
        # A file is followed by another once all that counts in it is on the disk; then nothing behind it is torn.
        if bad and ((following is not None and following.first > segment.end) or segment.later > segment.end):
            raise Malformed(f"{segment.path.name} in its journal was changed, from byte {segment.good}")
        end = segment.first
        for group in segment.groups:
            if group.first != end:
                raise Malformed(f"{segment.path.name} in its journal lacks record {end}")
            end += len(group.records)
        if following is not None and following.first != end:
            raise Malformed(f"its journal lacks records {end} to {following.first - 1}")
    return segments


def _before(folder: LogFolder, segment: Segment, size: int) -> None:
    """Records that tiles have as well must be the same in both."""
    for group in segment.groups:
        at = group.first
        records = group.records[: max(0, size - at)]
        while records:
            tile, offset = divmod(at, TILE_WIDTH)
            part, records = records[: TILE_WIDTH - offset], records[TILE_WIDTH - offset :]
            # The tiles at the edge were checked against the checkpoint, and a tile may be full by now.
            width = min(TILE_WIDTH, size - tile * TILE_WIDTH)
            data = folder.tile(0, tile, width)
            hashes = [data[i : i + 32] for i in range(offset * 32, (offset + len(part)) * 32, 32)]
            _compare(part, hashes, at)
            at += len(part)
