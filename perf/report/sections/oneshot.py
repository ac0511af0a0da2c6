"""One-shots: how long a command, a start or a first call takes."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from matplotlib.axes import Axes

from perf.record import Measure, Record
from perf.report.colours import of
from perf.report.drawing import INK, Panel, panel, plain, thousands
from perf.report.page import Section, figure


def section(records: Sequence[Record]) -> Section:
    """A bar for each median, a line over all rounds."""
    chosen = [one for one in records if one.suite == "oneshot"]
    measures = [(record, one) for record in chosen for one in record.measures if one.kind == "once" and one.rounds]
    blocks = [figure([_panel([one for _, one in measures])], chosen, _NOTE)] if measures else []
    return Section("oneshot", "One-shots: commands, starts, first calls", blocks, "One-shots: python -m perf.oneshot.")


_NOTE = (
    "Each from its start to its end in a fresh process. The bar is the median, the thin line goes from the quickest to "
    "the slowest."
)


def _panel(measures: Sequence[Measure]) -> Panel:
    middles = [statistics.median(one.rounds) for one in measures]
    longest = max(max(one.rounds) for one in measures)

    def draw(axes: Axes) -> None:
        for row, (one, middle) in enumerate(zip(measures, middles, strict=True)):
            axes.barh(row, middle, height=0.5, color=of("", 0))
            axes.plot([min(one.rounds), max(one.rounds)], [row, row], color=INK, linewidth=1)
            axes.text(max(one.rounds) + longest * 0.015, row, f"{plain(middle)} ms", va="center", fontweight="bold")
        axes.set_yticks(range(len(measures)), [one.of for one in measures])
        axes.tick_params(axis="y", labelcolor=INK)
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set_xlim(0, longest * 1.16)
        axes.set_xlabel("milliseconds")
        thousands(axes, x=True)

    words = "; ".join(f"{one.of}: {plain(middle)} ms" for one, middle in zip(measures, middles, strict=True))
    return panel("oneshot", "", words, draw, width=760, height=60 + 30 * len(measures))
