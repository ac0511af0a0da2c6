"""Freshness: how a process learns of what others have changed, and knows that it has.

Every 250 ms one thread looks at the store's count of changes and hands what is new to those who hold something read
before. Private operations are done only within the bound of the start of the last look that succeeded, so that whatever
was committed holds in every process at most that long after, also in one that is cut off from the store, was stopped,
or slept with its machine.
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from ron_kms.errors import KmsError, StoreCorrupt, StoreUnavailable
from ron_kms.store import changes
from ron_kms.store.changes import PRUNED, Change
from ron_kms.store.database import Database, Reader
from ron_kms.store.refresh import boottime
from ron_kms.store.rows import Rows

BOUND_MS = 1000
LOOK_SECONDS = 0.25
_LOOKS_PER_BOUND = 4
_PAGE = 1000
_STOP_SECONDS = 10.0

_log = logging.getLogger(__name__)

Applier = Callable[[Sequence[Change]], None]
"""Takes what was changed, in order, on the watcher's thread; may be given the same ones again."""


class Watcher:
    """Looks at the count of changes, from now on until it is closed or let go of.

    What is kept of the store must be read after the watcher was made: earlier changes are not told.

    :param bound_ms: how old the last look may be, in milliseconds of CLOCK_BOOTTIME.
    :raises StoreUnavailable, StoreCorrupt: the first look fails.
    """

    def __init__(self, database: Database, rows: Rows, *, bound_ms: int = BOUND_MS) -> None:
        self._database = database  # for as long as somebody watches it, so that the store is open
        self._rows = rows
        self._bound = bound_ms / 1000
        self.pause = min(LOOK_SECONDS, self._bound / _LOOKS_PER_BOUND)
        self._appliers: dict[str, list[Applier]] = {}
        self._applying = threading.Lock()
        self._waiting: list[Future[None]] = []
        self._corrupt = False
        self._failing = False
        started = boottime()
        self._known: int = database.read(lambda connection: changes.latest(connection, rows)).result()
        self._looked = started
        self._signal = _Signal()
        thread = threading.Thread(
            target=_serve,
            args=(weakref.ref(self), database.reader(), self._signal),
            name="ron-kms-freshness",
            daemon=True,
        )
        thread.start()
        self._stop = weakref.finalize(self, _stop, self._signal, thread)

    def on(self, kind: str, apply: Applier) -> None:
        """Have ``apply`` told of changes of this kind; once now, without any, for what it holds so far may be old,
        and so again where more was changed than there is a record of.

        It is not called twice at once. While it raises, the process is not fresh, and it is told again.
        """
        with self._applying:
            self._appliers.setdefault(kind, []).append(apply)
            apply(())

    @property
    def age(self) -> float:
        """Seconds since the last look that succeeded was begun."""
        return boottime() - self._looked

    def fresh(self) -> bool:
        """Whether everything that was committed longer ago than the bound is known here."""
        return not self._corrupt and boottime() - self._looked <= self._bound

    @property
    def corrupt(self) -> bool:
        """Whether the record of changes was found to be edited; then this process is not fresh until it ends."""
        return self._corrupt

    def require(self) -> None:
        """For private operations: when they begin, and again right before they touch a key.

        :raises StoreUnavailable: the process is not fresh.
        """
        if self.fresh():
            return
        if self._corrupt:
            raise StoreUnavailable(
                "what was changed cannot be known: the store's record of changes was edited outside ron-kms",
                hint="Private operations are refused until the store is restored and ron-kms started anew.",
            )
        raise StoreUnavailable("the store was not seen for too long to know what was changed", retry_after=1)

    def look_soon(self) -> Future[None]:
        """Have the store looked at now; done once that look has ended, however it ended."""
        future: Future[None] = Future()
        with self._signal.lock:
            if self._signal.stopped:
                future.set_exception(StoreUnavailable("the store is closed", hint="Open it anew."))
                return future
            self._waiting.append(future)
        self._signal.wake.set()
        return future

    def close(self) -> None:
        """End the looks. From then on the process grows old."""
        self._stop()
        self._tell(self._take_waiting())

    def look(self, reader: Reader) -> None:
        """One look, for the watcher's own thread."""
        waiting = self._take_waiting()
        started = boottime()
        try:
            while len(page := self._read(reader)) == _PAGE:
                self._apply(page)
            self._apply(page)
        except Exception as error:  # noqa: BLE001 - whatever it is, the process grows old and looks again
            if not self._failing:
                reason = error.message if isinstance(error, KmsError) else type(error).__name__
                _log.error("changes cannot be seen: %s", reason)
            self._failing = True
        else:
            if self._failing:
                _log.warning("changes are seen again")
            self._failing = False
            self._looked = started
        finally:
            self._tell(waiting)

    def _read(self, reader: Reader) -> list[Change]:
        try:
            return reader.read(lambda connection: changes.since(connection, self._rows, self._known, _PAGE))
        except StoreCorrupt as error:
            if not self._corrupt:
                _log.critical("private operations are refused until ron-kms is started anew: %s", error.message)
            self._corrupt = True
            raise

    def _apply(self, page: list[Change]) -> None:
        """Tell the appliers; only then are the changes known."""
        if not page:
            return
        with self._applying:
            if page[0].kind == PRUNED:
                _log.warning("more was changed than is kept a record of: whatever was read before is read anew")
                for appliers in self._appliers.values():
                    for apply in appliers:
                        apply(())
            for kind, appliers in self._appliers.items():
                changed = [change for change in page if change.kind == kind]
                if changed:
                    for apply in appliers:
                        apply(changed)
        self._known = page[-1].n

    def _take_waiting(self) -> list[Future[None]]:
        with self._signal.lock:
            waiting, self._waiting = self._waiting, []
        return waiting

    @staticmethod
    def _tell(waiting: list[Future[None]]) -> None:
        for future in waiting:
            if future.set_running_or_notify_cancel():
                future.set_result(None)


class _Signal:
    """What ends the thread or wakes it; apart from the watcher, which the thread does not keep alive."""

    def __init__(self) -> None:
        self.wake = threading.Event()
        self.lock = threading.Lock()
        self.stopped = False


def _serve(watching: weakref.ref[Watcher], reader: Reader, signal: _Signal) -> None:
    while True:
        signal.wake.clear()
        watcher = watching()
        if signal.stopped or watcher is None:
            break
        due = time.monotonic() + watcher.pause
        watcher.look(reader)
        del watcher
        signal.wake.wait(max(0.0, due - time.monotonic()))
    reader.disconnect()


def _stop(signal: _Signal, thread: threading.Thread) -> None:
    with signal.lock:
        signal.stopped = True
    signal.wake.set()
    if thread is not threading.current_thread():
        thread.join(_STOP_SECONDS)
