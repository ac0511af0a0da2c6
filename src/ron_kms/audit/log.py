"""An audit log that is written: many records, one write, one fdatasync, on a thread of its own.

Who appends gets a future and goes on; the thread takes all that has come meanwhile as one group. Nothing waits in an
unbounded queue. Where the disk fails, what was asked for fails before its answer, and the log recovers by itself when
the disk does; where the log was tampered with, nothing more is written to it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Literal, NamedTuple, Protocol

from ron_kms.audit.checkpoint import Signer
from ron_kms.audit.folder import LogFolder
from ron_kms.audit.journal import Journal
from ron_kms.audit.keeper import Keeper, Pace
from ron_kms.audit.recovery import Damaged, Head, Recovered
from ron_kms.errors import StoreUnavailable

Durability = Literal["durable", "written"]
"""``durable``: on the disk; ``written``: with the kernel, and on the disk within :data:`SYNC_SECONDS`."""

SYNC_SECONDS = 0.05
QUEUE_BYTES = 8 * 1024 * 1024
"""Of records that wait to be written."""

_RETRY_SECONDS = 0.25
_TRAIL_BYTES = QUEUE_BYTES // 4
_LATE_CHECKPOINT = 6
"""A checkpoint that is so many times its pace old is not recent."""

_log = logging.getLogger(__name__)


class Watcher(Protocol):
    """Is told what happens to a log, on its threads."""

    def appended(self, records: int) -> None:
        """So many records are in the log."""

    def checkpointed(self) -> None:
        """A checkpoint was signed."""

    def damaged(self, cause: str) -> None:
        """The log is not as it was written; told once."""


class Silent:
    """A watcher that tells nobody."""

    def appended(self, records: int) -> None:
        """Nothing."""

    def checkpointed(self) -> None:
        """Nothing."""

    def damaged(self, cause: str) -> None:
        """Nothing."""


class _Batch(NamedTuple):
    records: Sequence[bytes]
    bytes: int
    durable: bool
    future: Future[None]


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
        self._batches: list[_Batch] = []
        self._trail: list[bytes] = []
        self._bytes = self._trail_bytes = 0
        self._stopping = False
        self._durable = 0
        self._pending: list[bytes] = []
        """Records that are written and not on the disk yet."""
        self._since: float | None = None
        """When the first of what is not on the disk, and nobody waits for, came in."""
        self._keeper: Keeper | None = None
        if found is None:
            return
        self._durable = found.frontier.size
        self._journal = Journal(folder.journal, self._durable)
        self._keeper = Keeper(
            folder,
            origin,
            signers,
            found,
            head,
            save=save,
            drop=self._journal.drop,
            damaged=self._tampered,
            checkpointed=watcher.checkpointed,
            pace=self._pace,
        )
        self._thread = threading.Thread(target=self._run, name="ron-kms-audit", daemon=True)
        self._thread.start()

    @property
    def size(self) -> int:
        """Records that are on the disk."""
        return self._durable

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
        return len(self._batches)

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
        batch = _Batch(records, sum(map(len, records)), durability == "durable", Future())
        # Whoever waits may be cancelled, and the records go on: on a cancelled future the log's thread would end.
        batch.future.set_running_or_notify_cancel()
        with self._changed:
            error = self._refusal(batch.bytes)
            if error is None:
                if not self._batches:
                    self._changed.notify()
                self._batches.append(batch)
                self._bytes += batch.bytes
        if error is not None:
            batch.future.set_exception(error)
        return batch.future

    def trail(self, records: Sequence[bytes]) -> bool:
        """Have records in the log soon; nobody waits for them. False where there is no room for them now."""
        size = sum(map(len, records))
        with self._changed:
            if self._damage or self._stopping or self._trail_bytes + size > _TRAIL_BYTES:
                return False
            if not self._trail:
                self._changed.notify()
            self._trail += records
            self._trail_bytes += size
        return True

    def close(self) -> bool:
        """Write what was handed in, with a last checkpoint; whether all of it is there."""
        with self._changed:
            already, self._stopping = self._stopping, True
            self._changed.notify()
        if self._keeper is None or already:
            self.folder.unlock()
            return False
        self._thread.join()
        done = self._keeper.stop() and not self._fault
        self._journal.close()
        self.folder.unlock()
        return done

    def _refusal(self, size: int) -> StoreUnavailable | None:
        if self._stopping:
            return StoreUnavailable("the audit log is closed", hint="Open it anew.")
        if self._damage or self._fault:
            return _unwritable()
        if self._bytes + size > QUEUE_BYTES:
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

    def _run(self) -> None:
        while True:
            with self._changed:
                self._await()
                batches, self._batches = self._batches, []
                trail, self._trail = self._trail, []
                self._bytes = self._trail_bytes = 0
                stopping = self._stopping
            if self._damage:
                _settle(batches, _unwritable())
            elif batches or trail or self._pending:
                self._group(batches, trail, stopping)
            del batches, trail
            if stopping:
                return

    def _await(self) -> None:
        """Wait until there is something to do; records that nobody waits for let some more gather."""
        while not self._batches and not self._stopping:
            if not self._trail and not self._pending:
                self._changed.wait()
                continue
            if self._since is None:
                self._since = time.monotonic()
            left = self._since + SYNC_SECONDS - time.monotonic()
            if left <= 0:
                return
            self._changed.wait(left)

    def _group(self, batches: list[_Batch], trail: list[bytes], stopping: bool) -> None:
        records = [record for batch in batches for record in batch.records]
        now = time.monotonic()
        late = self._since is not None and now - self._since >= SYNC_SECONDS
        sync = stopping or late or any(batch.durable for batch in batches)
        records += trail
        try:
            if records:
                self._journal.write(self._durable, records)
        except OSError as error:
            self._failed(error, batches, trail)
            return
        if not sync:
            self._since = now if self._since is None else self._since
            self._pending += records
            _settle(batches, None)
            return
        try:
            self._journal.sync()
        except OSError as error:
            if records:
                self._journal.forget(len(records))
            self._failed(error, batches, trail)
            return
        _settle(batches, None)
        self._synced(self._pending + records)

    def _synced(self, records: list[bytes]) -> None:
        self._pending = []
        self._since = None
        self._durable += len(records)
        if self._keeper is not None:
            self._keeper.take(records)
        self._watcher.appended(len(records))
        if self._journal.full:
            try:
                self._journal.rotate()
            except OSError as error:
                _log.warning("the audit log %s goes on in its old file: %s", self.origin, error.strerror)

    def _failed(self, error: OSError, batches: list[_Batch], trail: list[bytes]) -> None:
        """Refuse what comes until the disk takes all that counts again."""
        _log.error("the audit log %s cannot be written: %s", self.origin, error.strerror)
        with self._changed:
            self._fault = error.strerror or type(error).__name__
            refused = [*batches, *self._batches]
            self._batches = []
            self._bytes = 0
            self._trail[:0] = trail
            self._trail_bytes += sum(map(len, trail))
        _settle(refused, _unwritable())
        while not self._stopping and not self._damage:
            try:
                self._journal.repair()
            except OSError:
                with self._changed:
                    self._changed.wait_for(lambda: self._stopping, _RETRY_SECONDS)
                continue
            with self._changed:
                self._fault = ""
            self._synced(self._pending)
            _log.warning("the audit log %s can be written again", self.origin)
            return


def _settle(batches: Sequence[_Batch], error: Exception | None) -> None:
    for batch in batches:
        if error is None:
            batch.future.set_result(None)
        else:
            batch.future.set_exception(error)


def _unwritable() -> StoreUnavailable:
    return StoreUnavailable(
        "the audit log cannot be written: nothing is done that could not be recorded", retry_after=1
    )
