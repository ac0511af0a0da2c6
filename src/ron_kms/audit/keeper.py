"""What follows the journal on a thread of its own: tiles, the head in the store, checkpoints, scrubbing.

Nothing waits for it. Its order is what recovery relies on: tiles are on the disk before the head that they belong to is
in the store, and the head is in the store before a checkpoint names it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ron_kms.audit.checkpoint import Checkpoint, Signer, sign
from ron_kms.audit.files import put
from ron_kms.audit.folder import LogFolder
from ron_kms.audit.recovery import Damaged, Head, Recovered
from ron_kms.audit.scrub import Scrub
from ron_kms.audit.tiles import ENTRIES, encode_bundle, path
from ron_kms.audit.tree import TILE_WIDTH, Frontier, leaf_hash
from ron_kms.errors import KmsError

_log = logging.getLogger(__name__)

_AT_ONCE = 64
"""Records whose hashes are made before other threads have their turn."""


class Pace(NamedTuple):
    """How often things are done, in seconds, and at how many records at the latest.

    :ivar scrub: between two bundles that are checked again.
    """

    head: float = 1.0
    checkpoint: float = 5.0
    records: int = 65_536
    scrub: float = 1.0


class Keeper:
    """Keeps one log's tree.

    :param save: writes the head to the store; raises KmsError where that cannot be done now.
    :param drop: is told the size up to which bundles and a checkpoint are on the disk.
    :param damaged: is told what the scrub has found.
    """

    def __init__(
        self,
        folder: LogFolder,
        origin: str,
        signers: Sequence[Signer],
        found: Recovered,
        head: Head,
        *,
        save: Callable[[Head], None],
        drop: Callable[[int], None],
        damaged: Callable[[Damaged], None],
        checkpointed: Callable[[], None],
        pace: Pace,
    ) -> None:
        self._folder = folder
        self._origin = origin
        self._signers = tuple(signers)
        self._frontier: Frontier = found.frontier
        self._entries = found.entries
        self._first = found.frontier.size - len(found.entries)
        """Index of the first of these."""
        self._tiles = list(found.tiles)
        self._head = head
        self._signed = found.checkpoint
        self._save = save
        self._drop = drop
        self._damaged = damaged
        self._checkpointed = checkpointed
        self._pace = pace
        self._fresh: list[bytes] = []
        self._wake = threading.Condition()
        self._stopping = False
        self._tried = 0.0
        self.checkpoint_at = time.monotonic()
        """When the newest checkpoint said all that there was."""
        self._scrub = Scrub(folder)
        self._thread = threading.Thread(target=self._run, name="ron-kms-audit-keeper", daemon=True)
        self._thread.start()

    @property
    def checkpoint(self) -> Checkpoint:
        """The newest one."""
        return self._signed

    @property
    def head(self) -> Head:
        """What the store knows."""
        return self._head

    @property
    def scrubbed(self) -> int:
        """How often all of the log was checked again."""
        return self._scrub.rounds

    def take(self, records: Sequence[bytes]) -> None:
        """Records that are on the disk, in their order."""
        with self._wake:
            self._fresh += records
            if len(self._fresh) >= _AT_ONCE:
                self._wake.notify()

    def stop(self) -> bool:
        """Finish, with a last head and checkpoint; whether they were made."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._thread.join()
        return self._signed.size == self._frontier.size

    def _run(self) -> None:
        while True:
            with self._wake:
                if not self._fresh and not self._stopping:
                    self._wake.wait(self._idle())
                fresh, self._fresh = self._fresh, []
                stopping = self._stopping
            try:
                self._grow(fresh)
                self._turn(stopping)
            except (OSError, KmsError) as error:
                _log.warning("the audit log %s is behind with its tree: %s", self._origin, error)
                time.sleep(0 if stopping else min(0.2, self._pace.head))
            if stopping:
                return

    def _idle(self) -> float:
        return min(self._pace.head, self._pace.scrub)

    def _grow(self, records: Sequence[bytes]) -> None:
        self._entries += records
        for at in range(0, len(records), _AT_ONCE):
            self._tiles += self._frontier.append([leaf_hash(record) for record in records[at : at + _AT_ONCE]])
            time.sleep(0)  # one thread at a time computes in Python: the event loop goes first

    def _turn(self, stopping: bool) -> None:
        self._bundle()
        now = time.monotonic()
        size = self._frontier.size
        if size != self._head.size and (stopping or now - self._tried >= self._pace.head):
            self._tried = now
            self._tell_head()
        behind = self._head.size - self._signed.size
        if behind and (stopping or behind >= self._pace.records or now - self.checkpoint_at >= self._pace.checkpoint):
            self._sign()
        elif size == self._signed.size:
            self.checkpoint_at = now
        if not stopping:
            self._check(now)

    def _bundle(self) -> None:
        """Put full bundles and tiles on the disk."""
        while len(self._entries) >= TILE_WIDTH:
            name = path(ENTRIES, self._first // TILE_WIDTH)
            put(self._folder.path, name, encode_bundle(self._entries[:TILE_WIDTH]))
            del self._entries[:TILE_WIDTH]
            self._first += TILE_WIDTH
        while self._tiles:
            level, index, _ = self._tiles[0]
            put(self._folder.path, path(level, index), self._tiles[0].data)
            del self._tiles[0]

    def _sign(self) -> None:
        """A checkpoint of what there is, with its partial tiles before it and its head in the store."""
        for tile in self._frontier.partial():
            level, index, _ = tile
            put(self._folder.path, path(level, index, tile.width), tile.data)
        if self._entries:
            name = path(ENTRIES, self._first // TILE_WIDTH, len(self._entries))
            put(self._folder.path, name, encode_bundle(self._entries))
        if self._frontier.size != self._head.size:
            self._tell_head()
        checkpoint = Checkpoint(self._origin, *self._head)
        self._folder.put_checkpoint(sign(checkpoint, self._signers, int(time.time())))
        before, self._signed = self._signed.size, checkpoint
        self.checkpoint_at = time.monotonic()
        self._checkpointed()
        self._tidy(before, checkpoint.size)
        self._drop(self._first)

    def _tell_head(self) -> None:
        head = Head(self._frontier.size, self._frontier.root)
        self._save(head)
        self._head = head

    def _tidy(self, before: int, size: int) -> None:
        """Partial tiles that a full one has followed."""
        level = 0
        while before != size:
            for index in range(before // TILE_WIDTH, size // TILE_WIDTH):
                self._folder.remove_partial(level, index)
                if level == 0:
                    self._folder.remove_partial(ENTRIES, index)
            before, size, level = before // TILE_WIDTH, size // TILE_WIDTH, level + 1

    def _check(self, now: float) -> None:
        if self._scrub.due(now, self._pace.scrub):
            try:
                self._scrub.step(self._signed, now)
            except Damaged as error:
                self._damaged(error)
