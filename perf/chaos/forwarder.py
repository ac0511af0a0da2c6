"""A bad network in user space: packets between two TUN devices, late, unevenly late, or not at all.

``python -m perf.chaos.forwarder FD FD``, with two open devices; a line ``DELAY JITTER LOSS`` on its standard input says
how it is from then on: seconds each way, seconds more at most, and a share from 0 to 1. It ends with its input. It is a
process of its own, so that who measures does not wait for it, and what the kernel's netem does where there is none.
"""

from __future__ import annotations

import os
import random
import selectors
import sys
import time
from collections import deque

PACKET = 65_536
WAITING = 10_000
"""Packets each way that wait at most, as in a real queue; further ones are dropped."""


class Way:
    """One direction. Packets keep their order, whatever the jitter."""

    def __init__(self, source: int, target: int) -> None:
        self.source = source
        self._target = target
        self._queue: deque[tuple[float, bytes]] = deque()

    def take(self, now: float, delay: float, jitter: float, loss: float) -> None:
        """Read what has come."""
        while True:
            try:
                packet = os.read(self.source, PACKET)
            except OSError:  # nothing is left; or the device is going
                return
            if random.random() >= loss and len(self._queue) < WAITING:
                due = now + delay + random.random() * jitter
                self._queue.append((max(due, self._queue[-1][0]) if self._queue else due, packet))

    def give(self, now: float) -> float | None:
        """Write what is due; seconds until the next is, None where none waits."""
        while self._queue and self._queue[0][0] <= now:
            try:
                os.write(self._target, self._queue.popleft()[1])
            except OSError:  # its other end has no room, or is going: the packet is lost
                continue
        return self._queue[0][0] - now if self._queue else None


def forward(first: int, second: int) -> None:
    """Until the standard input ends."""
    ways = (Way(first, second), Way(second, first))
    state = (0.0, 0.0, 0.0)
    os.set_blocking(0, False)
    selector = selectors.DefaultSelector()
    selector.register(0, selectors.EVENT_READ)
    for way in ways:
        os.set_blocking(way.source, False)
        selector.register(way.source, selectors.EVENT_READ, way)
    while True:
        now = time.monotonic()
        waits = [wait for way in ways if (wait := way.give(now)) is not None]
        for key, _ in selector.select(min(waits, default=None)):
            if isinstance(key.data, Way):
                key.data.take(time.monotonic(), *state)
                continue
            text = os.read(0, PACKET).decode()
            if not text:
                return
            delay, jitter, loss = map(float, text.splitlines()[-1].split())
            state = (delay, jitter, loss)


if __name__ == "__main__":
    forward(int(sys.argv[1]), int(sys.argv[2]))
