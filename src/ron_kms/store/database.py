"""Threads and transactions: one writer that commits what has gathered, and a few readers.

SQLAlchemy's connections are synchronous, so they live on threads of their own; callers hand in functions of a
connection and get futures, which ``asyncio.wrap_future`` makes awaitable. Nothing waits in an unbounded queue.
"""

from __future__ import annotations

import queue
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection, Engine

from ron_kms.errors import KmsError, StoreUnavailable
from ron_kms.store.faults import translate
from ron_kms.store.sqlite import database_path, fold_log, make_engine

__all__ = ["Connection", "Database", "Reader"]  # a job's argument is named here for the floors above

T = TypeVar("T")

_GATHERED = 256
"""Jobs that share one commit at most."""

_STOP_SECONDS = 10.0
_PURGE_SECONDS = 3.0
_PURGE_PAUSE = 0.005


class Database:
    """A store that is there already (:func:`ron_kms.store.bootstrap.prepare`), opened for one process.

    :param url: ``sqlite:///<path>``.
    :param readers: threads that read, each with its own connection.
    :param waiting: jobs that may wait, for the writer and for the readers each; beyond that they are refused.

    Jobs run in a transaction and must not end it; they return plain values, not open results. Everything that can go
    wrong is told by the future: :class:`~ron_kms.errors.StoreUnavailable` for a store that is locked, full, gone,
    closed or too busy, :class:`~ron_kms.errors.StoreCorrupt` for a damaged file, :class:`~ron_kms.errors.Conflict` for
    a row that is there already, and whatever the job itself raised.
    """

    def __init__(self, url: str, *, readers: int = 2, waiting: int = 1024) -> None:
        self._path = path = database_path(url)
        self._file = _identity(path)
        self._lock = threading.Lock()
        self._closed = False
        self._reads = _Queue(waiting)
        self._writes = _Queue(waiting)
        self._writer = _Writer(make_engine(path, writing=True))
        reading = make_engine(path, writing=False)
        # Daemons, so that a process that forgets to close can end; the finalizer then still lets them finish.
        threads = [
            threading.Thread(target=self._writer.serve, args=(self._writes,), name="ron-kms-writer", daemon=True),
            *(
                threading.Thread(
                    target=_serve_reads, args=(self._placed(reading), self._reads), name="ron-kms-reader", daemon=True
                )
                for _ in range(readers)
            ),
        ]
        for thread in threads:
            thread.start()
        self._stop = weakref.finalize(self, _stop, [self._writes, *[self._reads] * readers], threads)

    @property
    def commits(self) -> int:
        """Transactions that the writer has committed so far."""
        return self._writer.commits

    def read(self, job: Callable[[Connection], T]) -> Future[T]:
        """Run ``job`` on a reader: it sees one state of the store, and cannot write."""
        return self._submit(self._reads, job)

    def write(self, job: Callable[[Connection], T]) -> Future[T]:
        """Run ``job`` on the writer; the future is done once its changes are committed and on disk.

        A job that raises changes nothing, and no other job's fate.
        """
        return self._submit(self._writes, job)

    def reader(self) -> Reader:
        """A connection for a thread that must not wait behind the jobs of others; the thread closes it itself."""
        return self._placed(make_engine(self._path, writing=False))

    def _placed(self, engine: Engine) -> Reader:
        return Reader(engine, partial(_verify_place, self._path, self._file))

    def purge(self) -> Future[None]:
        """Let nothing that was overwritten or deleted be found on the disk any more; done once the log is empty.

        The future tells of StoreUnavailable where others have read and written for seconds without a pause.
        """
        future: Future[None] = Future()
        future.set_running_or_notify_cancel()
        # A thread of its own, for it has to wait for a moment in which neither the writer nor a reader is at work.
        threading.Thread(target=_purge, args=(self._path, future), name="ron-kms-purge", daemon=True).start()
        return future

    def close(self) -> None:
        """Finish what was handed in, refuse what comes later, and close all connections."""
        with self._lock:
            self._closed = True
        self._stop()

    def _submit(self, tasks: _Queue, job: Callable[[Connection], T]) -> Future[T]:
        future: Future[T] = Future()
        try:
            with self._lock:
                if self._closed:
                    raise StoreUnavailable("the store is closed", hint="Open it anew.")
                tasks.put_nowait(_Task(job, future))
        except StoreUnavailable as error:
            future.set_exception(error)
        except queue.Full:
            future.set_exception(StoreUnavailable("too much waits for the store", retry_after=1))
        return future


class _Task(NamedTuple):
    job: Callable[[Connection], Any]
    future: Future[Any]

    def starts(self) -> bool:
        """Whether it is still wanted; from here on it cannot be cancelled."""
        return self.future.set_running_or_notify_cancel()


_Queue = queue.Queue[_Task | None]
"""None ends one thread."""


class _Thread:
    """One thread's connection: made when first needed, and made anew after it broke."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None

    def connection(self) -> Connection:
        if self._connection is None:
            self._connection = self._engine.connect()
        return self._connection

    def disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


class Reader(_Thread):
    """Reads on the thread that calls it, always the same one.

    :param before: looked at before every read; what it raises is the read's. So it is seen that the file is still the
        store's: one that was moved away or replaced while it was open could be read on for ever, with nobody else
        writing to it.
    """

    def __init__(self, engine: Engine, before: Callable[[], None] | None = None) -> None:
        super().__init__(engine)
        self._before = before

    def read(self, job: Callable[[Connection], T]) -> T:
        """Run ``job`` in a transaction that sees one state of the store, and cannot write.

        :raises KmsError: as the futures of :class:`Database` say it.
        """
        try:
            if self._before is not None:
                self._before()
            connection = self.connection()
            with connection.begin():
                return job(connection)
        except BaseException as error:
            fault = translate(error)
            if fault is error:
                raise
            self.disconnect()
            raise fault  # noqa: B904 - its cause is set there


def _serve_reads(reader: Reader, tasks: _Queue) -> None:
    while (task := tasks.get()) is not None:
        if task.starts():
            try:
                result = reader.read(task.job)
            except BaseException as error:  # noqa: BLE001 - the future tells it, and the thread goes on
                task.future.set_exception(error)
            else:
                task.future.set_result(result)
                del result
        del task  # an idle thread keeps no one's data alive
    reader.disconnect()


class _Lost(Exception):
    """The engine has rolled the whole transaction back by itself."""


class _Writer(_Thread):
    commits = 0

    def serve(self, tasks: _Queue) -> None:
        running = True
        while running:
            gathered = [tasks.get()]
            try:
                while len(gathered) < _GATHERED and gathered[-1] is not None:
                    gathered.append(tasks.get_nowait())
            except queue.Empty:
                pass
            running = gathered[-1] is not None
            self._run([task for task in gathered if task is not None and task.starts()])
            del gathered
        self.disconnect()

    def _run(self, tasks: Sequence[_Task]) -> None:
        """Run the tasks in one transaction; their futures learn of it after the commit."""
        if not tasks:
            return
        outcomes: list[tuple[Any, BaseException | None]] = []
        try:
            connection = self.connection()
            with connection.begin():
                for task in tasks:
                    outcomes.append(self._attempt(connection, task))  # noqa: PERF401 - kept when one raises
            self.commits += 1
        except Exception as error:  # noqa: BLE001 - the futures tell it, and the thread goes on
            self.disconnect()
            for i, task in enumerate(tasks):
                own = outcomes[i][1] if i < len(outcomes) else None
                task.future.set_exception(own or _common_fault(error))
            return
        for task, (result, fault) in zip(tasks, outcomes, strict=True):
            if fault is None:
                task.future.set_result(result)
            else:
                task.future.set_exception(fault)

    def _attempt(self, connection: Connection, task: _Task) -> tuple[Any, BaseException | None]:
        """Run one task in a savepoint of its own: its result, or what it raised."""
        savepoint = connection.begin_nested()
        try:
            result = task.job(connection)
            savepoint.commit()
        except BaseException as error:
            # A full disk or a failing one ends the transaction at once, and with it what other jobs have done in it.
            driver = connection.connection.dbapi_connection
            if driver is None or not driver.in_transaction:
                raise _Lost from error
            savepoint.rollback()
            return None, translate(error)
        return result, None


def _common_fault(error: Exception) -> BaseException:
    """What to tell every job of a transaction that came to nothing; one job's own exception is not the others'."""
    fault = translate(error.__cause__ if isinstance(error, _Lost) and error.__cause__ else error)
    if isinstance(error, _Lost) and not isinstance(fault, KmsError):
        return StoreUnavailable("the store has given up a transaction", retry_after=1)
    return fault


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file is there, whatever its name."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _verify_place(path: Path, file: tuple[int, int] | None) -> None:
    if file is not None and _identity(path) != file:
        raise StoreUnavailable(
            "the store's file is not where it was opened",
            hint="Put it back, or start ron-kms anew over the file that is there now.",
            retry_after=1,
        )


def _purge(path: Path, future: Future[None]) -> None:
    deadline = time.monotonic() + _PURGE_SECONDS
    try:
        while not fold_log(path):
            if time.monotonic() > deadline:
                raise StoreUnavailable("the store's log is in use without a pause", retry_after=1)
            time.sleep(_PURGE_PAUSE)
    except BaseException as error:  # noqa: BLE001 - the future tells it
        future.set_exception(error)
    else:
        future.set_result(None)


def _stop(queues: Sequence[_Queue], threads: Sequence[threading.Thread]) -> None:
    for tasks in queues:
        tasks.put(None)
    for thread in threads:
        if thread is not threading.current_thread():
            thread.join(_STOP_SECONDS)
