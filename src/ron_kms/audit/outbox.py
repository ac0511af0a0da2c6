"""Between the store and the log: no change without its record, and no record twice.

A change writes its record into the outbox in its own transaction; after the commit the record is appended, and only
then it is answered. The row goes in the transaction that moves the log's head past the record.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from datetime import UTC, datetime

from ron_kms.audit.log import Log
from ron_kms.audit.recovery import Head
from ron_kms.audit.watching import Watcher
from ron_kms.errors import KmsError
from ron_kms.model import new_uuid
from ron_kms.store import audit as registered
from ron_kms.store import outbox
from ron_kms.store.bootstrap import Store
from ron_kms.store.database import Connection
from ron_kms.store.outbox import Waiting

_log = logging.getLogger(__name__)
_STORE_SECONDS = 10.0


class Outbox:
    """The outbox of one log, and what the log tells the store.

    :param watcher: is told on what the log tells.
    """

    def __init__(self, store: Store, origin: str, watcher: Watcher) -> None:
        self._store = store
        self._origin = origin
        self._watcher = watcher
        self._log: Log | None = None
        self._done: list[str] = []
        self._late: list[Waiting] = []
        self._lock = threading.Lock()

    def put(self, connection: Connection, record: bytes) -> Waiting:
        """Write a record down, in the transaction of its change."""
        waiting = Waiting(new_uuid(), self._origin, record)
        outbox.put(connection, self._store.rows, waiting)
        return waiting

    def deliver(self, waiting: Waiting) -> Future[None]:
        """Append a record whose change was committed; one that cannot be is appended as soon as it can."""
        if self._log is None:
            raise RuntimeError("the outbox has no log yet")
        future = self._log.append((waiting.record,))
        future.add_done_callback(lambda done: self._delivered(waiting, done))
        return future

    def drain(self, log: Log, since: Sequence[bytes]) -> None:
        """Append what waits in the store, except for what a crash has left there though it is in the log.

        :param since: the records behind the log's head.
        :raises KmsError: the store cannot be read, or the log not written.
        """
        self._log = log
        rows = self._store.rows
        database = self._store.database
        if database.read(outbox.unclaimed).result():
            database.write(lambda connection: outbox.claim(connection, rows, self._origin)).result()
        waiting = database.read(lambda connection: outbox.waiting_for(connection, rows, self._origin)).result()
        there = set(since)
        self._done += [item.id for item in waiting if item.record in there]
        for future in [self.deliver(item) for item in waiting if item.record not in there]:
            future.result()

    def save(self, head: Head) -> None:
        """Write the log's head to the store, and take what it has passed out of the outbox.

        :raises KmsError: not now.
        """
        done = list(self._done)

        def write(connection: Connection) -> None:
            registered.save_head(connection, self._store.rows, self._origin, *head, datetime.now(UTC))
            outbox.remove(connection, done)

        self._store.database.write(write).result(_STORE_SECONDS)
        del self._done[: len(done)]

    def appended(self, records: int) -> None:
        self._watcher.appended(records)
        if self._late:
            with self._lock:
                late, self._late = self._late, []
            for waiting in late:
                self.deliver(waiting)

    def checkpointed(self) -> None:
        self._watcher.checkpointed()

    def damaged(self, cause: str) -> None:
        self._watcher.damaged(cause)
        with contextlib.suppress(TimeoutError):
            self.note(cause).exception(_STORE_SECONDS)

    def note(self, cause: str) -> Future[None]:
        """Have the store remember that the log's check has failed."""
        future = self._store.database.write(
            lambda connection: registered.note_damage(connection, self._store.rows, self._origin, cause)
        )
        future.add_done_callback(_tell)
        return future

    def _delivered(self, waiting: Waiting, future: Future[None]) -> None:
        # On the log's thread, before the head can move past the record; where it is refused at once, on any.
        if future.exception() is None:
            self._done.append(waiting.id)
        else:
            with self._lock:
                self._late.append(waiting)


def _tell(future: Future[None]) -> None:
    error = future.exception()
    if isinstance(error, KmsError):
        _log.error("the store cannot be told of a damaged audit log: %s", error.message)
