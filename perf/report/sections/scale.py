"""What an operation costs as numbers grow, and how well the model fits that fleets are planned with."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterator, Sequence
from typing import Any

from matplotlib.axes import Axes

from perf.record import Record
from perf.report import colours, naming
from perf.report.drawing import INK, Panel, legend, logarithmic, panel, plain, short
from perf.report.markup import Html, table
from perf.report.page import Section, figure

GROWS = {"keys": "keys in the store", "tenants": "tenants", "workers": "workers"}
_OF = re.compile(r"^(?P<what>.*), (?P<number>\d+) (?:keys|tenants|workers)$")
_NOTE = (
    "Processor time an operation, on the vertical axis, by how many there are. Flat is good: cost grows with work, and "
    "with nothing else."
)
_MODEL = (
    "Every dot is an operation, its suite and a size of batch: across what was measured, up what the model says. On "
    "the line it is right. The model is what docs/performance/planning.md plans fleets with."
)

_WIDE = 12.0
"""A range of more than that is drawn on a logarithmic axis, which makes what is flat look flat only from afar."""

Lines = dict[str, dict[int, float]]


def section(records: Sequence[Record]) -> Section:
    """A panel for each number that grows, by server; then the model."""
    chosen = [one for one in records if one.suite == "scale"]
    panels: list[Panel] = []
    sources: list[Record] = []
    for record in chosen:
        if record.name in GROWS and (lines := _lines(record, "cpu")):
            name = " · ".join(part for part in (GROWS[record.name].capitalize(), naming.server(record)) if part)
            panels.append(_grows(f"scale-{len(panels)}", name, GROWS[record.name], lines))
            sources.append(record)
    blocks = [figure(panels, sources, _NOTE)] if panels else []
    blocks += _models([one for one in chosen if one.name == "model" and isinstance(one.detail, dict)])
    return Section("scale", "Scaling: what it costs to have more", blocks, "Scaling: python -m perf.scale all.")


def _lines(record: Record, kind: str) -> Lines:
    found: Lines = {}
    for one in record.measures:
        match = _OF.match(one.of)
        if one.kind == kind and one.rounds and match:
            found.setdefault(match["what"], {})[int(match["number"])] = statistics.median(one.rounds)
    return found


def _grows(name: str, title: str, what: str, lines: Lines) -> Panel:
    def draw(axes: Axes) -> None:
        numbers = sorted({number for points in lines.values() for number in points})
        for place, (line, points) in enumerate(lines.items()):
            ordered = sorted(points)
            axes.plot(ordered, [points[one] for one in ordered], marker="o", color=colours.of("", place), label=line)
        if numbers[-1] > 20:
            axes.set_xscale("log")
        axes.set_xticks(numbers, [short(one) for one in numbers])
        axes.set_xticks([], minor=True)
        axes.set_xlabel(what)
        axes.set_ylabel("µs an operation")
        values = [value for points in lines.values() for value in points.values()]
        if max(values) > _WIDE * min(values):
            logarithmic(axes, y=True)
        else:
            axes.set_ylim(0, max(values) * 1.15)
        legend(axes)

    words = "; ".join(
        f"{line}: {plain(points[min(points)])} µs at {min(points)}, {plain(points[max(points)])} at {max(points)}"
        for line, points in lines.items()
    )
    return panel(name, title, words, draw)


def _models(records: Sequence[Record]) -> Iterator[Html]:
    drawn = [
        _fit(f"model-{number}", naming.server(record), points)
        for number, record in enumerate(records)
        if (points := record.detail.get("points"))
    ]
    if drawn:
        yield figure(drawn, records, _MODEL)
        yield table(["Server", "What an operation costs, µs", "Memory, MiB", "Fit"], [_row(one) for one in records])


def _fit(name: str, server: str, points: dict[str, Any]) -> Panel:
    def draw(axes: Axes) -> None:
        measured, said = zip(*points.values(), strict=True)
        axes.plot(measured, said, "o", color=colours.of(server), markersize=4)
        ends = [min(*measured, *said) * 0.8, max(*measured, *said) * 1.2]
        axes.plot(ends, ends, color=INK, linewidth=1)
        axes.set_xlabel("measured, µs an operation")
        axes.set_ylabel("by the model, µs")
        logarithmic(axes, x=True, y=True)

    return panel(
        name, f"The model beside what was measured · {server}", f"The model of {server}: {len(points)} points", draw
    )


def _row(record: Record) -> list[object]:
    told, memory = record.detail, record.detail.get("memory", {})
    costs = "; ".join(
        f"{operation}: {plain(base)} a request, {plain(told['item'][operation])} an item"
        for operation, base in told["base"].items()
    )
    return [
        naming.server(record),
        f"{costs}; {plain(told['kib'])} a KiB; and its cryptography",
        f"supervisor {plain(memory['supervisor'])}, worker {plain(memory['worker'])}",
        f"half of the points within {told['median']:.0%}, all within {abs(told['worst']):.0%}",
    ]
