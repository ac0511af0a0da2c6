"""What must hold of a soak, and whether it did."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

from perf.chaos.drill import Check
from perf.load.generator import Outcome
from perf.load.seen import percentile
from perf.soak.ledger import Held, answered
from perf.soak.run import Soaked

SHED_LIMIT = 0.01
GROWTH_LIMIT = 0.05
"""Of the memory, over the second half of the run: caches that rotations fill, and what the allocator keeps. In a run of
a million it is 9 bytes an operation."""
LATENCY_LIMITS = {0.5: 1.25, 0.99: 1.5}
"""Last tenth by first, of the median and of p99."""
LONG = 100_000
"""Operations of a run that shows whether anything grows; a shorter one is not judged by that."""
_NOISE = 3.0
"""So many times the usual distance from the median is noise."""
_MIB = 1 << 20


def judge(soaked: Soaked, held: Held, batch: int) -> Iterator[Check]:
    """Every statement."""
    yield _answers(soaked)
    yield _files(soaked)
    if held.items.total() >= LONG:
        yield _memory(soaked)
        for share in LATENCY_LIMITS:
            yield _latency(soaked, share)
    yield Check("log", "the audit log verifies, all of it", held.whole, held.said or f"{held.size:,} records")
    yield _ledger(soaked, held, batch)


def _answers(soaked: Soaked) -> Check:
    statuses: dict[int, int] = {}
    for outcome in (soaked.warm, *soaked.slices):
        for seen in outcome.seen.values():
            for status, count in seen.statuses.items():
                statuses[status] = statuses.get(status, 0) + count
    shed = statuses.get(429, 0) + statuses.get(503, 0)
    good = sum(count for status, count in statuses.items() if 200 <= status < 300)
    total = sum(statuses.values())
    return Check(
        "answers",
        f"every request was answered, with success or, at most {SHED_LIMIT:.0%}, with 429 or 503",
        good + shed == total and shed <= SHED_LIMIT * total,
        f"{good:,} with success, {shed:,} refused, {total - good - shed:,} else of {total:,}",
    )


def _memory(soaked: Soaked) -> Check:
    middle = (soaked.samples[0].at + soaked.samples[-1].at) / 2
    late = [sample for sample in soaked.samples if sample.at >= middle]
    at, resident = [sample.at for sample in late], [sample.worker_resident / _MIB for sample in late]
    slope = statistics.linear_regression(at, resident).slope if len(late) > 2 else 0.0
    gained = slope * (at[-1] - at[0])
    mean = statistics.fmean(resident)
    return Check(
        "memory",
        f"the second half adds at most {GROWTH_LIMIT:.0%} to a worker's memory, by a line through it",
        gained <= GROWTH_LIMIT * mean,
        f"{gained:+.2f} MiB on {mean:.1f} MiB ({slope * 3600:+.1f} MiB an hour at this rate)",
    )


def _files(soaked: Soaked) -> Check:
    first, last = soaked.rests[0], soaked.rests[-1]
    return Check(
        "files",
        "at rest the workers have as many descriptors and threads at the end as at the beginning, or fewer",
        last.files <= first.files and last.threads <= first.threads,
        f"{first.files} and {last.files} descriptors, {first.threads} and {last.threads} threads",
    )


def latencies(outcome: Outcome, share: float) -> float:
    """Milliseconds that this share of a slice's single requests did not exceed."""
    ordered = sorted(value for values in outcome.seen["singles"].latencies.values() for value in values)
    return percentile(ordered, share) * 1e3


def _latency(soaked: Soaked, share: float) -> Check:
    values = [latencies(outcome, share) for outcome in soaked.slices]
    tenth = max(1, len(values) // 10)
    first, last = statistics.median(values[:tenth]), statistics.median(values[-tenth:])
    usual = statistics.median(values)
    noise = _NOISE * statistics.median(abs(value - usual) for value in values)
    limit = LATENCY_LIMITS[share] * first + noise
    name = f"p{share * 100:g}"
    return Check(
        name,
        f"{name} of the last tenth is within {LATENCY_LIMITS[share]} of the first and {_NOISE:g} usual distances",
        last <= limit,
        f"{first:.2f} and {last:.2f} ms, at most {limit:.2f}",
    )


def _ledger(soaked: Soaked, held: Held, batch: int) -> Check:
    """Each request has one record: a batch is of one key."""
    every: Sequence[Outcome] = (soaked.warm, *soaked.slices)
    asked = answered(every)
    batches = sum(len(values) for one in every for values in one.seen["batches"].latencies.values())
    operations = asked.total() + batches * (batch - 1)
    exact = held.records == asked and held.items.total() == operations and not held.failed
    missing, excess = asked - held.records, held.records - asked
    told = f"{asked.total():,} answers, {held.records.total():,} records of {held.items.total():,} operations"
    if not exact:
        told += f"; missing {dict(missing)}, too many {dict(excess)}, {held.failed} failed"
    return Check("ledger", "exactly one record for every answer, and every operation counted", exact, told)
