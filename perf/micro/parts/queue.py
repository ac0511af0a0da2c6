"""The engine: what it costs that jobs wait for each other, run together and wake who waits."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import uvloop

from perf.micro.cells import Cell
from perf.micro.parts.calls import Calls
from ron_kms.engine.queue import CryptoQueue

_MICROS = 0.1
"""What a job is said to cost, so that a flush runs all of them on the loop."""


class _Idle:
    """Jobs that do nothing."""

    def run(self, _: Sequence[None], /) -> None:
        """Nothing."""

    def settle(self, _: Sequence[None], /) -> None:
        return None


def run(cell: Cell) -> Calls:
    """So many jobs of so many requests in one turn of the loop, without what they compute. Floor: the loop alone, with
    a task and a future for each."""
    loop = uvloop.new_event_loop()
    queue, group = CryptoQueue(1), _Idle()

    async def one(tenant: str) -> None:
        await queue.submit(tenant, _MICROS, group, None)

    async def alone(waiting: list[asyncio.Future[None]]) -> None:
        future = loop.create_future()
        waiting.append(future)
        if len(waiting) == 1:
            loop.call_soon(_wake, waiting)
        await future

    async def all_jobs() -> None:
        await asyncio.gather(*(one(f"t{n & 7}") for n in range(cell.batch)))

    async def all_alone() -> None:
        waiting: list[asyncio.Future[None]] = []
        await asyncio.gather(*(alone(waiting) for _ in range(cell.batch)))

    return Calls([lambda: loop.run_until_complete(all_jobs())], [lambda: loop.run_until_complete(all_alone())])


def _wake(waiting: list[asyncio.Future[None]]) -> None:
    for future in waiting:
        future.set_result(None)
