"""Every bound that a connection is held to, and the budget for frames that ask for nothing."""

from __future__ import annotations

import time

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one listener allows; seconds and bytes."""

    connections: int = 4096
    """Open connections; further ones are closed at once."""
    streams: int = 128
    """Requests at once on one HTTP/2 connection; further ones are refused one by one (REFUSED_STREAM)."""
    requests: int = 8192
    """Requests at once on all HTTP/2 connections together; near it, those with many on one are refused more."""
    header_bytes: int = 16 * 1024
    """Size of a request's header list (RFC 9113, 6.5.2) or of an HTTP/1.1 head."""
    idle_seconds: float = 60.0
    """A connection without a request in it is closed after this."""
    request_seconds: float = 20.0
    """From a request's first byte to the last byte of its body, however slowly they come."""
    response_seconds: float = 30.0
    """From the first byte of an answer until the client has taken all of it."""
    discard_bytes: int = 2 * 1024 * 1024
    """What a client may go on sending of a body after it has been answered, so that it gets to read the answer."""
    linger_seconds: float = 1.0
    """How long a refused HTTP/1.1 client may go on sending before the connection is cut."""
    sweep_seconds: float = 0.5
    """How often deadlines are looked at."""
    handshake_seconds: float = 10.0
    """For TLS to be agreed."""


READ_BYTES = 16 * 1024
"""Read at once: the longest that one client's frames hold the loop before others get their turn."""


class Load:
    """How many requests there are on all connections of a listener.

    Each costs some kilobytes however little it asks for, and a thousand connections may have a hundred thousand of
    them. One connection may have a sixteenth of what is free, and always one more: so nobody takes the last place.
    """

    __slots__ = ("_most", "total")

    def __init__(self, most: int) -> None:
        self._most = most
        self.total = 0

    def room(self, mine: int) -> bool:
        """Whether a connection that has so many may begin another."""
        return mine == 0 or mine * 16 <= self._most - self.total


class Budget:
    """A token bucket that useless frames draw on and useful work fills.

    A client with work to do never notices it; one that sends resets, pings or settings for their own sake empties it
    and is told to calm down (RFC 9113, 10.5).
    """

    CAPACITY = 1000.0
    PER_SECOND = 50.0

    CONTROL = 1.0
    """PING, SETTINGS, PRIORITY, unknown frames, empty DATA."""
    RESET = 5.0
    """A request that the client took back, having cost a task."""
    REFUSED = 2.0
    WINDOW = 0.1
    SENT = 0.3
    """Earned by a DATA frame of ours, which the client answers with window updates."""
    ANSWERED = 2.0

    __slots__ = ("_at", "_left")

    def __init__(self) -> None:
        self._left = self.CAPACITY
        self._at = time.monotonic()

    def earn(self, amount: float) -> None:
        self._left = min(self.CAPACITY, self._left + amount)

    def spend(self, amount: float) -> bool:
        """False once the client has overdrawn."""
        self._left -= amount
        if self._left >= 0:
            return True
        now = time.monotonic()
        self.earn((now - self._at) * self.PER_SECOND)
        self._at = now
        return self._left >= 0
