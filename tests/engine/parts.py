"""Groups whose jobs tell when and with whom they have run."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple


class Job:
    """:ivar hold: what its thread waits for before it goes on."""

    def __init__(self, name: str, *, hold: threading.Event | None = None, fails: bool = False) -> None:
        self.name = name
        self.hold = hold
        self.fails = fails
        self.begun = threading.Event()
        self.thread: threading.Thread | None = None

    def __repr__(self) -> str:
        return self.name


class Ran(NamedTuple):
    names: tuple[str, ...]
    thread: threading.Thread


class Telling:
    """A group that keeps a record of its calls, in the order in which they began.

    :param settled: gives what waiters have to wait for besides.
    """

    def __init__(self, settled: Callable[[], asyncio.Future[None] | None] = lambda: None) -> None:
        self.calls: list[Ran] = []
        self.settled: list[tuple[str, ...]] = []
        self._settled = settled

    @property
    def order(self) -> list[str]:
        return [name for call in self.calls for name in call.names]

    def run(self, jobs: Sequence[Job], /) -> None:
        self.calls.append(Ran(tuple(job.name for job in jobs), threading.current_thread()))
        for job in jobs:
            job.begun.set()
            if job.hold is not None:
                assert job.hold.wait(10)
        if any(job.fails for job in jobs):
            raise ZeroDivisionError

    def settle(self, jobs: Sequence[Job], /) -> asyncio.Future[None] | None:
        self.settled.append(tuple(job.name for job in jobs))
        return self._settled()


async def until(condition: Callable[[], bool]) -> None:
    """Let the event loop turn until it is so."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - nobody would tell
            await asyncio.sleep(0)
