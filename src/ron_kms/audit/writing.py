"""The end of a log, where it grows: its journal, what is written there and not on the disk yet, and what follows."""

from __future__ import annotations

import asyncio
import logging
from typing import NamedTuple

from ron_kms.audit.handed import Turn, settle
from ron_kms.audit.journal import Journal
from ron_kms.audit.keeper import Keeper
from ron_kms.audit.watching import Watcher

_log = logging.getLogger(__name__)


class Group(NamedTuple):
    """A turn as it is written.

    :ivar data: its bytes; empty where there is nothing but to sync.
    """

    turn: Turn
    records: list[bytes]
    data: bytes


class Writing:
    """For one thread at a time, of which one group is under way.

    :param size: how many records are on the disk.
    :ivar durable: how many are now.
    :ivar full: whether the journal should go on in another file.
    """

    def __init__(self, origin: str, journal: Journal, size: int, keeper: Keeper, watcher: Watcher) -> None:
        self.durable = size
        self.full = False
        self._origin = origin
        self._journal = journal
        self._keeper = keeper
        self._watcher = watcher
        self._pending: list[bytes] = []

    @property
    def fd(self) -> int:
        """Where the next group is to be written."""
        return self._journal.fd

    def group(self, turn: Turn) -> Group:
        """What is to be written next."""
        records = turn.records
        return Group(turn, records, self._journal.encode(self.durable, records))

    def write(self, group: Group) -> None:
        """Have it where its turn wants it, with the kernel or on the disk, on this thread.

        :raises OSError: it is not; then :meth:`repair` has to come next.
        """
        self._journal.write(group.data, sync=group.turn.sync)

    def written(self, group: Group, loop: asyncio.AbstractEventLoop | None = None) -> bool:
        """It is where its turn wanted it: tell who waits, and go on from there.

        :param loop: the event loop that this is called on.
        :returns: whether all that there is is on the disk.
        """
        if group.records:
            self._journal.took(group.data, len(group.records))
        # First of all: what is taken from the outbox then must be known there before the head moves past it.
        settle(group.turn.batches, None, loop)
        self._pending += group.records
        if group.turn.sync:
            self._synced()
        return not self._pending

    def repair(self) -> None:
        """After a failure, have all that counts on the disk; then :meth:`repaired` goes on.

        :raises OSError: not yet.
        """
        self._journal.repair()

    def repaired(self) -> None:
        """The log takes records again."""
        self._synced()

    def go_on(self) -> None:
        """In another file of the journal, if it can be made."""
        self.full = False
        try:
            self._journal.rotate()
        except OSError as error:
            _log.warning("the audit log %s goes on in its old file: %s", self._origin, error.strerror)

    def close(self) -> bool:
        """Whether the tree has all of it."""
        done = self._keeper.stop()
        self._journal.close()
        return done

    def _synced(self) -> None:
        records, self._pending = self._pending, []
        self.durable += len(records)
        self._keeper.take(records)
        self._watcher.appended(len(records))
        self.full = self._journal.full
