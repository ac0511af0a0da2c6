"""A record as it is kept: what the gates judge, in few bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from perf.drift.gates import GATES
from perf.record import Measure, Record

ROUNDS = 12
"""Of each measure: enough to know how far a run differs from itself."""
DIGITS = 5
KEPT = frozenset({"floor", "rate", "p50", "p99"}).union(*(gate.kinds for gate in GATES))
"""Kinds: what is judged, what that is divided by, and what people ask for."""


def compact(record: Record, most: int = ROUNDS) -> Record:
    """The same record with fewer rounds and digits, and without its detail."""
    measures = tuple(
        Measure(one.kind, one.of, tuple(float(f"{value:.{DIGITS}g}") for value in spread(one.rounds, most)))
        for one in record.measures
        if one.kind in KEPT
    )
    return msgspec.structs.replace(record, measures=measures, detail=None)


def spread(rounds: Sequence[float], most: int) -> list[float]:
    """So many of the rounds, from all over the run.

    >>> spread(range(10), 4)
    [0, 3, 6, 9]
    """
    if len(rounds) <= most:
        return list(rounds)
    return [rounds[round(number * (len(rounds) - 1) / (most - 1))] for number in range(most)]


def write(record: Record, path: Path, most: int = ROUNDS) -> None:
    """A measure a line, so that a change can be read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = msgspec.json.encode(compact(record, most)).decode()
    path.write_text(text.replace('{"kind"', '\n{"kind"') + "\n")
