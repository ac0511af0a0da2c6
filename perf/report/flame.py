"""A flame graph without a script: a frame is as wide as it has samples, callers above, in the colour of its part."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from perf.profiles.stacks import Stack, part
from perf.report import colours
from perf.report.markup import Html, join, tag

WIDTH = 1100.0
ROW = 17.0
_LETTER = 6.4
_LEAST = 0.7
"""Units of width; what is narrower is left out."""


@dataclass
class _Node:
    samples: int = 0
    below: dict[str, _Node] = field(default_factory=dict)


def flame(stacks: Iterable[Stack], title: str) -> Html:
    """Callers above, callees below; a frame's title tells its name, samples and share."""
    root = _Node()
    for stack in stacks:
        node = root
        node.samples += stack.samples
        for frame in (stack.thread, *stack.frames):
            node = node.below.setdefault(frame, _Node())
            node.samples += stack.samples
    boxes: list[Html] = []
    depth = _boxes(root, (), 0.0, WIDTH / max(root.samples, 1), root.samples, boxes)
    svg = tag("svg", tag("title", title), *boxes, viewBox=f"0 0 {WIDTH:g} {depth * ROW:g}", role="img")
    return tag("div", svg, class_="flame")


def _boxes(node: _Node, frames: tuple[str, ...], left: float, scale: float, total: int, boxes: list[Html]) -> int:
    """Adds the boxes below a node, and gives the number of rows that these take."""
    deepest = len(frames)
    for name, child in sorted(node.below.items()):
        width = child.samples * scale
        if width >= _LEAST:
            boxes.append(_box((*frames, name), left, width, child.samples, total))
            deepest = max(deepest, _boxes(child, (*frames, name), left, scale, total, boxes))
        left += width
    return max(deepest, len(frames) + (1 if node.below and not frames else 0))


def _box(frames: tuple[str, ...], left: float, width: float, samples: int, total: int) -> Html:
    top = (len(frames) - 1) * ROW
    of = part(frames[1:]) if len(frames) > 1 else "other"
    colour = colours.variables(colours.stand_in("muted") if of == "other" else colours.of(of))
    told = f"{frames[-1]}: {samples} samples, {samples / total:.1%}"
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
