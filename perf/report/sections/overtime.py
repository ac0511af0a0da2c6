"""Things that were sampled over a run: fairness between two tenants, memory in a soak, a burst and what was shed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from matplotlib.axes import Axes

from perf.detail import Series, series
from perf.record import Record
from perf.report import colours, naming
from perf.report.drawing import Panel, legend, logarithmic, panel, plain, thousands
from perf.report.markup import Html, tag
from perf.report.page import Section, figure

LABELS = {
    "p50": "Median latency",
    "p95": "Latency, p95",
    "p99": "Latency, p99",
    "rate": "Answers a second",
    "refused": "Refused a second",
    "processor": "Processor",
    "resident": "Memory of the largest worker",
    "all_resident": "Memory of all processes",
    "files": "Open descriptors",
    "cpu": "Processor",
    "errors": "Errors",
    "threads": "Threads",
    "audit": "Audit log on the disk",
    "skew": "p95 of one tenant by the other's",
}
_WIDE = 50.0
"""A range of more than that is drawn on a logarithmic axis."""


def fairness(records: Sequence[Record]) -> Section:
    """Two tenants: their latency and what each got, over time."""
    note = (
        "Two tenants without a pause, one with many more requests under way than the other. It is fair when the two "
        "latencies lie on each other: who asks little does not wait longer than who asks much."
    )
    chosen = [one for one in records if one.suite == "load" and "isolation" in one.name]
    blocks = list(_blocks("fairness", chosen, ("p95", "rate"), note))
    return Section(
        "fairness",
        "Fairness: one tenant beside another",
        blocks,
        "Fairness: python -m perf.load run --mix isolation-80.",
    )


def burst(records: Sequence[Record]) -> Section:
    """Latency, answers and refusals through a burst, or a flood of rotations."""
    note = (
        "Ten times the rate for a while. What is let in stays quick, what is too much is refused at once, and "
        "everything is as before when the burst is over."
    )
    chosen = [one for one in records if one.suite == "load" and one.name.startswith(("burst", "rotate"))]
    blocks = list(_blocks("burst", chosen, ("p99", "rate", "refused"), note))
    return Section(
        "burst", "Burst: ten times the load, and after", blocks, "A burst: python -m perf.load run --mix burst."
    )


def soak(records: Sequence[Record]) -> Section:
    """Memory, descriptors and latency over a long run."""
    note = "Flat is good: memory or descriptors that grow end a service, latency that grows is work that piles up."
    chosen = [one for one in records if one.suite == "soak"]
    blocks = list(
        _blocks(
            "soak", chosen, ("resident", "all_resident", "files", "threads", "p50", "p95", "p99", "rate", "audit"), note
        )
    )
    return Section("soak", "Soak: does anything grow?", blocks, "Memory over time: python -m perf.soak.")


def _blocks(anchor: str, records: Sequence[Record], names: Sequence[str], note: str) -> Iterator[Html]:
    """For each run a row of drawings, all its lines of one kind in one of them."""
    for number, record in enumerate(records):
        found = series(record)
        panels = [
            _panel(f"{anchor}-{number}-{name.replace('_', '-')}", name, same)
            for name in names
            if (same := [one for one in found if one.name == name and _told(one)])
        ]
        if not panels:
            continue
        if note:
            yield tag("p", note, class_="note")
            note = ""
        told = " · ".join(part for part in (record.name, naming.server(record), naming.settings(record)) if part)
        yield tag("h3", told)
        yield figure(panels, [record])


def _told(one: Series) -> list[tuple[float, float]]:
    return [(at, value) for at, value in zip(one.at, one.values, strict=False) if value is not None]


def _panel(name: str, kind: str, lines: Sequence[Series]) -> Panel:
    values = [value for one in lines for _, value in _told(one)]
    positive = [value for value in values if value > 0]
    wide = len(positive) == len(values) and max(values) > _WIDE * min(values)

    def draw(axes: Axes) -> None:
        for number, one in enumerate(lines):
            points = _told(one)
            axes.plot(
                [at for at, _ in points],
                [value for _, value in points],
                color=colours.of(one.of.rpartition(", ")[2], number),
                label=one.of or LABELS.get(kind, kind),
            )
        axes.set_xlabel("seconds")
        axes.set_ylabel(lines[0].unit)
        if wide:
            logarithmic(axes, y=True)
        else:
            axes.set_ylim(0, max(values) * 1.15 or 1)
            thousands(axes, y=True)
        thousands(axes, x=True)
        if len(lines) > 1:
            legend(axes)

    words = "; ".join(
        f"{one.of or kind}: {plain(_told(one)[0][1])} to {plain(_told(one)[-1][1])} {one.unit}" for one in lines
    )
    return panel(name, LABELS.get(kind, kind), f"{LABELS.get(kind, kind)} over time. {words}", draw)
