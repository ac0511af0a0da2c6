"""One read of the store for all who ask for the same at the same time, and for what is asked for meanwhile."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import Future
from functools import partial
from typing import Generic, TypeVar

from ron_kms.errors import KmsError, ServiceError
from ron_kms.store.database import Connection, Database

K = TypeVar("K")
V = TypeVar("V")

_UNDER_WAY = 2
"""Reads at a time, as many as a store has readers: a long one holds nobody up."""
_TOGETHER = 256
"""Keys that wait for one read; the next one begins another."""


class Flights(Generic[K, V]):
    """Reads values by key. Safe to use from several threads.

    Keys that are asked for together are read together, a key that is being read already is not read twice, and what is
    asked for while enough is being read is the next read: most of what one costs does not depend on its keys. Nobody is
    given what was read before a change that was heard of before he asked.

    :param read: reads the keys in one transaction, on a reader's thread; keys that do not exist are left out.
    :param changes: a number that grows with every change that is heard of.
    """

    def __init__(
        self,
        database: Database,
        read: Callable[[Connection, list[K]], Mapping[K, V | KmsError]],
        changes: Callable[[], int],
    ) -> None:
        self._database = database
        self._read = read
        self._changes = changes
        self._newest: dict[K, _Flight[K, V]] = {}
        self._waiting: deque[_Flight[K, V]] = deque()
        self._under_way = 0
        self._lock = threading.Lock()

    def read(self, keys: Iterable[K]) -> Future[dict[K, V | KmsError]]:
        """The values by key; where the store cannot be asked, that is the error of those keys for which it was.

        :param keys: one at least.
        """
        shared: dict[_Flight[K, V], list[K]] = {}
        with self._lock:
            changes = self._changes()
            mine: _Flight[K, V] | None = None
            for key in dict.fromkeys(keys):
                flight = self._newest.get(key)
                if flight is None or flight.changes not in (None, changes):
                    flight = mine = mine or self._next()
                    flight.keys.append(key)
                    self._newest[key] = flight
                shared.setdefault(flight, []).append(key)
        joined = _joined(shared)
        if mine is not None:
            self._go_on()
        return joined

    def _next(self) -> _Flight[K, V]:
        """One that has not begun, and has room."""
        if not self._waiting or len(self._waiting[-1].keys) >= _TOGETHER:
            self._waiting.append(_Flight())
        return self._waiting[-1]

    def _go_on(self) -> None:
        while True:
            with self._lock:
                if not self._waiting or self._under_way == _UNDER_WAY:
                    return
                self._under_way += 1
                flight = self._waiting.popleft()
                flight.changes = self._changes()
            reading = self._database.read(partial(self._run, flight))
            if not reading.done():
                reading.add_done_callback(partial(self._landed, flight))
                return
            self._land(flight, reading)  # here, and not by a call within a call for all that waits

    def _run(self, flight: _Flight[K, V], connection: Connection) -> Mapping[K, V | KmsError]:
        return self._read(connection, flight.keys)

    def _landed(self, flight: _Flight[K, V], done: Future[Mapping[K, V | KmsError]]) -> None:
        self._land(flight, done)
        self._go_on()

    def _land(self, flight: _Flight[K, V], done: Future[Mapping[K, V | KmsError]]) -> None:
        with self._lock:
            self._under_way -= 1
            for key in flight.keys:
                if self._newest.get(key) is flight:
                    del self._newest[key]
        error = done.exception()
        if error is not None:
            flight.result.set_exception(error)
        else:
            flight.result.set_result(done.result())


class _Flight(Generic[K, V]):
    """One read that waits or is under way; nobody but :class:`Flights` ends or cancels it.

    :ivar changes: what was heard of when it began; None before.
    """

    __slots__ = ("changes", "keys", "result")

    def __init__(self) -> None:
        self.keys: list[K] = []
        self.changes: int | None = None
        self.result: Future[Mapping[K, V | KmsError]] = Future()


def _joined(shared: Mapping[_Flight[K, V], Collection[K]]) -> Future[dict[K, V | KmsError]]:
    """Done when all flights are; one that whoever waits may cancel, for himself alone."""
    joined: Future[dict[K, V | KmsError]] = Future()
    lock = threading.Lock()
    left = len(shared)

    def landed(_: Future[Mapping[K, V | KmsError]]) -> None:
        nonlocal left
        with lock:
            left -= 1
            if left:
                return
        if not joined.set_running_or_notify_cancel():
            return
        try:
            joined.set_result(_gathered(shared))
        except Exception as error:  # noqa: BLE001 - whoever waits is told
            joined.set_exception(error)

    for flight in list(shared):
        flight.result.add_done_callback(landed)
    return joined


def _gathered(shared: Mapping[_Flight[K, V], Collection[K]]) -> dict[K, V | KmsError]:
    found: dict[K, V | KmsError] = {}
    for flight, keys in shared.items():
        try:
            result = flight.result.result()
        except ServiceError as error:
            found.update(dict.fromkeys(keys, error))
        else:
            found.update((key, result[key]) for key in keys if key in result)
    return found
