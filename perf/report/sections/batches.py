"""Operations a second by the number of items in a batch: a C loop, the core, the application, the servers."""

from __future__ import annotations

import re
import statistics
from collections.abc import Sequence

from matplotlib.axes import Axes

from perf.load.mixes import SUITES
from perf.record import Measure, Record
from perf.report import colours, naming
from perf.report.drawing import Panel, legend, logarithmic, panel, short, thousands
from perf.report.page import Section, figure

Points = dict[int, float]

SHOWN = (
    ("sign", "ed25519"),
    ("verify", "ed25519"),
    ("sign", "ml-dsa-65"),
    ("verify", "ml-dsa-65"),
    ("wrap", "x25519+ml-kem-768"),
    ("seal", "xchacha20-poly1305"),
)
CONTENDERS = (("floor", "C loop"), ("core", "core"), ("pyca", "pyca/cryptography"), ("pynacl", "PyNaCl"))
_COLOURS = {"C loop": "grey", "core": "green", "pyca/cryptography": "red", "PyNaCl": "red", "application": "purple"}


def section(records: Sequence[Record]) -> Section:
    """One panel an operation and suite; the servers are where they were loaded with batches."""
    panels: list[Panel] = []
    sources: dict[str, Record] = {}
    for operation, suite in SHOWN:
        lines: dict[str, Points] = {}
        for record in records:
            found = (
                _micro(record, operation, suite)
                or _scale(record, operation, suite)
                or _service(record, operation, suite)
            )
            for name, points in found.items():
                lines[name] = points | lines.get(name, {})
                sources[record.run + record.suite] = record
        if lines:
            panels.append(_panel(f"batch-{operation}-{len(panels)}", f"{operation} {suite}", lines))
    note = (
        "One thread of one core each. A line that rises to the right gains by batches; the closer a line is to that of "
        "the C loop, the less is lost around the cryptography."
    )
    blocks = [figure(panels, list(sources.values()), note)] if panels else []
    return Section(
        "batches", "Throughput: what batches gain", blocks, "Throughput by batch size: python -m perf.micro."
    )


def _micro(record: Record, operation: str, suite: str) -> dict[str, Points]:
    if record.suite != "micro" or not isinstance(record.detail, dict):
        return {}
    lines: dict[str, Points] = {}
    for cell in record.detail.get("cells", ()):
        if (cell["operation"], cell["suite"]) == (operation, suite):
            for contender, name in CONTENDERS:
                rates = [
                    1e6 / one["cpu"] for one in cell["lanes"] if (one["contender"], one["threads"]) == (contender, 1)
                ]
                if rates:
                    lines.setdefault(name, {})[cell["batch"]] = rates[0]
    return lines


def _scale(record: Record, operation: str, suite: str) -> dict[str, Points]:
    """What one core of a server does, by the processor time of an operation."""
    if record.suite != "scale" or record.name != "batch":
        return {}
    points = {}
    for one in record.measures:
        match = re.fullmatch(rf"{re.escape(f'{operation} {suite}')}, batch (\d+)", one.of)
        if one.kind == "cpu" and one.rounds and match:
            points[int(match[1])] = 1e6 / _median(one)
    return {naming.line(record): points} if points else {}


def _service(record: Record, operation: str, suite: str) -> dict[str, Points]:
    """What one server did with one size of batches, Ed25519 where nothing else is said."""
    if record.suite != "load" or record.name not in {"batch", operation}:
        return {}
    if operation != "sign" or _suite(record) != suite:
        return {}
    size = int(record.setting.get("batch") or 1) if record.name == "batch" else 1
    rates = [one for one in record.measures if one.kind == "rate" and one.rounds and not one.of]
    return {naming.line(record): {size: _median(rates[0])}} if rates else {}


def _suite(record: Record) -> str:
    """What a load run signs with."""
    told = SUITES.get(str(record.setting.get("suite") or "classical"))
    return told.sign if told else ""


def _median(measure: Measure) -> float:
    return statistics.median(measure.rounds)


def _panel(name: str, title: str, lines: dict[str, Points]) -> Panel:
    def draw(axes: Axes) -> None:
        for number, (line, points) in enumerate(lines.items()):
            colour = (
                colours.stand_in(_COLOURS[line]) if line in _COLOURS else colours.of(naming.server_in(line), number)
            )
            sizes = sorted(points)
            axes.plot(sizes, [points[size] for size in sizes], marker="o", color=colour, label=line)
        sizes = sorted({size for points in lines.values() for size in points})
        axes.set_xscale("log", base=2)
        axes.set_xticks(sizes, [short(size) for size in sizes])
        axes.set_xticks([], minor=True)
        axes.set_xlabel("items in a batch")
        axes.set_ylabel("operations a second")
        values = [value for points in lines.values() for value in points.values()]
        if max(values) > 8 * min(values):
            logarithmic(axes, y=True)
        else:
            axes.set_ylim(0, max(values) * 1.12)
            thousands(axes, y=True)
        legend(axes)

    words = "; ".join(
        f"{line}: {short(points[max(points)])} a second at {max(points)}" for line, points in lines.items()
    )
    return panel(name, title, words, draw)
