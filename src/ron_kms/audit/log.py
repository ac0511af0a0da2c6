"""An audit log that is written: many records, one write, one fdatasync, never on the thread of who appends.

Who appends gets a future and goes on; all that has come meanwhile is the next group. Nothing waits in an unbounded
queue. Where the disk fails, what was asked for fails before its answer, and the log recovers by itself when the disk
does; where the log was tampered with, nothing more is written to it.

One group is under way at a time. What an event loop appends goes its short way (:mod:`ron_kms.audit.lane`), and what
has gathered when the loop hears of its end is the next group. The log's own thread does all else: what comes from other
threads while nothing is under way, what nobody waits for, new files of the journal, and repairs.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Literal

from ron_kms._core import CoreError
from ron_kms.audit.checkpoint import Signer
from ron_kms.audit.folder import LogFolder
from ron_kms.audit.handed import Backlog, Batch, Turn, settle
from ron_kms.audit.journal import Journal
from ron_kms.audit.keeper import Keeper, Pace
from ron_kms.audit.lane import Lane
from ron_kms.audit.recovery import Damaged, Head, Recovered
from ron_kms.audit.watching import Watcher
from ron_kms.audit.writing import Group, Writing
from ron_kms.errors import StoreUnavailable

Durability = Literal["durable", "written"]
"""``durable``: on the disk; ``written``: with the kernel, and on the disk within :data:`SYNC_SECONDS`."""

SYNC_SECONDS = 0.05
QUEUE_BYTES = 8 * 1024 * 1024
"""Of records that wait to be written."""

_RETRY_SECONDS = 0.25
_LOOK_SECONDS = 1.0
_TRAIL_BYTES = QUEUE_BYTES // 4
_LATE_CHECKPOINT = 6
"""A checkpoint that is so many times its pace old is not recent."""

_log = logging.getLogger(__name__)


class Log:
    """One log, opened by :func:`ron_kms.audit.registry.open_log`. Safe to use from several threads.

    :param folder: locked.
    :param damage: why the log is not gone on with; nothing else is looked at then.
    """

    def __init__(
        self,
        folder: LogFolder,
        origin: str,
        signers: Sequence[Signer],
        *,
        found: Recovered | None,
        head: Head,
        save: Callable[[Head], None],
        watcher: Watcher,
        damage: str = "",
        pace: Pace | None = None,
    ) -> None:
        self.origin = origin
        self.keys = tuple(signer.key for signer in signers)
        self.folder = folder
        self._watcher = watcher
        self._pace = Pace() if pace is None else pace
        self._damage = damage
        self._fault = ""
        self._changed = threading.Condition()
        self._backlog = Backlog()
        self._stopping = False
        self._busy = False
        """Whether a group is under way: who has set it writes."""
        self._flight: Group | None = None
        """What is under way in the lane."""
        self._lost: tuple[OSError, Turn] | None = None
        """What the lane could not write, and why: for the thread."""
        self._lane: Lane | None = None
        self._wanted = self._napping = False
        """What the thread does: wait for its turn, or for a time."""
        self._keeper: Keeper | None = None
        if found is None:
            return
        size = found.frontier.size
        journal = Journal(folder.journal, size)
        self._keeper = Keeper(
            folder,
            origin,
            signers,
            found,
            head,
            save=save,
            drop=journal.drop,
            damaged=self._tampered,
            checkpointed=watcher.checkpointed,
            pace=self._pace,
        )
        self._writing = Writing(origin, journal, size, self._keeper, watcher)
        self._thread = threading.Thread(target=self._run, name="ron-kms-audit", daemon=True)
        self._thread.start()

    @property
    def size(self) -> int:
        """Records that are on the disk."""
        return 0 if self._keeper is None else self._writing.durable

    @property
    def head(self) -> Head:
        """What the store knows of it."""
        return Head() if self._keeper is None else self._keeper.head

    @property
    def scrubbed(self) -> int:
        """How often all of it was checked again since it was opened."""
        return 0 if self._keeper is None else self._keeper.scrubbed

    @property
    def depth(self) -> int:
        """Appends that wait to be written."""
        return len(self._backlog.batches)

    @property
    def damage(self) -> str:
        """How the log was tampered with; empty where nothing is known of that."""
        return self._damage

    @property
    def fault(self) -> str:
        """Why nothing can be appended now; empty where it can."""
        return self._damage or self._fault

    @property
    def recent(self) -> bool:
        """Whether the newest checkpoint says what the log has, but for what has only just come."""
        keeper = self._keeper
        return keeper is not None and time.monotonic() - keeper.checkpoint_at < _LATE_CHECKPOINT * self._pace.checkpoint

    def require(self) -> None:
        """For the beginning of what has to be recorded.

        :raises StoreUnavailable: nothing can be recorded now.
        """
        if self._damage:
            raise StoreUnavailable(
                "the audit log fails its check: changes and private operations are refused",
                hint="The operator's log says what is wrong; the way on is 'ron-kms audit accept-gap', or where the"
                " store is an older copy 'ron-kms restore accept'.",
                retry_after=30,
            )
        if self._fault:
            raise _unwritable()

    def append(self, records: Sequence[bytes], durability: Durability = "durable") -> Future[None]:
        """Have records in the log, next to one another; the future is done when they are there.

        It raises StoreUnavailable where they are not, and may never be.
        """
        future: Future[None] = Future()
        # Whoever waits may be cancelled, and the records go on: on a cancelled future the log's thread would end.
        future.set_running_or_notify_cancel()
        batch = Batch(records, sum(map(len, records)), durability == "durable", future)
        with self._changed:
            error = self._refusal(batch.bytes)
            if error is None:
                self._backlog.add(batch)
                self._poke()
        if error is not None:
            future.set_exception(error)
        return future

    def append_async(self, records: Sequence[bytes], durability: Durability = "durable") -> asyncio.Future[None]:
        """As :meth:`append`, on an event loop. Of two loops only one may be in use."""
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        batch = Batch(records, sum(map(len, records)), durability == "durable", future)
        lane, turn = self._lane, None
        if lane is None or lane.loop is not loop:
            lane = self._attach(loop)
        with self._changed:
            error = self._refusal(batch.bytes)
            if error is None:
                self._backlog.add(batch)
                if lane is None:
                    self._poke()
                elif not self._busy:
                    turn = self._take()
        if error is not None:
            future.set_exception(error)
        elif lane is not None and turn is not None:
            self._launch(lane, turn)
        return future

    def trail(self, records: Sequence[bytes]) -> bool:
        """Have records in the log soon; nobody waits for them. False where there is no room for them now."""
        size = sum(map(len, records))
        with self._changed:
            if self._damage or self._stopping or self._backlog.trail_bytes + size > _TRAIL_BYTES:
                return False
            self._backlog.add_trail(records, size)
            self._poke()
        return True

    def refuse(self, cause: str) -> None:
        """Take nothing any more: another log of this node is not as it was written."""
        with self._changed:
            if self._damage:
                return
            self._damage = cause
            self._changed.notify()
        _log.error("the audit log %s takes nothing any more: %s", self.origin, cause)

    def close(self) -> bool:
        """Write what was handed in, with a last checkpoint; whether all of it is there."""
        with self._changed:
            already, self._stopping = self._stopping, True
            self._changed.notify()
        if self._keeper is None or already:
            self.folder.unlock()
            return False
        self._thread.join()
        if self._lane is not None:
            self._lane.close()
        done = self._writing.close() and not self._fault
        self.folder.unlock()
        return done

    def _refusal(self, size: int) -> StoreUnavailable | None:
        if self._stopping:
            return StoreUnavailable("the audit log is closed", hint="Open it anew.")
        if self._damage or self._fault:
            return _unwritable()
        if self._backlog.bytes + size > QUEUE_BYTES:
            return StoreUnavailable("too much waits for the audit log", retry_after=1)
        return None

    def _tampered(self, error: Damaged) -> None:
        with self._changed:
            if self._damage:
                return
            self._damage = error.message
            self._changed.notify()
        _log.error("audit integrity failure: %s", error.message)
        self._watcher.damaged(error.message)

    def _take(self) -> Turn:
        """All that waits; from now on a group is under way."""
        self._busy = True
        return self._backlog.take(SYNC_SECONDS, sync=self._stopping)

    def _poke(self) -> None:
        """Wake the thread where there is something for it that it does not know of."""
        left = self._left()
        if self._wanted or (left is not None and (left <= 0 or not self._napping)):
            self._changed.notify()

    def _left(self) -> float | None:
        """Seconds until there is something for the thread to do; None where nothing is."""
        backlog = self._backlog
        # An event loop that has a group under way may have ended: only its own batches wait for it.
        if self._stopping or self._writing.full or backlog.of_threads or (backlog.batches and not self._busy):
            return 0.0
        since = backlog.since
        return None if since is None else since + SYNC_SECONDS - time.monotonic()

    def _run(self) -> None:
        while True:
            while (lane := self._await()) is not None:
                lane.wait()
                self._landed()
            with self._changed:
                lost, self._lost = self._lost, None
                turn, stopping = None if lost else self._take(), self._stopping
            if lost is not None:
                self._failed(*lost)
            elif turn is not None and self._damage:
                settle(turn.batches, _unwritable())
            elif turn is not None:
                self._group(turn)
            if self._writing.full:
                self._writing.go_on()
            with self._changed:
                self._busy = False
            del turn, lost
            if stopping:
                return

    def _await(self) -> Lane | None:
        """Wait until the thread has something to do, and take its turn; or give the lane with a group under way."""
        with self._changed:
            while self._lost is None:
                left = self._left()
                if left is None or left > 0:
                    self._wanted, self._napping = False, left is not None
                    self._changed.wait(left)
                    self._napping = False
                elif not self._busy:
                    break
                else:
                    self._wanted = True
                    if self._flight is not None:
                        return self._lane
                    self._changed.wait(_LOOK_SECONDS)  # the loop is at it
            self._busy, self._wanted = True, False
            return None

    def _attach(self, loop: asyncio.AbstractEventLoop) -> Lane | None:
        """A lane for this loop; None where there can be none."""
        if self._lane is not None:
            self._lane.wait()
            self._landed()
            self._lane.close()
            self._lane = None
        try:
            self._lane = Lane(loop, partial(self._landed, loop))
        except (OSError, CoreError) as error:
            _log.warning("the audit log %s goes on without its short way: %s", self.origin, error)
        return self._lane

    def _launch(self, lane: Lane, turn: Turn) -> None:
        try:
            self._flight = group = self._writing.group(turn)
            lane.start(self._writing.fd, group.data, sync=turn.sync)
        except MemoryError:
            self._lose(OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)), turn)

    def _lose(self, error: OSError, turn: Turn) -> None:
        """The journal is not to be touched before the thread has repaired it: the group stays under way."""
        with self._changed:
            self._flight = None
            self._lost = error, turn
            self._changed.notify()

    def _landed(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """End what is under way in the lane, if it is done, and on its loop begin what has gathered."""
        with self._changed:
            lane, group = self._lane, self._flight
            if lane is None or group is None or (outcome := lane.outcome()) is False:
                return
            if isinstance(outcome, OSError):
                self._lose(outcome, group.turn)
                return
            self._flight = None
        self._written(group, loop)
        with self._changed:
            first = self._wanted or self._writing.full or self._damage or self._stopping
            if loop is None or first or not self._backlog.batches:
                self._busy = False
                self._poke()
                return
            turn = self._take()
        self._launch(lane, turn)

    def _group(self, turn: Turn) -> None:
        group = self._writing.group(turn)
        try:
            self._writing.write(group)
        except OSError as error:
            self._failed(error, turn)
        else:
            self._written(group)

    def _written(self, group: Group, loop: asyncio.AbstractEventLoop | None = None) -> None:
        if not self._writing.written(group, loop):
            with self._changed:
                self._backlog.since = group.turn.since

    def _failed(self, error: OSError, turn: Turn) -> None:
        """Refuse what comes until the disk takes all that counts again."""
        _log.error("the audit log %s cannot be written: %s", self.origin, error.strerror)
        with self._changed:
            self._fault = error.strerror or type(error).__name__
            refused = self._backlog.refuse(turn)
        settle(refused, _unwritable())
        while not self._stopping and not self._damage:
            try:
                self._writing.repair()
            except OSError:
                with self._changed:
                    self._changed.wait_for(lambda: self._stopping, _RETRY_SECONDS)
                continue
            with self._changed:
                self._fault = ""
            self._writing.repaired()
            _log.warning("the audit log %s can be written again", self.origin)
            return


def _unwritable() -> StoreUnavailable:
    return StoreUnavailable(
        "the audit log cannot be written: nothing is done that could not be recorded", retry_after=1
    )
