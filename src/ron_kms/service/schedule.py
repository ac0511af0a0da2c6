"""What is done when its time has come, without anybody asking for it then.

Every process looks now and then whether something is due; while nothing is, reading is all it does. One of them takes
the lease, works on a bounded batch, and gives the lease back. Each change carries the lease's fence in its own
transaction and looks there once more whether it is due, so nothing is done twice, whoever is stopped or killed in the
middle.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from blake3 import blake3

from ron_kms.errors import Internal, KmsError, StoreUnavailable
from ron_kms.model import Kid, new_uuid
from ron_kms.service.kms import Kms
from ron_kms.store import leases
from ron_kms.store.database import Connection
from ron_kms.store.leases import Lease, LeaseLost
from ron_kms.store.refresh import boottime

LEASE = "schedule"
DURATION = timedelta(seconds=10)

BATCH = 64
"""Keys that one job takes on in one turn."""

PAUSE = 1.0, 5.0
"""Seconds between turns, drawn anew each time so that processes do not fall into step; the less after a full batch."""

_PATIENCE = timedelta(minutes=5)
"""After which a key that could not be worked on is tried again."""

_FAILED_MAX = 1024

_log = logging.getLogger(__name__)

Fence = Callable[[Connection], None]
"""To be called first in each transaction that changes something; raises where the lease was lost."""


class Job(NamedTuple):
    """A kind of work that comes with time.

    :ivar due: up to so many keys that are due at that time, those that wait longest first; they are hints.
    :ivar act: does it for one key; False where it was not due any more. Raises KmsError.
    """

    name: str
    due: Callable[[Connection, datetime, int], list[Kid]]
    act: Callable[[Kms, Kid, datetime, Fence], Awaitable[bool]]


class Scheduler:
    """Does what is due. For one task or thread at a time.

    :param duration: of the lease: how long what is due waits when the process that works on it dies.
    """

    def __init__(self, kms: Kms, jobs: Iterable[Job], *, duration: timedelta = DURATION) -> None:
        self._kms = kms
        self._jobs = tuple(jobs)
        self._duration = duration
        self._holder = new_uuid()
        self._lease: Lease | None = None
        self._until = 0.0
        self._failed: dict[tuple[str, Kid], datetime] = {}

    async def run(self, pause: tuple[float, float] = PAUSE) -> None:
        """Turn after turn, until it is cancelled; what goes wrong in one is left to the next."""
        more = False
        while True:
            await asyncio.sleep(pause[0] if more else random.uniform(*pause))  # noqa: S311 - guards nothing
            more = False
            try:
                more = await self.turn()
            except KmsError as error:
                _log.warning("scheduled work is put off: %s", error.message)
            except Exception as error:  # noqa: BLE001 - whatever it is, the next turn tries again
                _log.error("scheduled work has failed: %s", type(error).__name__)

    async def turn(self) -> bool:
        """Do a batch of what is due; returns whether there is more.

        :raises StoreUnavailable: the store cannot be asked.
        """
        now = datetime.now(UTC)
        due = [(job, await self._due(job, now)) for job in self._jobs]
        if not any(kids for _, kids in due) or not await self._hold():
            return False
        try:
            for job, kids in due:
                if not await self._each(job, kids, now):
                    return False
        finally:
            await self._let_go()
        return any(len(kids) == BATCH for _, kids in due)

    async def _due(self, job: Job, now: datetime) -> list[Kid]:
        self._failed = {failed: until for failed, until in self._failed.items() if until > now}
        put_off = {kid for name, kid in self._failed if name == job.name}
        found: list[Kid] = await self._wait(
            lambda connection: job.due(connection, now, BATCH + len(put_off)), write=False
        )
        return [kid for kid in found if kid not in put_off][:BATCH]

    async def _each(self, job: Job, kids: list[Kid], now: datetime) -> bool:
        """Whether the lease was kept to the end."""
        results: Counter[str] = Counter()
        try:
            for kid in kids:
                if not await self._hold():
                    raise LeaseLost
                results[await self._one(job, kid, now)] += 1
        except LeaseLost:
            self._lease = None
            _log.warning("scheduled %s: another process has taken over", job.name)
            return False
        finally:
            for result, count in results.items():
                self._kms.metrics.scheduled(job.name, result, count)
                _log.info("scheduled %s: %d %s", job.name, count, result)
        return True

    async def _one(self, job: Job, kid: Kid, now: datetime) -> str:
        """The result, for metrics; what fails for a reason of its own is put off, so that it holds up no others."""
        try:
            return "ok" if await job.act(self._kms, kid, now, self._fence) else "not_due"
        except (LeaseLost, StoreUnavailable):
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the others have their turn
            result = error.code if isinstance(error, KmsError) else Internal.code
            _log.warning("scheduled %s of key %s: %s", job.name, _hash(kid), result)
        if len(self._failed) < _FAILED_MAX:
            self._failed[job.name, kid] = now + _PATIENCE
        return result

    async def _hold(self) -> bool:
        """Take the lease, or prolong it where half of its time is over; False where another process has it."""
        begun = boottime()
        if self._lease is not None and begun < self._until:
            return True
        self._lease = await self._wait(
            lambda connection: leases.acquire(
                connection, self._kms.rows, LEASE, self._holder, datetime.now(UTC), self._duration
            )
        )
        self._until = begun + self._duration.total_seconds() / 2
        return self._lease is not None

    async def _let_go(self) -> None:
        lease, self._lease = self._lease, None
        if lease is not None:
            await self._wait(lambda connection: leases.release(connection, self._kms.rows, lease, datetime.now(UTC)))

    def _fence(self, connection: Connection) -> None:
        if self._lease is None:
            raise LeaseLost
        leases.require(connection, self._kms.rows, self._lease)

    async def _wait(self, job: Callable[[Connection], Any], *, write: bool = True) -> Any:
        database = self._kms.database
        return await self._kms.wait(database.write(job) if write else database.read(job))


def _hash(kid: Kid) -> str:
    """What logs tell of a kid."""
    return blake3(str(kid).encode()).hexdigest()[:8]
