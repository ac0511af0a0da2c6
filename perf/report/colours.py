"""One colour for one thing, everywhere on the page, in light and in dark.

The hues are Okabe and Ito's, which people with any common kind of colour blindness tell apart, a little darker on white
and a little lighter on black so that lines and small text stand out from both. matplotlib draws with stand-ins, which
:mod:`perf.report.drawing` replaces by the page's variables: one drawing serves both themes.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class Colour(NamedTuple):
    """
    :ivar light: on a white page.
    :ivar dark: on a black one.
    """

    light: str
    dark: str


COLOURS: Mapping[str, Colour] = MappingProxyType(
    {
        "paper": Colour("#ffffff", "#14171c"),
        "card": Colour("#f6f7f9", "#1c2027"),
        "ink": Colour("#1b1f24", "#e8eaed"),
        "muted": Colour("#59626d", "#a3adb8"),
        "rule": Colour("#dfe3e8", "#343b45"),
        "blue": Colour("#0067a8", "#56a9e0"),
        "orange": Colour("#c96a00", "#f0a030"),
        "green": Colour("#00805f", "#2fc39a"),
        "red": Colour("#c23b00", "#ff8050"),
        "purple": Colour("#a4558a", "#d98fc2"),
        "sky": Colour("#3c93c2", "#8ccbf0"),
        "yellow": Colour("#97830a", "#e5d548"),
        "grey": Colour("#6f7984", "#9aa5b1"),
    }
)

_STAND_INS = {name: f"#0000{number:02x}" for number, name in enumerate(COLOURS, start=1)}

_OF = {
    "granian": "blue",
    "hypercorn": "orange",
    "core": "green",
    "application": "purple",
    "floor": "grey",
    "cryptography": "green",
    "edge": "purple",
    "audit": "yellow",
    "server": "sky",
    "kernel": "grey",
    "other": "rule",
    "top": "blue",
    "low": "orange",
    "before": "blue",
    "burst": "red",
    "after": "sky",
    "flood": "red",
    "steady": "blue",
}
_REST = ("blue", "orange", "green", "purple", "sky", "red", "yellow", "grey")


def stand_in(name: str) -> str:
    """What matplotlib draws a colour of :data:`COLOURS` with."""
    return _STAND_INS[name]


def of(thing: str, number: int = 0) -> str:
    """The stand-in of a server, a tenant or a part; others take the palette in turn, by ``number``."""
    return _STAND_INS[_OF.get(thing.lower(), _REST[number % len(_REST)])]


def variables(svg: str) -> str:
    """A drawing with its stand-ins replaced by the page's variables."""
    for name, value in _STAND_INS.items():
        svg = svg.replace(value, f"var(--{name})")
    return svg


def style() -> str:
    """The variables' definitions."""
    light, dark = (
        "".join(f"--{name}:{getattr(colour, theme)};" for name, colour in COLOURS.items()) for theme in Colour._fields
    )
    return f":root{{{light}}}@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}"
