"""A run's rounds as a record."""

from __future__ import annotations

import math
import statistics
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from perf import record
from perf.detail import Distribution, Series, distribution
from perf.load.curves import curves
from perf.load.rounds import Round
from perf.load.seen import label, percentile
from perf.record import Measure

PQ_POLICY = 'kms_reject_total{reason="pq_policy"}'
_MIB = 1 << 20


class Counts(msgspec.Struct, frozen=True):
    """How the requests of one kind of client ended, within the windows that were measured.

    :ivar statuses: answers by status; ``reset`` are streams that were reset or lost.
    :ivar codes: answers that are not 2xx by the error's code.
    :ivar unsent: requests that were due and did not go out, because all connections were full.
    :ivar spans: seconds since the run began, from and until; where it did not run all the time.
    """

    statuses: dict[str, int]
    codes: dict[str, int]
    unsent: int
    spans: tuple[tuple[float, float], ...]


class Detail(msgspec.Struct, frozen=True):
    """What a load run has besides its measures; what other suites have too is as perf/detail.py says.

    :ivar command: how the run is done again.
    :ivar target: operations a second that its calibration reached, or that it was given; None where it needs none.
    :ivar busy: share of its core that the generator used, by round: from 0.8 on a figure says more about it than about
        the service.
    :ivar processor: share of its cores that the service's workers used, by round.
    :ivar files_limit: descriptors that a worker may have.
    :ivar clients: by kind of client.
    :ivar counters: what the service's own counters have gained over all rounds, by name and labels.
    :ivar series: ``processor`` (%), ``resident``, ``all_resident`` (MiB), ``files`` of the service; ``rate``,
        ``refused`` (1/s), ``p50``, ``p95``, ``p99`` (ms) by operation and client. At most 600 values each.
    :ivar distributions: of latencies, by operation and client; of refusals, as ``refused``.
    """

    command: str
    target: float | None
    busy: tuple[float, ...]
    processor: tuple[float, ...]
    files_limit: int
    clients: dict[str, Counts]
    counters: dict[str, float]
    series: list[Series]
    distributions: list[Distribution]


def latency(values: Sequence[float]) -> dict[str, float]:
    """Milliseconds, by kind of measure; values in seconds."""
    ordered = sorted(values)
    return {kind: round(percentile(ordered, share) * 1e3, 4) for kind, share in _SHARES}


_SHARES = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0))


def to_record(
    begun: record.Record, rounds: Sequence[Round], command: str, target: float | None = None
) -> record.Record:
    """The record of a run that was begun before, with what it measured.

    :param command: how it is done again; ``target``: as in :class:`Detail`.
    """
    return msgspec.structs.replace(
        begun,
        seconds=round(sum(one.outcome.window for one in rounds), 3),
        measures=tuple(measures(rounds)),
        detail=msgspec.to_builtins(detail(rounds, command, target)),
    )


def measures(rounds: Sequence[Round]) -> Iterator[Measure]:
    """A value a round. What was not answered in every round is left out."""

    def each(kind: str, of: str, value: Callable[[Round], float]) -> Measure:
        return Measure(kind, of, tuple(round(value(one), 5) for one in rounds))

    yield each("floor", "", lambda one: one.floor)
    yield each("sync", "", lambda one: one.sync)
    if all(map(_operations, rounds)):
        yield each("cpu", "", lambda one: one.usage.workers_cpu * 1e6 / _operations(one))
    yield each("resident", "", lambda one: one.usage.worker_resident / _MIB)
    yield each("all_resident", "", lambda one: one.usage.all_resident / _MIB)
    yield each("files", "", lambda one: one.usage.files)
    yield each("errors", "", lambda one: _share(one, lambda status: status == 0 or (status >= 500 and status != 503)))
    yield each("shed", "", lambda one: _share(one, lambda status: status in {429, 503}))
    yield each("pq_policy", "", lambda one: one.gained.get(PQ_POLICY, 0.0))
    yield each("rate", "", _rate)
    by_round = [_latencies(one) for one in rounds]
    for of in by_round[0]:
        yield each("rate", of, lambda one, of=of: _rates(one).get(of, 0.0))  # type: ignore[misc]
        if all(found.get(of) for found in by_round):
            summed = [latency(found[of]) for found in by_round]
            for kind, _ in _SHARES:
                yield Measure(kind, of, tuple(one[kind] for one in summed))
    if set(rounds[0].outcome.seen) == {"top", "low"} and all(map(_all_answered, rounds)):
        yield each("skew", "", _skew)


def detail(rounds: Sequence[Round], command: str, target: float | None) -> Detail:
    """All else that a report wants."""
    counters: Counter[str] = Counter()
    for one in rounds:
        counters.update(one.gained)
    every: defaultdict[str, array[float]] = defaultdict(lambda: array("d"))
    for one in rounds:
        for of, values in _latencies(one).items():
            every[of].extend(values)
        for seen in one.outcome.seen.values():
            if seen.refusals:
                every["refused"].extend(seen.refusals)
    return Detail(
        command=command,
        target=None if target is None else round(target, 1),
        busy=tuple(round(one.outcome.busy, 3) for one in rounds),
        processor=tuple(round(_processor(one), 3) for one in rounds),
        files_limit=rounds[-1].usage.files_limit,
        clients={stream.name: _counts(stream.name, rounds) for stream in rounds[0].streams},
        counters={name: round(value, 3) for name, value in sorted(counters.items())},
        series=list(curves(rounds)),
        distributions=[
            distribution(of, array("d", (value * 1e3 for value in values))) for of, values in sorted(every.items())
        ],
    )


def _distribution(of: str, seconds: Sequence[float]) -> Distribution:
    return distribution(of, array("d", (value * 1e3 for value in seconds)))


def _counts(stream: str, rounds: Sequence[Round]) -> Counts:
    statuses: Counter[int] = Counter()
    codes: Counter[str] = Counter()
    unsent = 0
    spans = []
    for one in rounds:
        seen = one.outcome.seen[stream]
        statuses.update(seen.statuses)
        codes.update(seen.codes)
        unsent += seen.unsent
        sent = next(sent for sent in one.streams if sent.name == stream)
        if sent.begin or sent.end is not None:
            end = one.warmup + one.outcome.window if sent.end is None else sent.end
            spans.append((round(one.at + sent.begin, 3), round(one.at + end, 3)))
    told = {str(status) if status else "reset": count for status, count in sorted(statuses.items())}
    return Counts(told, dict(sorted(codes.items())), unsent, tuple(spans))


def _latencies(one: Round) -> dict[str, Sequence[float]]:
    """Seconds, by operation and client."""
    seen = one.outcome.seen
    return {
        label(name, stream, len(seen)): values
        for stream, its in seen.items()
        for name, values in sorted(its.latencies.items())
    }


def _rates(one: Round) -> dict[str, float]:
    """Operations a second while their clients ran, by operation and client."""
    window, warmup = one.outcome.window, one.warmup
    found = {}
    for stream in one.streams:
        begin, end = max(stream.begin, warmup), warmup + window if stream.end is None else stream.end
        for name, values in one.outcome.seen[stream.name].latencies.items():
            of = label(name, stream.name, len(one.streams))
            found[of] = len(values) * stream.items / (end - begin)
    return found


def _rate(one: Round) -> float:
    """Operations a second of all, over the whole window."""
    seen = one.outcome.seen
    done = sum(stream.items * sum(map(len, seen[stream.name].latencies.values())) for stream in one.streams)
    return done / one.outcome.window


def _operations(one: Round) -> int:
    """All that were answered, before and after the window too: processor time counts over all of it."""
    return sum(one.outcome.seen[stream.name].answered * stream.items for stream in one.streams)


def _share(one: Round, which: Callable[[int], bool]) -> float:
    statuses: Counter[int] = sum((seen.statuses for seen in one.outcome.seen.values()), Counter())
    return sum(count for status, count in statuses.items() if which(status)) / max(1, statuses.total())


def _processor(one: Round) -> float:
    return one.usage.workers_cpu / one.usage.seconds / len(one.cores)


def _all_answered(one: Round) -> bool:
    return all(seen.latencies for seen in one.outcome.seen.values())


def _skew(one: Round) -> float:
    """Of the two tenants' p95, the longer by the shorter."""
    top, low = (
        latency([value for values in one.outcome.seen[name].latencies.values() for value in values])["p95"]
        for name in ("top", "low")
    )
    return max(top / low, low / top)


def median(made: record.Record, kind: str, of: str = "") -> float:
    """Of a measure's rounds; NaN where there is no such measure."""
    found: list[Any] = [one.rounds for one in made.measures if (one.kind, one.of) == (kind, of)]
    return statistics.median(found[0]) if found else math.nan
