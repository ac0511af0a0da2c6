"""Where an operation's processor time goes, and the flame graphs that say it more exactly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from matplotlib.axes import Axes

from perf.profiles.detail import Detail, detail
from perf.profiles.stacks import PARTS, Stack, by_part
from perf.record import Record
from perf.report import colours, naming
from perf.report.drawing import INK, PAPER, panel, plain, thousands
from perf.report.flame import flame
from perf.report.markup import Html, tag
from perf.report.page import Section, figure

Bar = tuple[str, dict[str, float]]


def section(records: Sequence[Record]) -> Section:
    """Stacked bars, one for each scenario and server."""
    chosen = [one for one in profiles(records) if _bar(one)]
    blocks = list(_bars(chosen)) if chosen else []
    return Section(
        "cost", "Cost: where an operation's processor time goes", blocks, "Cost of the parts: python -m perf.profiles."
    )


def flames(records: Sequence[Record]) -> Section:
    """One flame graph for each profile, folded away."""
    chosen = profiles(records)
    blocks = [block for record in chosen for block in _flames(record, detail(record.detail))]
    if blocks:
        blocks.insert(
            0,
            tag(
                "p",
                "Open one. Callers are above; a frame is as wide as what it took, in the colours of the section on "
                "cost. Point at it for its name in full.",
                class_="note",
            ),
        )
    return Section("flames", "Flame graphs", blocks, "Flame graphs: python -m perf.profiles.")


def profiles(records: Sequence[Record]) -> list[Record]:
    """Those of perf.profiles, by scenario and server."""
    chosen = (one for one in records if one.suite == "profiles")
    return sorted(chosen, key=lambda one: (one.name, naming.server(one)))


def _bar(record: Record) -> dict[str, float]:
    """Microseconds an operation, by part."""
    return {
        one.of: sum(one.rounds) / len(one.rounds) for one in record.measures if one.kind == "cpu" and one.of in PARTS
    }


def _name(record: Record) -> str:
    return f"{record.name}, {naming.server(record)}"


def _bars(records: Sequence[Record]) -> Iterator[Html]:
    bars = [(_name(record), _bar(record)) for record in records]
    longest = max(sum(bar.values()) for _, bar in bars)

    def draw(axes: Axes) -> None:
        for row, (_, bar) in enumerate(bars):
            left = 0.0
            for part in PARTS:
                width = bar.get(part, 0.0)
                axes.barh(row, width, left=left, height=0.62, color=colours.of(part), edgecolor=PAPER, linewidth=1)
                if width > longest * 0.06:
                    axes.text(left + width / 2, row, plain(width), ha="center", va="center", color=PAPER, fontsize=10)
                left += width
            axes.text(left + longest * 0.01, row, plain(left), va="center", color=INK, fontweight="bold")
        axes.set_yticks(range(len(bars)), [name for name, _ in bars])
        axes.tick_params(axis="y", labelcolor=INK)
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set_xlim(0, longest * 1.1)
        axes.set_xlabel("microseconds of the worker's processor time an operation")
        thousands(axes, x=True)

    words = "; ".join(
        f"{name}: " + ", ".join(f"{part} {plain(value)}" for part, value in bar.items()) for name, bar in bars
    )
    drawn = panel("cost", "", words, draw, width=760, height=70 + 34 * len(bars))
    note = (
        "Edge is the application between the server and the cryptography: tokens, limits, decoding, queue, encoding. "
        "Server is HTTP/2 and the event loop."
    )
    yield figure([drawn], records, note, PARTS)


def _flames(record: Record, told: Detail) -> Iterator[Html]:
    for kind, unit, stacks in (
        ("Python frames", "µs an operation", told.stacks),
        ("with native frames", "samples", told.native),
    ):
        if stacks:
            total = sum(one.weight for one in stacks)
            title = f"{_name(record)}, {kind}"
            yield tag(
                "details",
                tag("summary", title, tag("span", f" · {plain(total)} {unit}{_share(stacks)}")),
                flame(stacks, title),
            )


def _share(stacks: Sequence[Stack]) -> str:
    found = by_part(stacks)
    total = sum(found.values()) or 1
    return "".join(f" · {part} {weight / total:.0%}" for part, weight in found.items() if weight >= total / 100)
