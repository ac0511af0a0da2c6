"""What a run leaves behind, and what is printed of it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import msgspec

from perf.detail import Distribution, distribution
from perf.edge.bench import Bench, CellFigures
from perf.edge.cells import FLOOR, LIMITS
from perf.micro.targets import Verdict, verdict_of
from perf.record import Measure, Record


class Results(msgspec.Struct):
    """What stands in a record's ``detail``.

    :ivar command: how it is run again.
    :ivar distributions: of the requests, cell by cell.
    :ivar load_after: of one minute, when the run had ended.
    :ivar cells: the figures.
    :ivar left_out: cells for which there was no time.
    :ivar verdicts: ``over``: its limit and ratio are in microseconds.
    """

    command: str
    distributions: list[Distribution]
    load_after: float
    cells: list[CellFigures]
    left_out: list[str]
    verdicts: list[Verdict]


HEAD = (
    f"{'':<58} {'app':>7} {'core':>7} {'over':>7} {'bounds':>16} {'least':>7} {'a second':>9}"
    f" {'p50':>8} {'p95':>8} {'p99':>8} {'allocs':>7} {'bytes':>8}"
)


def gather(benches: Sequence[Bench], begun: Record, command: str, seconds: float) -> Record:
    """The record of a run that has ended."""
    measured = [(bench, bench.figures()) for bench in benches if bench.core]
    cells = [figures for _, figures in measured]
    results = Results(
        command,
        [distribution(str(bench.cell), bench.durations) for bench, _ in measured],
        round(os.getloadavg()[0], 2),
        cells,
        [str(bench.cell) for bench in benches if not bench.core],
        list(judge(cells)),
    )
    measures = [measure for bench, figures in measured for measure in bench.measures(figures)]
    # In which units runs of other hours compare.
    floors = [Measure("floor", "", bench.floor) for bench, _ in measured if bench.cell == FLOOR]
    return msgspec.structs.replace(begun, seconds=round(seconds, 1), measures=(*floors, *measures), detail=results)


def judge(cells: Sequence[CellFigures]) -> Iterator[Verdict]:
    """The targets, each met or missed."""
    for figures in cells:
        cell = figures.cell
        limit = LIMITS.get((cell.audit, cell.in_flight))
        if (cell.operation, cell.items) == ("sign", 1) and limit is not None:
            yield verdict_of("over", str(cell), limit, figures.over, figures.over.value <= limit)


def render(record: Record) -> str:
    """The table."""
    results: Results = record.detail
    changed = " and changes" if record.code.changed else ""
    load = f"load {record.host.load} before and {results.load_after} after"
    lines = [
        f"commit {record.code.commit[:12]}{changed}, {record.host.cpu}, {load}",
        "microseconds of processor time an item; over: what the application adds to the core;",
        "milliseconds of a whole request on the clock; allocations an item, Python's and C's",
        "",
        HEAD,
    ]
    for figures in results.cells:
        over = figures.over
        bounds = f"{over.low:.1f} to {over.high:.1f}"
        lines.append(
            f"{figures.cell!s:<58} {figures.app:>7.1f} {figures.crypto:>7.1f} {over.value:>7.1f} {bounds:>16}"
            f" {figures.least:>7.1f} {figures.per_second:>9,.0f}"
            f" {figures.p50:>8.3f} {figures.p95:>8.3f} {figures.p99:>8.3f}"
            f" {figures.allocations or 0:>7.1f} {figures.allocated:>8,.0f}"
        )
    if results.left_out:
        lines.append("left out, for there was no time: " + "; ".join(results.left_out))
    lines.append("")
    for verdict in results.verdicts:
        word = ("met" if verdict.met else "missed") + ("" if verdict.sure else "?")
        lines.append(f"{verdict.where}: at most {verdict.limit:.0f} over: {word}")
    return "\n".join(lines)
