"""One read of the store for all who ask for the same at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import Future
from typing import Generic, TypeVar

from ron_kms.errors import KmsError, ServiceError
from ron_kms.store.database import Connection, Database

K = TypeVar("K")
V = TypeVar("V")


class Flights(Generic[K, V]):
    """Reads values by key. Safe to use from several threads.

    Keys that are asked for together are read together, and a key that is being read already is not read twice. Nobody
    is given what was asked for before a change that was heard of before he asked.

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
        self._under_way: dict[K, _Flight[K, V]] = {}
        self._lock = threading.Lock()

    def read(self, keys: Iterable[K]) -> Future[dict[K, V | KmsError]]:
        """The values by key; where the store cannot be asked, that is the error of those keys for which it was."""
        new: _Flight[K, V] = _Flight(self._changes())
        shared: dict[_Flight[K, V], list[K]] = {}
        with self._lock:
            for key in dict.fromkeys(keys):
                flight = self._under_way.get(key)
                if flight is None or flight.changes != new.changes:
                    flight = self._under_way[key] = new
                shared.setdefault(flight, []).append(key)
        if new in shared:
            mine = shared[new]
            reading = self._database.read(lambda connection: self._read(connection, mine))
            reading.add_done_callback(lambda done: self._land(new, mine, done))
        return _joined(shared)

    def _land(self, flight: _Flight[K, V], keys: list[K], done: Future[Mapping[K, V | KmsError]]) -> None:
        with self._lock:
            for key in keys:
                if self._under_way.get(key) is flight:
                    del self._under_way[key]
        error = done.exception()
        if error is not None:
            flight.result.set_exception(error)
        else:
            flight.result.set_result(done.result())


class _Flight(Generic[K, V]):
    """One read that is under way; nobody but :class:`Flights` ends or cancels it."""

    __slots__ = ("changes", "result")

    def __init__(self, changes: int) -> None:
        self.changes = changes
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
