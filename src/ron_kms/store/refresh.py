"""What a cache has kept for long and still uses is read anew, in the background and at a measured pace."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from itertools import islice
from math import inf
from typing import Generic, TypeVar

from ron_kms.errors import KmsError
from ron_kms.store.database import Connection, Database

K = TypeVar("K")

BATCH = 64
"""Entries of one read."""

_REST = 4
"""After a read nothing is read for so many times as long as it took, so that a fifth of one reader is the most."""

_RETRY_SECONDS = 1.0
_LOG_SECONDS = 60.0

_log = logging.getLogger(__name__)


boottime = partial(time.clock_gettime, time.CLOCK_BOOTTIME)
"""Seconds of CLOCK_BOOTTIME: it goes on while the machine sleeps."""


class Refresher(Generic[K]):
    """Keeps in mind what is to be read anew. Safe to use from several threads.

    At most one read is under way. It is begun by whoever wants something refreshed or by :meth:`drive`; there is no
    thread and no timer. While the store is away it is tried once a second.

    :param renew: reads these entries anew and puts them in place; raises KmsError where the store cannot be asked.
    :param what: is kept, for the log.
    """

    def __init__(
        self,
        database: Database,
        renew: Callable[[Connection, list[K]], None],
        what: str,
        clock: Callable[[], float] = boottime,
    ) -> None:
        self._database = database
        self._renew = renew
        self._what = what
        self._clock = clock
        self._due: OrderedDict[K, float] = OrderedDict()
        self._oldest = inf
        self._under_way = False
        self._rests_until = -inf
        self._logged = -inf
        self._lock = threading.Lock()
        self.failing = False
        """Whether the last read has failed."""
        self.failures = 0
        """Reads that have failed so far."""

    def want(self, key: K, read_at: float) -> None:
        """As :meth:`note`, and the next read is begun if it is time."""
        self.note(key, read_at)
        self.drive()

    def note(self, key: K, read_at: float) -> None:
        """This entry is used and has become old; ``read_at`` is when it was read."""
        with self._lock:
            self._due.setdefault(key, read_at)
            self._oldest = min(self._oldest, read_at)

    def drop(self, key: K) -> bool:
        """It is not kept any more; whether it was to be refreshed."""
        with self._lock:
            return self._due.pop(key, None) is not None

    def behind(self) -> float:
        """Seconds since the oldest entry was read that is in use, old, and not read anew since; 0 where there is none.

        It goes on growing when that entry is dropped for its age, until the store has been read again.
        """
        oldest = self._oldest
        return 0.0 if oldest == inf else max(0.0, self._clock() - oldest)

    def drive(self) -> None:
        """Begin the next read if there is something to read and it is time."""
        with self._lock:
            if self._under_way or self._oldest == inf or self._clock() < self._rests_until:
                return
            self._under_way = True
            keys = list(islice(self._due, BATCH))
        started = self._clock()
        reading = self._database.read(lambda connection: self._renew(connection, keys))
        reading.add_done_callback(lambda done: self._done(keys, started, done))

    def _done(self, keys: list[K], started: float, done: Future[None]) -> None:
        error = done.exception()
        now = self._clock()
        with self._lock:
            self._under_way = False
            recovered, self.failing = self.failing and error is None, error is not None
            if error is None:
                for key in keys:
                    self._due.pop(key, None)
                # The others were wanted later, so the first of them stands for all; all are read within seconds.
                self._oldest = next(iter(self._due.values()), inf)
                self._rests_until = now + _REST * (now - started)
            else:
                self.failures += 1
                self._rests_until = now + _RETRY_SECONDS
                tell = now - self._logged >= _LOG_SECONDS
                if tell:
                    self._logged = now
        if recovered:
            _log.warning("%s are refreshed again", self._what)
        if error is not None and tell:
            reason = error.message if isinstance(error, KmsError) else type(error).__name__
            _log.error("%s cannot be refreshed: %s", self._what, reason)
