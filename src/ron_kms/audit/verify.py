"""Checks a whole log, from nothing but its public parts, in one pass and with memory that does not grow with it.

Every record is decoded, hashed and compared with its tile; from these hashes the tree is built anew, and compared with
the tiles above and with the root that the checkpoint names. Where two parts contradict each other, the tile above says
which of them is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from ron_kms.audit.checkpoint import Checkpoint, verify_all
from ron_kms.audit.note import NoteKey
from ron_kms.audit.proofs import StoredTree
from ron_kms.audit.record import decode
from ron_kms.audit.result import MAX_FINDINGS, Finding, Result
from ron_kms.audit.source import Folder, Source, read_note, read_part, read_tile, tiles_of
from ron_kms.audit.tail import check_tail
from ron_kms.audit.tiles import ENTRIES, decode_bundle, path
from ron_kms.audit.tree import HASH_SIZE, TILE_WIDTH, Frontier, Tile, fold, leaf_hash
from ron_kms.errors import Malformed

Progress = Callable[[int, int], None]
"""Is told after every bundle: records that were checked, records of the log."""


_LOOKS = 5


class _Doubt(NamedTuple):
    """A hash of a tile that is not what lies below it; which of both is wrong, the root tells at the end."""

    file: str
    byte: int
    first: int
    last: int

    def covers(self, other: _Doubt) -> bool:
        return self.first <= other.first and other.last <= self.last


def read_checkpoint(source: Source, keys: Sequence[NoteKey], result: Result) -> Checkpoint | None:
    """The checkpoint, signed with every one of the keys; what is not so becomes a finding."""
    data = read_note(source)
    if data is None:
        result.add(Finding("it is missing", "checkpoint"))
        return None
    try:
        result.verified = verify_all(data, keys)
    except Malformed as error:
        result.add(Finding(error.message, "checkpoint"))
        return None
    return result.verified.checkpoint


def check_log(
    source: Source,
    keys: Sequence[NoteKey],
    *,
    expected: Iterable[Checkpoint] = (),
    minimum: int = 0,
    progress: Progress = lambda _done, _size: None,
) -> Result:
    """Check a log up to its newest checkpoint, and, where it is a folder, its journal behind that.

    :param keys: all of them must have signed it.
    :param expected: checkpoints that somebody has kept; the log must go on from each.
    :param minimum: the index before which full tiles and bundles may be absent, as they were moved away.
    :raises OSError: a part cannot be read.
    """
    checkpoint, result = _begin(source, keys)
    if checkpoint is None:
        return result
    kept = list(expected)
    check = TreeCheck(source, checkpoint, result, minimum, [one.size for one in kept])
    check.run(progress)
    for one in kept:
        _meets(one, checkpoint, check.roots.get(one.size), result)
    return result


def _begin(source: Source, keys: Sequence[NoteKey]) -> tuple[Checkpoint | None, Result]:
    """The checkpoint, and the journal behind it; of a log that is being written they may not fit at the first look."""
    for look in range(_LOOKS):
        result = Result()
        checkpoint = read_checkpoint(source, keys, result)
        if checkpoint is None or not isinstance(source, Folder):
            break
        result.waiting = check_tail(source, checkpoint.size, result)
        if result.whole or look == _LOOKS - 1 or read_checkpoint(source, keys, Result()) == checkpoint:
            break
    return checkpoint, result


def _meets(kept: Checkpoint, checkpoint: Checkpoint, root: bytes | None, result: Result) -> None:
    tell = None
    if kept.origin != checkpoint.origin:
        tell = f"the checkpoint that was kept is of another log, {kept.origin}"
    elif kept.size > checkpoint.size:
        tell = f"the log has {checkpoint.size} records, and had {kept.size} when the kept checkpoint was made"
    elif root is None:
        tell = f"whether it goes on from the kept checkpoint of {kept.size} records cannot be told: tiles are missing"
    elif root != kept.root:
        tell = f"the log does not go on from the kept checkpoint: its first {kept.size} records were others"
    if tell is not None:
        result.add(Finding(tell, "checkpoint", min(kept.size, checkpoint.size)))


class TreeCheck:
    """One pass over the records of a checkpoint's tree.

    :param minimum: full tiles and bundles that end at this index or before it may be absent: they were moved away.
    :param stops: sizes at which the root is wanted, in any order; :attr:`roots` has them afterwards.
    """

    def __init__(
        self, source: Source, checkpoint: Checkpoint, result: Result, minimum: int = 0, stops: Iterable[int] = ()
    ) -> None:
        self._source = source
        self._size = checkpoint.size
        self._root = checkpoint.root
        self._result = result
        self._minimum = minimum
        self._stops = sorted(set(stops))
        self.roots: dict[int, bytes] = {}
        self.frontier = Frontier()
        self._doubts: list[_Doubt] = []
        self._row: tuple[int, list[bytes] | None] = (-1, None)
        """The tile of level 1 that was read last."""

    def run(self, progress: Progress) -> None:
        """:raises OSError: a part cannot be read."""
        self._note_root()
        for number in range(-(-self._size // TILE_WIDTH)):
            if not self._bundle(number):
                return
            progress(self.frontier.size, self._size)
        for tile in self.frontier.partial():
            if tile.level:
                self._compare(tile)
        self._conclude()

    def _bundle(self, number: int) -> bool:
        """Check one bundle and its tile; False where the tree cannot be gone on with."""
        first = number * TILE_WIDTH
        width = min(TILE_WIDTH, self._size - first)
        tile = self._tile(0, number, width)
        records, place = self._records(number, width)
        if records is not None:
            hashes = [leaf_hash(record) for record in records]
            self._decode(records, first, place)
            if tile is not None and tile != hashes:
                hashes = self._judge(number, width, place, records, hashes, tile)
        elif tile is not None:
            self._result.miss(first, first + width - 1, True)
            hashes = tile
        else:
            return self._skip(number, width)
        self._grow(hashes)
        return True

    def _grow(self, hashes: Sequence[bytes]) -> None:
        at = 0
        tiles = []
        while self._stops and self._stops[0] <= self.frontier.size + len(hashes) - at:
            until = at + self._stops[0] - self.frontier.size
            tiles += self.frontier.append(hashes[at:until])
            at = until
            self._note_root()
        for tile in [*tiles, *self.frontier.append(hashes[at:])]:
            if tile.level:
                self._compare(tile)

    def _note_root(self) -> None:
        while self._stops and self._stops[0] <= self.frontier.size:
            if self._stops.pop(0) == self.frontier.size:
                self.roots[self.frontier.size] = self.frontier.root

    def _skip(self, number: int, width: int) -> bool:
        """Neither records nor their hashes are there: the tile above stands for them."""
        first = number * TILE_WIDTH
        above = self._above_hash(number) if width == TILE_WIDTH else None
        if above is None:
            tell = f"nothing from record {first} on can be proven: it is missing, and so is what could stand for it"
            self._result.add(Finding(tell, path(0, number, width), first))
            return False
        self._result.miss(first, first + width - 1, False)
        for tile in self.frontier.append_tile(above):
            self._compare(tile)
        self._note_root()
        return True

    def _records(self, number: int, width: int) -> tuple[list[bytes] | None, str]:
        found = read_part(self._source, ENTRIES, number, width)
        if found is None:
            self._missing(path(ENTRIES, number, width), number * TILE_WIDTH, number * TILE_WIDTH + width)
            return None, ""
        place, data = found
        whole = width if place == path(ENTRIES, number, width) else TILE_WIDTH
        try:
            return decode_bundle(data, whole)[:width], place
        except Malformed as error:
            self._result.add(Finding(error.message, place, number * TILE_WIDTH))
            return None, place

    def _decode(self, records: Sequence[bytes], first: int, place: str) -> None:
        for index, record in enumerate(records):
            try:
                decode(record)
            except Malformed as error:
                at = _offset(records, index)
                self._result.add(Finding(f"record {first + index}: {error.message}", place, first + index, at))
        self._result.records += len(records)

    def _judge(
        self, number: int, width: int, place: str, records: list[bytes], hashes: list[bytes], tile: list[bytes]
    ) -> list[bytes]:
        """Which of a bundle and its tile is wrong, by the tile above; the hashes of the right one."""
        if width == TILE_WIDTH:
            above = self._above_hash(number)
            tile_holds, bundle_holds = above == fold(tile), above == fold(hashes)
        else:
            tile_holds, bundle_holds = self._edge_holds(), False
        first = number * TILE_WIDTH
        wrong = [index for index in range(width) if hashes[index] != tile[index]]
        name = path(0, number, width)
        if bundle_holds or (not tile_holds and width < TILE_WIDTH):
            self._result.add(Finding(
                f"the hash of record {first + wrong[0]} was changed{_others(len(wrong))}", name, first + wrong[0],
                wrong[0] * HASH_SIZE,
            ))  # fmt: skip
            return hashes
        at = _offset(records, wrong[0])
        if tile_holds and hashes[wrong[0] : -1] == tile[wrong[0] + 1 :] and wrong[0] < width - 1:
            what = f"record {first + wrong[0]} was cut out, and those behind it were moved up"
        elif tile_holds:
            what = f"record {first + wrong[0]} was changed{_others(len(wrong))}"
        else:
            what = f"record {first + wrong[0]} is not that of {name}, and the tile above confirms neither"
        self._result.add(Finding(what, place, first + wrong[0], at))
        return tile

    def _compare(self, tile: Tile) -> None:
        """A tile above the lowest, as what is below gives it, and as it is stored."""
        stored = self._tile(tile.level, tile.number, tile.width)
        if stored is None:
            return
        span = TILE_WIDTH**tile.level
        for at, (built, kept) in enumerate(zip(tile.hashes, stored, strict=True)):
            if built != kept and len(self._doubts) < MAX_FINDINGS:
                first = (tile.number * TILE_WIDTH + at) * span
                name = path(tile.level, tile.number, tile.width)
                self._doubts.append(_Doubt(name, at * HASH_SIZE, first, first + span - 1))

    def _conclude(self) -> None:
        self._result.proven = self.frontier.root == self._root
        named: list[_Doubt] = []
        for doubt in self._doubts:
            place = f"{doubt.first} to {doubt.last}"
            if self._result.proven:
                tell = f"the hash of records {place} was changed"
            elif any(doubt.covers(lower) for lower in named):
                continue  # the lowest tile that disagrees names it most closely
            else:
                named.append(doubt)
                tell = f"records {place} and their tiles are not those that this hash was made of"
            self._result.add(Finding(tell, doubt.file, doubt.first, doubt.byte))
        if self._result.proven:
            return
        if not named and self._result.whole:
            tell = f"the {self._size} records give another root than the checkpoint names"
            self._result.add(Finding(tell, "checkpoint"))

    def _above_hash(self, number: int) -> bytes | None:
        """The hash that the tile above has for a full tile of the lowest level."""
        above, at = divmod(number, TILE_WIDTH)
        if self._row[0] != above:
            self._row = (above, self._tile(1, above, min(TILE_WIDTH, self._size // TILE_WIDTH - above * TILE_WIDTH)))
        hashes = self._row[1]
        return hashes[at] if hashes is not None else None

    def _edge_holds(self) -> bool:
        """Whether the stored tiles at the edge give the checkpoint's root."""
        try:
            return StoredTree(self._size, tiles_of(self._source)).root() == self._root
        except Malformed:
            return False

    def _tile(self, level: int, number: int, width: int) -> list[bytes] | None:
        first = number * TILE_WIDTH ** (level + 1)
        try:
            tile = read_tile(self._source, level, number, width)
        except Malformed as error:
            name, _, what = error.message.partition(": ")
            self._once(Finding(what, name, first))
            return None
        if tile is None:
            self._missing(path(level, number, width), first, min(self._size, first + TILE_WIDTH ** (level + 1)))
        return tile

    def _missing(self, name: str, first: int, end: int) -> None:
        if end > self._minimum:
            self._once(Finding("it is missing", name, first))

    def _once(self, finding: Finding) -> None:
        if finding not in self._result.findings:
            self._result.add(finding)


def _offset(records: Sequence[bytes], index: int) -> int:
    """Where a record is in its bundle."""
    return sum(2 + len(record) for record in records[:index])


def _others(count: int) -> str:
    return f", and {count - 1} more here" if count > 1 else ""
