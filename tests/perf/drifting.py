"""Records for the tests of the gates."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import msgspec

from perf.record import Code, Host, Measure, Record, Role, Value

DATA = Path(__file__).parent / "data"
HOST = Host("test-2c", "test", 2, 8 << 30, "6.1", "performance", 0.5)


def record(
    role: Role,
    measures: Iterable[Measure],
    *,
    name: str = "steady",
    run: str = "",
    at: str = "2026-11-23T20:00:00Z",
    host: Host = HOST,
    **setting: Value,
) -> Record:
    return Record(
        role=role,
        suite="load",
        name=name,
        run=run or at + role,
        at=at,
        seconds=10.0,
        setting=setting,
        host=host,
        code=Code("0" * 40, False, {}),
        measures=tuple(measures),
    )


def noisy(middle: float, share: float, source: random.Random, rounds: int = 12) -> tuple[float, ...]:
    """Rounds around a value, with a tail to the worse as measurements have."""
    return tuple(middle * (1 + abs(source.gauss(0, share)) + source.gauss(0, share / 4)) for _ in range(rounds))


def changed(one: Record, change: Callable[[Measure], Sequence[float]], **fields: str) -> Record:
    """With other rounds in its measures."""
    measures = tuple(Measure(measure.kind, measure.of, tuple(change(measure))) for measure in one.measures)
    return msgspec.structs.replace(one, measures=measures, **fields)


def worse(one: Record, kind: str, factor: float, plus: float = 0.0, of: str | None = None) -> Record:
    """A regression: one kind of measure is so many times, and so much more than, what it was."""

    def change(measure: Measure) -> Sequence[float]:
        if measure.kind != kind or of not in {None, measure.of}:
            return measure.rounds
        return [value * factor + plus for value in measure.rounds]

    return changed(one, change)


def swapped(records: Sequence[Record], source: random.Random) -> list[Record]:
    """Runs of one commit beside itself as they might as well have gone: which one came first in a pair of rounds was
    chance."""
    baseline, result = records
    count = max(len(measure.rounds) for measure in baseline.measures)
    other = [source.random() < 0.5 for _ in range(count)]
    theirs = [{(one.kind, one.of): one.rounds for one in record.measures} for record in (result, baseline)]

    def change(rounds: dict[tuple[str, str], tuple[float, ...]], measure: Measure) -> Sequence[float]:
        there = rounds[measure.kind, measure.of]
        return [after if swap else before for before, after, swap in zip(measure.rounds, there, other, strict=False)]

    return [changed(one, partial(change, rounds)) for one, rounds in zip(records, theirs, strict=True)]


def resampled(records: Sequence[Record], source: random.Random) -> list[Record]:
    """Runs as they might as well have gone: rounds drawn from those that were recorded, the same of all measures."""
    count = max(len(measure.rounds) for measure in records[0].measures)
    drawn = [source.randrange(count) for _ in range(count)]

    def change(measure: Measure) -> Sequence[float]:
        return [measure.rounds[number] for number in drawn] if len(measure.rounds) == count else measure.rounds

    return [changed(one, change) for one in records]
