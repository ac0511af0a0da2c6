"""Sends requests and notes when their answers came: open-loop at the times that a schedule names, or closed-loop.

In the open loop a latency counts from the time at which a request should have been sent, so that a server that stands
still shows in the latencies of all that had to wait for it, and not only of those that it had begun with.
"""

from __future__ import annotations

import heapq
import random
import selectors
import ssl
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from perf.load.seen import Outcome, Seen
from perf.load.wire import About, Connection, Done, Lost, Request

__all__ = ["Outcome", "Seen", "Stream", "run"]

GRACE_SECONDS = 5.0
"""How long answers are waited for after the last request."""


@dataclass(frozen=True)
class Stream:
    """One kind of client.

    :ivar requests: taken in turn, in random order.
    :ivar rate: requests a second, with exponential gaps (Poisson arrivals); None sends a request for each answer.
    :ivar connections: how many; ``depth`` is how many requests each has under way at most.
    :ivar begin: seconds after the start of the run.
    :ivar end: seconds after the start; None: as long as the run.
    :ivar items: operations in a request.
    :ivar drops: what is due while all connections are full is given up, and counts as unsent, where others wait. For
        loads that are more than anybody takes: their latencies are those of what went out.
    """

    name: str
    requests: Sequence[Request]
    rate: float | None
    connections: int
    depth: int
    begin: float = 0.0
    end: float | None = None
    items: int = 1
    drops: bool = False


Connect = Callable[[int, Done], Connection]
"""Opens a connection with so many requests under way at most."""


class _Client:
    def __init__(self, stream: Stream, connect: Connect, clock: _Clock, seed: int) -> None:
        self.stream = stream
        self.seen = Seen()
        self._clock = clock
        self._random = random.Random(f"{stream.name} {seed}")
        self._open = connect
        self._waiting: deque[float] = deque()
        self.connections = [self._connect() for _ in range(stream.connections)]

    def _connect(self) -> Connection:
        return self._open(self.stream.depth, self._done)

    def begin(self, now: float) -> None:
        """For the closed loop: fill every connection."""
        for _ in range(self.stream.connections * self.stream.depth):
            self._waiting.append(now)

    def next_gap(self) -> float:
        assert self.stream.rate is not None
        return self._random.expovariate(self.stream.rate)

    def arrive(self, due: float) -> None:
        self._waiting.append(due)

    def push(self) -> None:
        """Send what waits, on the connections with the most room first."""
        waiting = self._waiting
        while waiting:
            connection = max(self.connections, key=lambda one: one.free)
            if connection.free <= 0:
                return
            request = self._random.choice(self.stream.requests)
            if not connection.send(request, (waiting[0], request.name)):
                return
            waiting.popleft()

    def replace(self, lost: Connection) -> Connection:
        self.connections[self.connections.index(lost)] = fresh = self._connect()
        return fresh

    def give_up(self) -> None:
        """What found no room is not kept."""
        self.seen.unsent += sum(map(self._clock.measures, self._waiting))
        self._waiting.clear()

    def left(self) -> int:
        return sum(map(self._clock.measures, self._waiting))

    @property
    def under_way(self) -> int:
        return sum(self.stream.depth - max(one.free, 0) for one in self.connections)

    def _done(self, about: About, status: int, body: bytes) -> None:
        due, name = about
        now = time.perf_counter()
        self.seen.note(name, status, body, now - due, now - self._clock.start, self._clock.measures(due))
        if self.stream.rate is None and self._clock.sends(now, self.stream):
            self._waiting.append(now)


class _Clock:
    """The run's times; it starts when :meth:`begin_at` is called, after the connections are made."""

    def __init__(self, warmup: float, seconds: float) -> None:
        self._warmup = warmup
        self._seconds = seconds
        self.begin_at(time.perf_counter())

    def begin_at(self, now: float) -> None:
        self.start = now
        self.begin = now + self._warmup
        self.end = self.begin + self._seconds

    def measures(self, due: float) -> bool:
        return self.begin <= due < self.end

    def sends(self, now: float, stream: Stream) -> bool:
        stop = self.end if stream.end is None else min(self.end, self.start + stream.end)
        return self.start + stream.begin <= now < stop


def run(
    address: tuple[str, int],
    streams: Sequence[Stream],
    *,
    seconds: float,
    warmup: float = 1.0,
    tls: ssl.SSLContext | None = None,
    over: Callable[[], bool] = lambda: False,
    connect: Callable[..., Connection] = Connection,
    seed: int = 0,
) -> Outcome:
    """Load the service; answers that come later than 5 s after the end count as reset.

    :param over: asked again and again; true ends the run before its time.
    :param connect: how a connection is made, of the transport that the requests were prepared by.
    :param seed: of the order of requests and their gaps.
    """
    clock = _Clock(warmup, seconds)
    clients = [_Client(stream, partial(connect, address, tls=tls), clock, seed) for stream in streams]
    selector = selectors.DefaultSelector()
    for client in clients:
        for connection in client.connections:
            selector.register(connection.socket, selectors.EVENT_READ, (client, connection))
    clock.begin_at(time.perf_counter())
    arrivals: list[tuple[float, int]] = []
    for number, client in enumerate(clients):
        if client.stream.rate is not None:
            first = clock.start + client.stream.begin + client.next_gap()
            if clock.sends(first, client.stream):
                arrivals.append((first, number))
    heapq.heapify(arrivals)
    idle = deque(client for client in clients if client.stream.rate is None)
    spare = 0.0
    while True:
        now = time.perf_counter()
        if now < clock.end and over():
            clock.end = now
        while idle and clock.sends(now, idle[0].stream):
            idle.popleft().begin(now)
        worked = False
        while arrivals and arrivals[0][0] <= now:
            worked = True
            due, number = heapq.heappop(arrivals)
            client = clients[number]
            client.arrive(due)
            following = due + client.next_gap()
            if clock.sends(following, client.stream):
                heapq.heappush(arrivals, (following, number))
        for client in clients:
            client.push()
            if client.stream.drops:
                client.give_up()
            for connection in client.connections:
                connection.flush()
        if now >= clock.end and (now >= clock.end + GRACE_SECONDS or not any(one.under_way for one in clients)):
            break
        waited = _read(selector, _timeout(now, arrivals, idle, clock))
        spare += time.perf_counter() - now if waited is None and not worked else waited or 0.0
    busy = 1 - spare / (time.perf_counter() - clock.start)
    for client in clients:
        client.seen.unsent += client.left() if client.stream.rate is not None else 0
        for connection in client.connections:
            connection.lose()
    selector.close()
    return Outcome({client.stream.name: client.seen for client in clients}, clock.end - clock.begin, busy)


def _timeout(now: float, arrivals: list[tuple[float, int]], idle: deque[_Client], clock: _Clock) -> float:
    """Seconds to sleep at most: epoll counts in milliseconds, so that shorter waits are spent looking."""
    until = min(arrivals[0][0] if arrivals else clock.end, now + 0.05 if idle else clock.end)
    return 0.0 if until - now < 0.002 else min(until - now - 0.002, 0.1)


def _read(selector: selectors.BaseSelector, timeout: float) -> float | None:
    """Take in what has come; how long that was waited for, None where nothing came."""
    began = time.perf_counter()
    ready = selector.select(timeout)
    waited = time.perf_counter() - began
    for key, _ in ready:
        client, connection = key.data
        try:
            connection.receive()
        except Lost:
            selector.unregister(key.fileobj)
            fresh = client.replace(connection)
            selector.register(fresh.socket, selectors.EVENT_READ, (client, fresh))
    return waited if ready else None
