"""A run in rounds, each with the yardstick of its moment, so that a disturbed one can be told from the others."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from perf.floor import signature_us
from perf.load.disk import sync_ms
from perf.load.generator import Outcome, Stream, run
from perf.load.mixes import Mix
from perf.load.service import Service, Watch
from perf.load.usage import Usage

CALIBRATION_SECONDS = 2.0
_WARMUP_SECONDS = 1.0


@dataclass
class Round:
    """
    :ivar streams: what was sent; ``begin`` and ``end`` count from the start of the warm-up.
    :ivar cores: of the service.
    :ivar warmup: seconds before the window that was measured.
    :ivar floor: microseconds of processor time of one Ed25519 signature, on the service's cores, right before.
    :ivar sync: milliseconds in which an appended record was on the disk, right before.
    :ivar at: when the round began, in seconds since the run did.
    :ivar gained: what the service's counters have gained.
    """

    streams: Sequence[Stream]
    cores: Sequence[int]
    warmup: float
    outcome: Outcome
    usage: Usage
    floor: float
    sync: float
    at: float
    gained: dict[str, float]


def calibrate(service: Service, closed: Sequence[Stream], seconds: float = CALIBRATION_SECONDS) -> float:
    """Operations a second that the service does of these, with as many requests under way as they have."""
    warmup = min(_WARMUP_SECONDS, seconds / 2)
    outcome = run(service.address, closed, seconds=seconds, warmup=warmup, connect=service.transport.connect)
    items = {stream.name: stream.items for stream in closed}
    done = sum(items[name] * sum(map(len, seen.latencies.values())) for name, seen in outcome.seen.items())
    if not done:
        raise RuntimeError("the service has answered nothing of this: " + _told(outcome))
    return done / seconds


def target_of(service: Service, mix: Mix, rate: float | None = None) -> float:
    """The rate, or what a calibration reaches; 0 where the mix needs none. Afterwards the service is warm."""
    if mix.closed and rate is None:
        return calibrate(service, mix.closed)
    target = rate or 0.0
    run(service.address, mix.streams(target), seconds=_WARMUP_SECONDS, warmup=0.0, connect=service.transport.connect)
    return target


def take(service: Service, streams: Sequence[Stream], seconds: float, origin: float) -> Round:
    """One round.

    :param streams: ``begin`` and ``end`` count from the end of the warm-up.
    :param origin: when the run began, on the performance counter.
    """
    warmup = min(_WARMUP_SECONDS, seconds / 4)
    moved = [
        replace(
            stream,
            begin=stream.begin + warmup if stream.begin else 0.0,
            end=None if stream.end is None else stream.end + warmup,
        )
        for stream in streams
    ]
    floor, sync = signature_us(service.cores), sync_ms(service.data_dir)
    before = service.counters()
    at = time.perf_counter() - origin
    with Watch(service) as watch:
        outcome = run(service.address, moved, seconds=seconds, warmup=warmup, connect=service.transport.connect)
    gained = {name: value - before.get(name, 0.0) for name, value in service.counters().items()}
    kept = {name: value for name, value in gained.items() if value}
    return Round(moved, service.cores, warmup, outcome, watch.usage, floor, sync, at, kept)


def _told(outcome: Outcome) -> str:
    return ", ".join(f"{name}: {dict(seen.statuses)} {dict(seen.codes)}" for name, seen in outcome.seen.items())
