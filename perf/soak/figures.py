"""A soak as a record."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from msgspec.structs import replace

from perf.chaos.drill import Check
from perf.detail import Distribution, Series, distribution
from perf.load.curves import MOST
from perf.load.generator import Outcome, Stream
from perf.record import Measure, Record
from perf.soak.judge import latencies
from perf.soak.ledger import Held, answered
from perf.soak.run import Soaked

_MIB = 1 << 20
_SHARES = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))


def to_record(
    begun: Record, soaked: Soaked, streams: Sequence[Stream], held: Held, checks: Sequence[Check], command: str
) -> Record:
    """Measures have a value a slice. In ``detail``: ``checks`` (``Check`` in perf/chaos/drill.py), ``answered`` and
    ``recorded`` (requests by operation), ``records`` (of all logs), ``audit_bytes`` (on the disk, of the whole run)."""
    items = {stream.name: stream.items for stream in streams}
    detail: dict[str, Any] = {
        "command": command,
        "checks": [check._asdict() for check in checks],
        "answered": dict(answered([soaked.warm, *soaked.slices])),
        "recorded": dict(held.records),
        "records": held.size,
        "audit_bytes": soaked.rests[-1].audit,
        "series": list(_series(soaked, items)),
        "distributions": [_distribution(soaked)],
    }
    seconds = soaked.rests[-1].at - soaked.began[0]
    return replace(begun, seconds=round(seconds, 1), measures=tuple(_measures(soaked, items)), detail=detail)


def _measures(soaked: Soaked, items: dict[str, int]) -> Iterator[Measure]:
    slices = soaked.slices
    for kind, share in _SHARES:
        yield Measure(kind, "singles", tuple(round(latencies(one, share), 4) for one in slices))
    yield Measure("rate", "", tuple(round(_operations(one, items) / one.window, 1) for one in slices))
    yield Measure("cpu", "", (round(soaked.cpu * 1e6 / sum(_operations(one, items) for one in slices), 2),))
    yield Measure("floor", "", tuple(round(one.floor, 3) for one in soaked.rests[1:]))
    yield Measure("files", "", tuple(float(one.files) for one in soaked.rests[1:]))
    for kind, value in (("resident", "worker_resident"), ("all_resident", "all_resident")):
        most = max(getattr(sample, value) for sample in soaked.samples)
        yield Measure(kind, "", (round(most / _MIB, 2),))
    yield Measure("errors", "", tuple(_share(one, lambda status: status == 0 or status >= 500) for one in slices))
    yield Measure("shed", "", tuple(_share(one, lambda status: status in {429, 503}) for one in slices))


def _series(soaked: Soaked, items: dict[str, int]) -> Iterator[Series]:
    samples = soaked.samples[:: max(1, math.ceil(len(soaked.samples) / MOST))]
    at = tuple(round(sample.at, 2) for sample in samples)
    yield Series("resident", "MiB", at, tuple(round(sample.worker_resident / _MIB, 2) for sample in samples))
    yield Series("all_resident", "MiB", at, tuple(round(sample.all_resident / _MIB, 2) for sample in samples))
    began = tuple(round(one, 2) for one in soaked.began)
    for kind, share in _SHARES:
        yield Series(kind, "ms", began, tuple(round(latencies(one, share), 4) for one in soaked.slices), "singles")
    rates = tuple(round(_operations(one, items) / one.window, 1) for one in soaked.slices)
    yield Series("rate", "1/s", began, rates)
    rested = tuple(round(one.at, 2) for one in soaked.rests)
    yield Series("files", "", rested, tuple(float(one.files) for one in soaked.rests), "at rest")
    yield Series("threads", "", rested, tuple(float(one.threads) for one in soaked.rests))
    yield Series("audit", "MiB", rested, tuple(round(one.audit / _MIB, 3) for one in soaked.rests))


def _operations(outcome: Outcome, items: dict[str, int]) -> int:
    return sum(items[name] * sum(map(len, seen.latencies.values())) for name, seen in outcome.seen.items())


def _share(outcome: Outcome, which: Callable[[int], bool]) -> float:
    counts = [(status, count) for seen in outcome.seen.values() for status, count in seen.statuses.items()]
    return sum(count for status, count in counts if which(status)) / max(1, sum(count for _, count in counts))


def _distribution(soaked: Soaked) -> Distribution:
    singles = (seen for one in soaked.slices for seen in one.seen["singles"].latencies.values())
    return distribution("singles", [value * 1e3 for values in singles for value in values])
