"""From records to findings: each gate, each measure that it is for.

A change fails when it is surely more than half of what is allowed, and possibly more than all of it: its bounds lie
above the half, and reach over the limit. So a loss of exactly what is allowed fails, and what did not change does not.
Where only the upper bound is over the limit:

- rounds that were taken in turns are too noisy to judge, which is said and is not a pass, for a loss may hide in them;
- of other hours no more can be known: what would have been noticed is said.

A latency says as much about who shares the host in that hour: before baselines of several hours are known, what looks
like a loss is said to be too noisy to judge.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from perf.drift.files import Pair
from perf.drift.gates import GATES, Gate
from perf.drift.noise import ENOUGH, Interval, apart, in_turns, median_of
from perf.record import KINDS, Measure, Record

Outcome = Literal["ok", "drift", "noisy", "new"]
EXACT = frozenset({"blocks", "bytes", "allocations", "allocated"})
"""Counted, not timed: one value is enough."""
SUSTAINED = 1 / 3
"""Of the rounds must be over a limit on errors, for it to be sustained."""
HOURS = 3
"""Baselines that know by how much latencies of equal code differ."""
BUSIER = 1.0
"""So much more load for each core, and latencies of different hours say more about the machine than about the code."""


class Finding(NamedTuple):
    """What a gate says of one measure.

    :ivar change: for what is compared with a baseline the change as a share; else the value itself.
    :ivar sees: the least change that would have failed.
    :ivar how: it was judged.
    :ivar outcome: ``new``: there is no baseline, or nothing that says how it varies.
    """

    gate: Gate
    record: Record
    kind: str
    of: str
    change: Interval
    sees: float
    how: str
    outcome: Outcome


def judge(pairs: Iterable[Pair], gates: Sequence[Gate] = GATES) -> list[Finding]:
    """All findings, in the order of results and gates."""
    return [finding for pair in pairs for gate in gates for finding in _judge(pair, gate)]


def _judge(pair: Pair, gate: Gate) -> Iterator[Finding]:
    ratios = {measure.of for measure in pair.result.measures if measure.kind == "ratio"}
    for measure in pair.result.measures:
        if not gate.judges(pair.result, measure):
            continue
        if measure.kind == "cpu" and measure.of in ratios:
            continue  # the ratio to a C loop of the same rounds says the same with less noise
        match gate.against:
            case "limit":
                yield _by_limit(pair, gate, measure)
            case "count":
                yield _by_count(pair, gate, measure)
            case "baseline":
                yield _by_baseline(pair, gate, measure)


def _by_limit(pair: Pair, gate: Gate, measure: Measure) -> Finding:
    value = median_of(measure.rounds)
    over = sum(one > gate.limit for one in measure.rounds)
    if measure.kind in {"errors", "shed"}:
        value = Interval(min(measure.rounds), statistics.fmean(measure.rounds), max(measure.rounds))
        drifted = value.value > gate.limit and over >= SUSTAINED * len(measure.rounds)
    else:
        drifted = value.low > (gate.nothing + gate.limit) / 2 and value.high > gate.limit
    how = f"by itself, over in {over} of {len(measure.rounds)} rounds"
    return Finding(gate, pair.result, measure.kind, measure.of, value, gate.limit, how, "drift" if drifted else "ok")


def _by_count(pair: Pair, gate: Gate, measure: Measure) -> Finding:
    allowed = max((sum(one.rounds) for one in _same(pair.baselines, measure)), default=0.0)
    more = sum(measure.rounds) - allowed
    how = f"{sum(measure.rounds):g}, baseline {allowed:g}"
    change = Interval(more, more, more)
    outcome: Outcome = "drift" if more > gate.limit else "ok"
    return Finding(gate, pair.result, measure.kind, measure.of, change, gate.limit, how, outcome)


def _by_baseline(pair: Pair, gate: Gate, measure: Measure) -> Finding:
    def found(change: Interval, sees: float, how: str, outcome: Outcome) -> Finding:
        return Finding(gate, pair.result, measure.kind, measure.of, change, sees, how, outcome)

    same = _same(pair.baselines, measure)
    nothing = Interval(0.0, 0.0, 0.0)
    if not same:
        return found(nothing, 0.0, "no baseline", "new")
    before = [value for one in same for value in one.rounds]
    if measure.kind not in EXACT and min(len(before), len(measure.rounds)) < ENOUGH:
        return found(nothing, 0.0, f"fewer than {ENOUGH} rounds", "new")
    if statistics.median(measure.rounds) - statistics.median(before) <= gate.slack and measure.kind in EXACT:
        return found(nothing, gate.limit, "counted", "ok")
    if pair.in_turns:
        change, how = in_turns(before, measure.rounds), f"in turns, {len(measure.rounds)} rounds"
    else:
        floored = gate.by_floor and measure.kind != "ratio" and _has_floor([pair.result, *pair.baselines])
        if floored:
            before = [value for one in pair.baselines for value in _by_floor(one, measure)]
        after = _by_floor(pair.result, measure) if floored else measure.rounds
        change, how = apart(before, after), "other hours, by floor" if floored else "other hours"
        if measure.kind == "p95" and _busier(pair):
            return found(change, gate.limit, f"{how}, machine busier", "noisy")
    half = gate.limit / 2
    sees = max(gate.limit, (1 + half) * (1 + change.value) / (1 + change.low) - 1)
    if change.low > half and change.high > gate.limit:
        unknown = measure.kind == "p95" and not pair.in_turns and len(same) < HOURS
        return found(change, sees, how, "noisy" if unknown else "drift")
    return found(change, sees, how, "noisy" if pair.in_turns and change.high > gate.limit else "ok")


def _same(baselines: Iterable[Record], measure: Measure) -> list[Measure]:
    return [one for record in baselines for one in record.measures if (one.kind, one.of) == (measure.kind, measure.of)]


def _floor(record: Record) -> Sequence[float]:
    return next((measure.rounds for measure in record.measures if measure.kind == "floor"), ())


def _has_floor(records: Iterable[Record]) -> bool:
    return all(_floor(record) for record in records)


def _by_floor(record: Record, measure: Measure) -> list[float]:
    """The rounds of a record's measure of that kind, in units of the floor."""
    floor = _floor(record)
    found: Mapping[tuple[str, str], Sequence[float]] = {(one.kind, one.of): one.rounds for one in record.measures}
    rounds = found.get((measure.kind, measure.of), ())
    if len(floor) != len(rounds):
        floor = [statistics.median(floor)] * len(rounds)
    return [value / unit for value, unit in zip(rounds, floor, strict=True)]


def _busier(pair: Pair) -> bool:
    most = max(baseline.host.load for baseline in pair.baselines)
    return pair.result.host.load > most + BUSIER * pair.result.host.cores


def unit(finding: Finding) -> str:
    """Of the finding's value where it is not a share."""
    return KINDS[finding.kind].unit
