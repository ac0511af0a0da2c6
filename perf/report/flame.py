"""A flame graph without a script: a frame is as wide as what it took, callers above, in the colour of its part."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from perf.profiles.stacks import Stack, part
from perf.report import colours
from perf.report.drawing import plain
from perf.report.markup import Html, join, tag

WIDTH = 1100.0
ROW = 17.0
_LETTER = 6.4
_LEAST = 0.7
"""Units of width; what is narrower is left out."""


@dataclass
class _Node:
    weight: float = 0.0
    below: dict[str, _Node] = field(default_factory=dict)


def flame(stacks: Iterable[Stack], title: str) -> Html:
    """Callers above, callees below; a frame's title tells its name, weight and share."""
    root = _Node()
    for stack in stacks:
        node = root
        node.weight += stack.weight
        for frame in (stack.thread, *stack.frames):
            node = node.below.setdefault(frame, _Node())
            node.weight += stack.weight
    boxes: list[Html] = []
    depth = _boxes(root, (), 0.0, WIDTH / (root.weight or 1), root.weight, boxes)
    svg = tag("svg", tag("title", title), *boxes, viewBox=f"0 0 {WIDTH:g} {depth * ROW:g}", role="img")
    return tag("div", svg, class_="flame")


def standalone(stacks: Iterable[Stack], title: str) -> str:
    """The same as a file of its own."""
    drawn = flame(stacks, title)
    svg = drawn[drawn.index("<svg") : drawn.rindex("</svg>")]
    style = tag("style", Html(f"{colours.style()}svg{{background:var(--paper)}}{_STYLE}"))
    return svg.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1) + style + "</svg>\n"


_STYLE = (
    "rect{stroke:var(--paper);stroke-width:.6}text{font:10.5px ui-monospace,Menlo,Consolas,monospace;fill:var(--paper);"
    "pointer-events:none}"
)


def _boxes(node: _Node, frames: tuple[str, ...], left: float, scale: float, total: float, boxes: list[Html]) -> int:
    """Adds the boxes below a node, and gives the number of rows that these take."""
    deepest = len(frames)
    for name, child in sorted(node.below.items()):
        width = child.weight * scale
        if width >= _LEAST:
            boxes.append(_box((*frames, name), left, width, child.weight, total))
            deepest = max(deepest, _boxes(child, (*frames, name), left, scale, total, boxes))
        left += width
    return max(deepest, len(frames) + (1 if node.below and not frames else 0))


def _box(frames: tuple[str, ...], left: float, width: float, weight: float, total: float) -> Html:
    top = (len(frames) - 1) * ROW
    of = part(frames[1:]) if len(frames) > 1 else "other"
    colour = colours.variables(colours.stand_in("muted") if of == "other" else colours.of(of))
    told = f"{frames[-1]}: {plain(weight)} of {plain(total)}, {weight / total:.1%}"
    shape = tag(
        "rect",
        tag("title", told),
        x=f"{left:.1f}",
        y=f"{top:g}",
        width=f"{width:.1f}",
        height=f"{ROW - 1:g}",
        rx="2",
        fill=colour,
    )
    room = int((width - 6) / _LETTER)
    name = frames[-1].partition(" (")[0]
    if room < 3:
        return shape
    label = name if len(name) <= room else name[: room - 1] + "…"
    return join(shape, tag("text", label, x=f"{left + 4:.1f}", y=f"{top + 12:g}"))
