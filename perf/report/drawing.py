"""A figure of matplotlib as SVG inside the page: its own text, the page's colours, names of its own for its parts."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from perf.report.colours import stand_in, variables
from perf.report.markup import Html, tag

WIDTH, HEIGHT = 380.0, 265.0
"""Points; a panel is shown at about this size in pixels, so that a font of 12 is read as one of 12."""

INK, MUTED, RULE, PAPER = (stand_in(name) for name in ("ink", "muted", "rule", "paper"))

_SETTINGS: dict[Any, object] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 12.5,
    "axes.titlesize": 13.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10.0,
    "axes.labelsize": 12.0,
    "xtick.labelsize": 12.0,
    "ytick.labelsize": 12.0,
    "text.color": INK,
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "grid.color": RULE,
    "grid.linewidth": 0.8,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "lines.linewidth": 2.0,
    "lines.solid_capstyle": "round",
    "lines.markersize": 4.5,
    "legend.frameon": False,
    "legend.fontsize": 12.0,
    "legend.handlelength": 1.4,
    "legend.borderaxespad": 0.2,
    "xtick.major.size": 0.0,
    "ytick.major.size": 0.0,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
}


class Panel(NamedTuple):
    """One small drawing, with what it shows in words for those who do not see it."""

    svg: Html
    words: str


@contextmanager
def settings(salt: str) -> Iterator[None]:
    """What all drawings share; ``salt`` keeps the names of one drawing's parts apart from another's."""
    with mpl.rc_context({**_SETTINGS, "svg.hashsalt": salt}):
        yield


def panel(
    name: str, title: str, words: str, draw: Callable[[Axes], None], *, width: float = WIDTH, height: float = HEIGHT
) -> Panel:
    """Draw one.

    :param name: letters and hyphens, once a page.
    :param title: above it.
    """
    with settings(name):
        figure = Figure(figsize=(width / 72, height / 72), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        if title:
            axes.set_title(title)
        draw(axes)
        return Panel(_inline(figure, name, words), words)


def _inline(figure: Figure, name: str, words: str) -> Html:
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = out.getvalue()
    [box] = re.findall(r'<svg [^>]*viewBox="([^"]+)"', svg)
    body = svg[svg.index(">", svg.index("<svg")) + 1 : svg.rindex("</svg>")]
    for pattern, other in _CLEANED:
        body = re.sub(pattern, other.replace("NAME", name), body, flags=re.DOTALL)
    label, width = tag("title", words), float(box.split()[2])
    style = f"max-width:{width * 1.12:.0f}px"
    return tag("svg", label, Html(variables(body)), class_="drawing", viewBox=box, role="img", style=style)


_CLEANED = (
    (r"<metadata>.*?</metadata>", ""),
    (r"<!--.*?-->", ""),
    (r'\b(id="|xlink:href="#|url\(#)', r"\1NAME-"),
    (r"xlink:href", "href"),
    (r">\s+<", "><"),
)
"""What matplotlib writes around a drawing and the page has no use for."""


def plain(value: float) -> str:
    """A number as people write it: ``0.25``, ``1.5``, ``20``, ``1,500``."""
    if value == 0:
        return "0"
    size = abs(value)
    digits = 0 if size >= 20 else 1 if size >= 2 else 2 if size >= 0.1 else 3
    return f"{value:,.{digits}f}".rstrip("0").rstrip(".") if digits else f"{value:,.0f}"


def short(value: float) -> str:
    """The same for an axis: ``10 k``, ``1 M``."""
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e4, " k")):
        if abs(value) >= size:
            return plain(value / (1e3 if unit == " k" else size)) + unit
    return plain(value)


def thousands(axes: Axes, *, x: bool = False, y: bool = False) -> None:
    """Write the numbers of a linear axis as :func:`short` does."""
    for wanted, axis in ((x, axes.xaxis), (y, axes.yaxis)):
        if wanted:
            axis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))


def logarithmic(axes: Axes, *, x: bool = False, y: bool = False) -> None:
    """A logarithmic axis whose numbers are written out, with 1, 2 and 5 where the range is small."""
    for wanted, axis, scale, limits in (
        (x, axes.xaxis, axes.set_xscale, axes.get_xlim),
        (y, axes.yaxis, axes.set_yscale, axes.get_ylim),
    ):
        if not wanted:
            continue
        scale("log")
        low, high = limits()
        steps = (1.0, 2.0, 5.0) if high / max(low, 1e-12) < 300 else (1.0,)
        axis.set_major_locator(LogLocator(subs=steps, numticks=12))
        axis.set_minor_locator(NullLocator())
        axis.set_minor_formatter(NullFormatter())
        axis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))


def target(axes: Axes, x: float, limit: float, label: str) -> None:
    """A dashed corner, within the drawing: at ``x`` a line must be below it."""
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    low, high = min(low, limit * 0.6), max(high, limit * 1.6)
    left = axes.get_xlim()[0]
    axes.plot([left, x, x], [limit, limit, low], color=INK, linewidth=1.2, linestyle=(0, (3, 2.5)))
    axes.set_ylim(low, high)
    axes.annotate(label, (x, limit), xytext=(4, 4), textcoords="offset points", fontsize=11, bbox=_BEHIND)


_BEHIND = {"facecolor": PAPER, "edgecolor": "none", "alpha": 0.8, "pad": 1.0}


def legend(axes: Axes) -> None:
    """Below the drawing, where it covers nothing."""
    handles, labels = axes.get_legend_handles_labels()
    axes.figure.legend(handles, labels, loc="outside lower left", ncols=min(2, len(labels)))
