"""What is in flight, and whether more is let in: a worker that stops answers 503 to new work and finishes the rest."""

from __future__ import annotations

import asyncio
from typing import Literal


class Traffic:
    """The requests of one application, from their first byte here to their answer's last.

    Used from the event loop only.
    """

    def __init__(self) -> None:
        self.state: Literal["running", "draining"] = "running"
        self.inflight = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def enter(self) -> None:
        """A request came."""
        self.inflight += 1

    def leave(self) -> None:
        """It was answered, or its client went away."""
        self.inflight -= 1
        if self.inflight == 0 and self.state == "draining":
            self._idle.set()

    def drain(self) -> None:
        """From now on new requests are answered 503 ShuttingDown; for good."""
        self.state = "draining"
        if self.inflight:
            self._idle.clear()

    async def idle(self, seconds: float) -> bool:
        """Wait until nothing is in flight, at most this long.

        :returns: whether that came true.
        """
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True
