"""Follows a log as it grows: each new record is proven to be in a checkpoint, and that to go on from the one before."""

from __future__ import annotations

from collections.abc import Sequence

from ron_kms.audit.checkpoint import Checkpoint, verify_all
from ron_kms.audit.note import NoteKey
from ron_kms.audit.reading import Entry, read_bundle
from ron_kms.audit.record import decode
from ron_kms.audit.source import Source, read_note, tiles_of
from ron_kms.audit.tree import TILE_WIDTH, Frontier, leaf_hash
from ron_kms.errors import Malformed


class Follower:
    """A reader who has seen a log up to a checkpoint.

    :ivar checkpoint: the last one.
    """

    def __init__(self, source: Source, keys: Sequence[NoteKey]) -> None:
        """Begins at the newest checkpoint.

        :raises Malformed: it does not hold, or its tiles do not give its root.
        :raises OSError: something cannot be read.
        """
        self._source = source
        self._keys = keys
        self.checkpoint = self._read()
        self._frontier = Frontier.restore(self.checkpoint.size, tiles_of(source))
        if self._frontier.root != self.checkpoint.root:
            raise Malformed(f"the tiles do not give the root of the checkpoint at {self.checkpoint.size} records")

    def step(self) -> list[Entry]:
        """What has come since: at most 256 records at once, and none before a checkpoint has them.

        :raises Malformed: the log does not go on from what was seen.
        :raises OSError: something cannot be read.
        """
        if self._frontier.size == self.checkpoint.size:
            fresh = self._read()
            if fresh.origin != self.checkpoint.origin:
                raise Malformed(f"the log of {self.checkpoint.origin} has become that of {fresh.origin}")
            if fresh.size < self.checkpoint.size:
                raise Malformed(f"the log had {self.checkpoint.size} records, and has {fresh.size}")
            self.checkpoint = fresh
        start, size = self._frontier.size, self.checkpoint.size
        number, at = divmod(start, TILE_WIDTH)
        data = (
            read_bundle(self._source, number, min(TILE_WIDTH, size - number * TILE_WIDTH))[at:] if start < size else []
        )
        entries = [Entry(index, record, decode(record)) for index, record in enumerate(data, start)]
        self._frontier.append([leaf_hash(record) for record in data])
        if self._frontier.size == size and self._frontier.root != self.checkpoint.root:
            raise Malformed(f"the log does not go on from the checkpoint that was seen before that of {size} records")
        return entries

    def _read(self) -> Checkpoint:
        note = read_note(self._source)
        if note is None:
            raise Malformed("checkpoint: it is missing")
        return verify_all(note, self._keys).checkpoint
