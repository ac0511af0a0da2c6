"""A closed loop for a while, as figures."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from perf.load.figures import latency
from perf.load.generator import Stream
from perf.load.rounds import take
from perf.load.service import Service
from perf.load.wire import Request
from perf.record import Measure

_IN_FLIGHT = 512
"""Items under way at a time, of large batches two requests."""
CONNECTIONS = 8


class Lap(NamedTuple):
    """
    :ivar cpu: microseconds of processor time of the workers an operation.
    :ivar rate: operations a second on the clock.
    :ivar p50: milliseconds of a request; ``p99`` alike.
    :ivar resident: MiB of the largest worker at most; ``all_resident``: of all processes.
    :ivar floor: microseconds of processor time of one Ed25519 signature, right before.
    :ivar busy: the load generator's share of its core.
    """

    cpu: float
    rate: float
    p50: float
    p99: float
    resident: float
    all_resident: float
    floor: float
    busy: float


def closed(requests: Sequence[Request], items: int = 1) -> Stream:
    """Clients with as many requests under way as make some hundreds of items, 64 requests at most."""
    under_way = max(2, min(64, _IN_FLIGHT // items))
    connections = min(CONNECTIONS, under_way)
    return Stream("all", requests, None, connections, under_way // connections, items=items)


def lap(service: Service, stream: Stream, seconds: float) -> Lap:
    """On a machine so busy that nothing is answered in time, once more with more of it.

    :raises RuntimeError: a request was refused, or none was answered.
    """
    for times in (1, 4, 16):
        taken = take(service, [stream], seconds * times, time.perf_counter())
        seen = taken.outcome.seen[stream.name]
        if seen.statuses:
            break
    values = [value for found in seen.latencies.values() for value in found]
    if set(seen.statuses) != {200}:
        raise RuntimeError(f"not all was answered: {dict(seen.statuses)} {dict(seen.codes)}")
    found = latency(values)
    return Lap(
        cpu=taken.usage.workers_cpu * 1e6 / (seen.answered * stream.items),
        rate=len(values) * stream.items / taken.outcome.window,
        p50=found["p50"],
        p99=found["p99"],
        resident=taken.usage.worker_resident / 2**20,
        all_resident=taken.usage.all_resident / 2**20,
        floor=taken.floor,
        busy=taken.outcome.busy,
    )


def measures(laps: Mapping[str, Sequence[Lap]]) -> Iterator[Measure]:
    """Of what was measured by its name; floors are beside each, for they are of the same seconds."""
    for of, found in laps.items():
        for kind in ("cpu", "rate", "p50", "p99", "resident", "all_resident", "floor"):
            yield Measure(kind, of, tuple(round(getattr(one, kind), 4) for one in found))


def busy(laps: Mapping[str, Sequence[Lap]]) -> dict[str, float]:
    """The generator's share of its core, the most of all rounds."""
    return {of: round(max(one.busy for one in found), 2) for of, found in laps.items()}
