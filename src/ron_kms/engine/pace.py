"""Large requests one after the other: at most one of them does its Python work in a turn of the event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Generator


class Done:
    """What has happened already, for those who would wait for it: works without an event loop too."""

    __slots__ = ()

    def __await__(self) -> Generator[None, None, None]:
        return
        yield

    def cancel(self) -> None:
        """There is nothing to cancel."""


DONE = Done()


class Pace:
    """Grants turns of the event loop, one a turn, first come, first served."""

    def __init__(self) -> None:
        self._taken = False
        self._waiting: deque[asyncio.Future[None]] = deque()

    def turn(self) -> Awaitable[None]:
        """A turn in which nobody else that asks here works: the rest of this one, or a later one."""
        loop = asyncio.get_running_loop()
        if not self._taken:
            self._taken = True
            loop.call_soon(self._next, loop)
            return DONE
        waiter: asyncio.Future[None] = loop.create_future()
        self._waiting.append(waiter)
        return waiter

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                loop.call_soon(self._next, loop)
                return
        self._taken = False
