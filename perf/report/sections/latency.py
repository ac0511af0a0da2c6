"""How long requests take: every percentile, by kind of request and server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes

from perf.detail import Distribution, distributions
from perf.record import Record
from perf.report import colours, naming
from perf.report.drawing import Panel, legend, logarithmic, panel, plain, target
from perf.report.page import Section, figure
from perf.report.targets import p95_limit

TAILS = ((0.5, "50"), (0.9, "90"), (0.95, "95"), (0.99, "99"), (0.999, "99.9"), (0.9999, "99.99"))
LIMIT = 12
"""Panels at most; a run of everything has more kinds than people look at."""

Line = tuple[str, Distribution]


def section(records: Sequence[Record]) -> Section:
    """From all records of perf.load that have distributions, one panel a scenario and kind of request."""
    sources = sorted((one for one in records if one.suite == "load" and distributions(one)), key=_order)
    groups: dict[tuple[str, str], list[tuple[Record, Line]]] = {}
    for record in sources:
        for one in distributions(record):
            if len(one.points) > 2 and one.of != "refused":
                groups.setdefault((record.name, one.of), []).append((record, (naming.line(record), one)))
    shown = dict(list(groups.items())[:LIMIT])
    panels = [
        tail(f"latency-{number}", _title(of, lines[0][0]), _told_apart(lines), _limit(of, lines[0][0]))
        for number, ((_, of), lines) in enumerate(shown.items())
    ]
    note = (
        "Each line goes from the median on the left to the slowest request on the right; lower is better, and a line "
        "that stays flat has no tail. It should pass below the dashed corner, the target for 95 % of the requests."
    )
    blocks = [figure(panels, [record for lines in shown.values() for record, _ in lines], note)] if panels else []
    return Section(
        "latency", "Latency: how slow the slowest are", blocks, "Latency distributions: python -m perf.load."
    )


def _order(record: Record) -> int:
    """Each operation by itself below saturation first, then a steady mix, then all else."""
    return 0 if record.name.startswith("latency") else 1 if record.name == "steady" else 2


def _limit(of: str, record: Record) -> float | None:
    """The targets are for each operation by itself, at 70 % of what the service can do."""
    return p95_limit(of) if record.name.startswith("latency") else None


def _told_apart(lines: Sequence[tuple[Record, Line]]) -> list[tuple[Record, Line]]:
    names = naming.lines([record for record, _ in lines])
    return [(record, (name, one)) for name, (record, (_, one)) in zip(names, lines, strict=True)]


def _title(of: str, record: Record) -> str:
    share = record.setting.get("share")
    if record.name.startswith("latency") and isinstance(share, float):
        return f"{of} · at {share:.0%} of capacity"
    return f"{of} · {record.name}"


def tail(
    name: str, title: str, lines: Sequence[tuple[Record, Line]], limit: float | None, of: str = "of requests"
) -> Panel:
    """From the median to the slowest, a line a run.

    :param limit: milliseconds for 95 %.
    """

    def draw(axes: Axes) -> None:
        for place, (_, (run, one)) in enumerate(sorted(lines, key=lambda line: line[1][0])):
            _line(axes, run, one, place)
        axes.set_xscale("log")
        least = min(one.count for _, (_, one) in lines)
        told = [(share, label) for share, label in TAILS if least * (1 - share) >= 1]
        axes.set_xticks([1 / (1 - share) for share, _ in told], [label for _, label in told], minor=False)
        axes.set_xticks([], minor=True)
        axes.set_xlim(2, None)
        axes.set_xlabel(f"share {of}, %")
        axes.set_ylabel("milliseconds")
        if limit is not None:
            target(axes, 20, limit, f"{plain(limit)} ms")
        logarithmic(axes, y=True)
        legend(axes)

    words = f"{title}: " + "; ".join(f"{run} p50 {_at(one, 0.5)}, p99 {_at(one, 0.99)}" for _, (run, one) in lines)
    return panel(name, title, words, draw)


def _line(axes: Axes, name: str, one: Distribution, number: int) -> None:
    upper = [(1 / (1 - share) if share < 1 else float(one.count), value) for share, value in one.points if share >= 0.5]
    points = [(x, value) for x, value in upper if 2 <= x <= one.count]
    axes.plot(
        [x for x, _ in points],
        [value for _, value in points],
        color=colours.of(naming.server_in(name), number),
        linestyle="-" if "written" not in name else "--",
        label=name,
    )


def _at(one: Distribution, share: float) -> str:
    found: Mapping[float, float] = dict(one.points)
    return f"{plain(found[share])} ms" if share in found else "unknown"
