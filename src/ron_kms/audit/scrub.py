"""Reads a log's tiles and records again, a little at a time, and compares them with one another.

A bundle's records must give the hashes of its tile, a full tile's root must be a hash in the tile above it, and the
tiles at the edge must give the root that the checkpoint names.
"""

from __future__ import annotations

from ron_kms.audit.checkpoint import Checkpoint
from ron_kms.audit.folder import LogFolder
from ron_kms.audit.recovery import Damaged, root_at
from ron_kms.audit.source import Folder, read_minimum
from ron_kms.audit.tiles import ENTRIES, path
from ron_kms.audit.tree import HASH_SIZE, TILE_WIDTH, fold, leaf_hash, split
from ron_kms.errors import Malformed


class Scrub:
    """Goes through a log again and again, from its beginning to its end.

    :ivar rounds: how often it came to the end.
    """

    def __init__(self, folder: LogFolder) -> None:
        self._folder = folder
        self._next = 0
        self._at = 0.0
        self.rounds = 0

    def due(self, now: float, pace: float) -> bool:
        """Whether so many seconds are over since the last step."""
        return now - self._at >= pace

    def step(self, checkpoint: Checkpoint, now: float = 0.0) -> None:
        """Check one bundle, what is above it, and, behind the last one, the whole edge.

        :raises Damaged: something is not as it was written.
        :raises OSError: something cannot be read.
        """
        self._at = now
        try:
            if self._next * TILE_WIDTH < checkpoint.size:
                self._bundle(self._next, checkpoint.size)
                self._next += 1
                return
            if root_at(self._folder, checkpoint.size, checkpoint.size) != checkpoint.root:
                raise Malformed(f"its tiles do not give the root of its checkpoint at {checkpoint.size} records")
        except Malformed as error:
            raise Damaged(f"the log {checkpoint.origin}: {error.message}") from None
        self._next = 0
        self.rounds += 1

    def _bundle(self, index: int, size: int) -> None:
        width = min(TILE_WIDTH, size - index * TILE_WIDTH)
        if self._was_moved(index):
            return
        hashes = split(self._folder.tile(0, index, width), width)
        for at, (record, known) in enumerate(zip(self._folder.records(index, width), hashes, strict=True)):
            if leaf_hash(record) != known:
                raise Malformed(f"record {index * TILE_WIDTH + at}, in {path(ENTRIES, index, width)}, was changed")
        level, count = 1, size // TILE_WIDTH
        while len(hashes) == TILE_WIDTH:
            above, place = divmod(index, TILE_WIDTH)
            wide = min(TILE_WIDTH, count - above * TILE_WIDTH)
            data = self._folder.tile(level, above, wide)
            if data[place * HASH_SIZE : (place + 1) * HASH_SIZE] != fold(hashes):
                raise Malformed(f"{path(level - 1, index)} and {path(level, above, wide)} do not belong together")
            if place < TILE_WIDTH - 1:
                return
            hashes = split(data, wide)
            index, level, count = above, level + 1, count // TILE_WIDTH

    def _was_moved(self, index: int) -> bool:
        """Whether a bundle was moved to another place, as the log's minimum index allows."""
        if (index + 1) * TILE_WIDTH > read_minimum(Folder(self._folder.path)):
            return False
        return not (self._folder.path / path(ENTRIES, index)).exists()
