"""HTML from parts: a text is escaped, what :func:`tag` has made is not."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

VOID = frozenset({"br", "col", "meta"})


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def text(part: object) -> Html:
    return part if isinstance(part, Html) else Html(escape(str(part)))


def join(*parts: object) -> Html:
    return Html("".join(map(text, parts)))


def tag(name: str, /, *parts: object, **attributes: str | None) -> Html:
    """An element. ``class_`` stands for ``class``, other underscores for hyphens; None leaves an attribute out."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Html(f"<{name}{written}>" if name in VOID else f"<{name}{written}>{join(*parts)}</{name}>")


def table(
    head: Sequence[str], rows: Sequence[Sequence[object]], *, figures: Sequence[int] = (), name: str | None = None
) -> Html:
    """A table that scrolls by itself where it is wider than the page.

    :param figures: columns that hold numbers.
    :param name: a class for it.
    """

    def row(cells: Sequence[object], name: str) -> Html:
        return tag("tr", *(tag(name, one, class_="figure" if at in figures else None) for at, one in enumerate(cells)))

    body = [row(cells, "td") for cells in rows]
    return tag("div", tag("table", tag("thead", row(head, "th")), tag("tbody", *body), class_=name), class_="wide")
