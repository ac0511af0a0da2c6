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
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from perf.load.wire import About, Connection, Lost, Request

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
    """

    name: str
    requests: Sequence[Request]
    rate: float | None
    connections: int
    depth: int
    begin: float = 0.0
    end: float | None = None


@dataclass
class Seen:
    """What came of a stream, within the window that is measured.

    :ivar latencies: seconds of each answer with a 2xx status, by the name of its request.
    :ivar times: when each of these came, in seconds after the start of the run.
    :ivar refusals: seconds of each answer that is none.
    :ivar statuses: all answers by status; 0 stands for a stream that was reset or lost.
    :ivar unsent: arrivals that found no connection to go out on before the end.
    """

    latencies: dict[str, list[float]] = field(default_factory=dict)
    times: list[float] = field(default_factory=list)
    refusals: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    unsent: int = 0


@dataclass
class Outcome:
    """A run: by stream, and how busy the generator itself was (1.0 is its whole core: then it is the bottleneck)."""

    seen: dict[str, Seen]
    window: float
    busy: float


class _Client:
    def __init__(
        self, stream: Stream, address: tuple[str, int], tls: ssl.SSLContext | None, clock: _Clock, seen: Seen
    ) -> None:
        self.stream = stream
        self.seen = seen
        self._clock = clock
        self._random = random.Random(stream.name)
        self._address = address
        self._tls = tls
        self._waiting: deque[float] = deque()
        self.connections = [self._connect() for _ in range(stream.connections)]

    def _connect(self) -> Connection:
        return Connection(self._address, self.stream.depth, self._done, self._tls)

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

    def left(self) -> int:
        return len(self._waiting)

    @property
    def under_way(self) -> int:
        return sum(self.stream.depth - max(one.free, 0) for one in self.connections)

    def _done(self, about: About, status: int) -> None:
        due, name = about
        now = time.perf_counter()
        if self._clock.measures(due):
            seen = self.seen
            seen.statuses[status] += 1
            if 200 <= status < 300:
                seen.latencies.setdefault(name, []).append(now - due)
                seen.times.append(now - self._clock.start)
            else:
                seen.refusals.append(now - due)
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
) -> Outcome:
    """Load the service; answers that come later than 5 s after the end count as reset.

    :param over: asked again and again; true ends the run before its time.
    """
    clock = _Clock(warmup, seconds)
    clients = [_Client(stream, address, tls, clock, Seen()) for stream in streams]
    selector = selectors.DefaultSelector()
    for client in clients:
        for connection in client.connections:
            selector.register(connection.socket, selectors.EVENT_READ, (client, connection))
    clock.begin_at(time.perf_counter())
    arrivals: list[tuple[float, int]] = []
    for number, client in enumerate(clients):
        if client.stream.rate is not None:
            arrivals.append((clock.start + client.stream.begin + client.next_gap(), number))
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
            for connection in client.connections:
                connection.flush()
        if now >= clock.end and (now >= clock.end + GRACE_SECONDS or not any(one.under_way for one in clients)):
            break
        waited = _read(selector, _timeout(now, arrivals, idle, clock))
        spare += time.perf_counter() - now if waited is None and not worked else waited or 0.0
    busy = 1 - spare / (time.perf_counter() - clock.start)
    for client in clients:
        client.seen.unsent = client.left() if client.stream.rate is not None else 0
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
