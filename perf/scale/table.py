"""Measures as a table: a line for each operation, a column for each size."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

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


def lines(measures: Iterable[Measure]) -> list[str]:
    """Median and least of each measure's rounds."""
    told = [f"{'':13} {'':45} {'median':>12} {'least':>12}"]
    for one in measures:
        median, least = statistics.median(one.rounds), min(one.rounds)
        told.append(f"{one.kind:13} {one.of:45} {median:12,.2f} {least:12,.2f} {KINDS[one.kind].unit}")
    return told


def judged(verdicts: Sequence[Verdict]) -> list[str]:
    """A line for each target."""
    told = []
    for one in verdicts:
        word = ("met" if one.met else "missed") + ("" if one.sure else "?")
        bounds = f"{one.ratio.value:.2f} ({one.ratio.low:.2f} to {one.ratio.high:.2f})"
        told.append(f"{one.target:8} {one.where:45} {bounds}, at most {one.limit:g} wanted: {word}")
    return [*told, "A question mark: too few rounds, or the limit is within the bounds of what was measured."]
