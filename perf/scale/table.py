"""Measures as a table: a line for each thing that was measured, a column for each kind of measure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from perf.micro.targets import Verdict
from perf.record import KINDS, Measure, Record


def heading(record: Record) -> str:
    """What was measured where."""
    code, host = record.code, record.host
    changed = " and changes" if code.changed else ""
    settings = ", ".join(f"{name} {value}" for name, value in record.setting.items())
    return (
        f"{record.suite} {record.name}: commit {code.commit[:12]}{changed}, {host.cores} cores, load {host.load},"
        f" {record.seconds:.0f} s; {settings}"
    )


def lines(measures: Sequence[Measure]) -> list[str]:
    """Medians of the rounds."""
    kinds = list(dict.fromkeys(one.kind for one in measures))
    found = {(one.of, one.kind): statistics.median(one.rounds) for one in measures if one.rounds}
    told = [" " * 42 + "".join(f"{f'{kind} {KINDS[kind].unit}'.strip():>18}" for kind in kinds)]
    for of in dict.fromkeys(one.of for one in measures):
        values = (f"{found[of, kind]:18,.2f}" if (of, kind) in found else " " * 18 for kind in kinds)
        told.append(f"{of:42}" + "".join(values))
    return told


def judged(verdicts: Sequence[Verdict]) -> list[str]:
    """A line for each target."""
    told = []
    for one in verdicts:
        word = ("met" if one.met else "missed") + ("" if one.sure else "?")
        bounds = f"{one.ratio.value:.2f} ({one.ratio.low:.2f} to {one.ratio.high:.2f})"
        told.append(f"{one.target:8} {one.where:45} {bounds}, at most {one.limit:g} wanted: {word}")
    if told:
        told.append("A question mark: too few rounds, or the limit is within the bounds of what was measured.")
    return told
