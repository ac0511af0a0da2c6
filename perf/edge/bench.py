"""Laps of the application and of the core alone, in turns."""

from __future__ import annotations

import asyncio
import itertools
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, NamedTuple

import msgspec

from perf.edge.cells import Cell
from perf.edge.requests import Work
from perf.edge.service import Client
from perf.micro.allocations import Made, counting
from perf.micro.figures import Ratio, of_rounds, percentile
from perf.record import Measure

LAP_SECONDS = 0.01


class CellFigures(msgspec.Struct):
    """Microseconds of processor time an item, of all threads of the process.

    :ivar app: through the application, median of the rounds.
    :ivar crypto: of the core alone, called with as many items at a time as a request has; measured in the same rounds.
    :ivar over: what the application adds, by round.
    :ivar least: what it adds where both were least disturbed: the least of each.
    :ivar per_second: items a second on the clock, the best round.
    :ivar allocations: an item, Python's and C's, of all threads; None where nothing can count them.
    :ivar allocated: their bytes.
    :ivar p50: milliseconds of a whole request on the clock; p95 and p99 alike.
    """

    cell: Cell
    suite: str
    app: float
    crypto: float
    over: Ratio
    least: float
    per_second: float
    p50: float
    p95: float
    p99: float
    allocations: float | None
    allocated: float


LOOKS = 3


class Lap(NamedTuple):
    cpu: float
    clock: float


class Bench:
    """One cell: its requests, and the same cryptography without anything around it."""

    def __init__(self, cell: Cell, client: Client, work: Work) -> None:
        self.cell = cell
        self._crypto = work.crypto
        self._requests = cell.in_flight
        self._call = _caller(client, work)
        self.app: list[Lap] = []
        self.core: list[Lap] = []
        self.durations: list[float] = []
        """Milliseconds of each request."""
        self._made = Made()

    async def warm(self) -> None:
        """Find out how many requests make a lap."""
        await self._lap()
        spent = (await self._lap()).clock * self._requests * self.cell.items / 1e6
        each = max(1, round(LAP_SECONDS / max(spent, 1e-6)))
        self._requests = self.cell.in_flight * each
        self.durations.clear()

    async def look_at_memory(self) -> None:
        """Count what one request allocates, beside the others that are under way: the least of some looks, for what a
        service does now and then falls into one of them."""
        looks = [Made() for _ in range(LOOKS)]
        for look in looks:
            with counting(look):
                await asyncio.gather(*(self._call() for _ in range(self.cell.in_flight)))
        self._made = min(looks, key=lambda look: look.allocations or 0)

    async def round(self) -> None:
        """A lap of the application and one of the core."""
        self.app.append(await self._lap())
        started = _now()
        for _ in range(self._requests):
            self._crypto()
        self.core.append(self._since(started))

    async def _lap(self) -> Lap:
        durations = self.durations

        async def client(requests: int) -> None:
            for _ in range(requests):
                began = time.perf_counter_ns()
                await self._call()
                durations.append((time.perf_counter_ns() - began) / 1e6)

        each = self._requests // self.cell.in_flight
        started = _now()
        await asyncio.gather(*(client(each) for _ in range(self.cell.in_flight)))
        return self._since(started)

    def _since(self, started: Lap) -> Lap:
        """Microseconds an item."""
        now = _now()
        items = self._requests * self.cell.items / 1e6
        return Lap((now.cpu - started.cpu) / items, (now.clock - started.clock) / items)

    def figures(self) -> CellFigures:
        apps, cores = [lap.cpu for lap in self.app], [lap.cpu for lap in self.core]
        ordered = sorted(self.durations)
        items = self.cell.in_flight * self.cell.items
        return CellFigures(
            self.cell,
            self.cell.suite,
            app=statistics.median(apps),
            crypto=statistics.median(cores),
            over=of_rounds([app - core for app, core in zip(apps, cores, strict=True)]),
            least=min(apps) - min(cores),
            per_second=1e6 / min(lap.clock for lap in self.app),
            p50=percentile(ordered, 50),
            p95=percentile(ordered, 95),
            p99=percentile(ordered, 99),
            allocations=None if self._made.allocations is None else self._made.allocations / items,
            allocated=self._made.allocated / items,
        )

    @property
    def floor(self) -> tuple[float, ...]:
        """Of the core alone, by round."""
        return tuple(round(lap.cpu, 4) for lap in self.core)

    def measures(self, figures: CellFigures) -> Iterator[Measure]:
        """For the record; a percentile is of all requests of the run, and so one value."""
        name = str(self.cell)
        laps = list(zip(self.app, self.core, strict=True))
        yield Measure("cpu", name, tuple(round(app.cpu, 3) for app, _ in laps))
        yield Measure("over", name, tuple(round(app.cpu - core.cpu, 3) for app, core in laps))
        yield Measure("rate", name, tuple(round(1e6 / app.clock, 1) for app, _ in laps))
        for kind in ("p50", "p95", "p99"):
            yield Measure(kind, name, (round(getattr(figures, kind), 4),))
        if figures.allocations is not None:
            yield Measure("allocations", name, (round(figures.allocations, 2),))
            yield Measure("allocated", name, (round(figures.allocated),))


def _caller(client: Client, work: Work) -> Callable[[], Awaitable[None]]:
    bodies = itertools.cycle(work.bodies)

    async def send(message: Any) -> None:
        if message.get("status", 200) != 200:
            raise RuntimeError(f"{work.path} was answered with {message['status']}")

    return lambda: client.request(work.path, next(bodies), send)


def _now() -> Lap:
    return Lap(time.process_time(), time.perf_counter())
