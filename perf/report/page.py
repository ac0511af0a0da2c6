"""The page: a summary, the sections that have something to show, and one line for each that has not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from perf.detail import command
from perf.record import Record, now
from perf.report import colours
from perf.report.drawing import Panel, plain
from perf.report.markup import Html, join, tag

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""What a browser may do with the page: show it. No script, nothing from elsewhere."""


class Section(NamedTuple):
    """
    :ivar anchor: its name in links.
    :ivar title: what is to be seen, in a few words.
    :ivar blocks: figures, tables, text; none: there was nothing to show.
    :ivar missing: one sentence for that.
    """

    anchor: str
    title: str
    blocks: Sequence[Html]
    missing: str


def figure(panels: Sequence[Panel], sources: Sequence[Record], note: str = "", key: Sequence[str] = ()) -> Html:
    """Drawings side by side, with what their colours mean above and where they come from beneath.

    :param key: servers, tenants or parts, in the colours of :func:`perf.report.colours.of`.
    """
    names = [
        tag("li", tag("i", style=f"background:{colours.variables(colours.of(name, number))}"), name)
        for number, name in enumerate(key)
    ]
    return tag(
        "figure",
        tag("figcaption", note) if note else Html(),
        tag("ul", *names, class_="key") if len(names) > 1 else Html(),
        tag("div", *(one.svg for one in panels), class_="panels" if len(panels) > 1 else "panels one"),
        source(sources),
    )


def source(records: Sequence[Record]) -> Html:
    """Commit, time and command of each record, once."""
    told = dict.fromkeys(_source(record) for record in records)
    return tag("ul", *(tag("li", one) for one in told), class_="source")


def _source(record: Record) -> Html:
    return join(tag("code", command(record)), f" · {commit(record)} · {minute(record.at)}")


def commit(record: Record) -> str:
    return record.code.commit[:12] + (" and changes" if record.code.changed else "")


def minute(at: str) -> str:
    """``2026-11-23 18:15``."""
    return at[:16].replace("T", " ")


def page(records: Sequence[Record], summary: Html, sections: Sequence[Section]) -> str:
    """The whole page.

    :param records: all that it is made of.
    """
    shown = [section for section in sections if section.blocks]
    missing = [tag("li", section.missing) for section in sections if not section.blocks]
    links = [tag("a", section.title, href=f"#{section.anchor}") for section in shown]
    style = colours.style() + (Path(__file__).with_name("page.css")).read_text()
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", "ron-kms: performance"),
        tag("style", Html(style)),
    )
    body = tag(
        "body",
        tag("header", tag("h1", "ron-kms: performance"), _hosts(records), summary, tag("nav", *links)),
        tag(
            "main",
            *(tag("section", tag("h2", one.title), *one.blocks, id=one.anchor) for one in shown),
            tag("section", tag("h2", "Not measured here"), tag("ul", *missing, class_="missing"))
            if missing
            else Html(),
        ),
        tag(
            "footer", f"Made {minute(now())} UTC from {len(records)} records by ", tag("code", "python -m perf.report")
        ),
    )
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _hosts(records: Sequence[Record]) -> Html:
    """On which machines, of which commits, when; all of them, where there is more than one."""
    machines = dict.fromkeys(
        f"{one.host.cpu}, {one.host.cores} cores, {plain(one.host.memory / 2**30)} GiB, Linux {one.host.kernel}"
        for one in records
    )
    commits = dict.fromkeys(f"commit {commit(one)}" for one in records)
    several = len(commits) > 3
    times = sorted(one.at for one in records)
    when = [f"{minute(times[0])} to {times[-1][11:16]} UTC"] if times else []
    python = dict.fromkeys(f"Python {one.code.versions['python']}" for one in records if "python" in one.code.versions)
    loads = sorted(one.host.load for one in records)
    load = [f"load {loads[0]:.1f} to {loads[-1]:.1f}"] if loads else []
    told = [*machines, *([f"{len(commits)} commits, each named below its figures"] if several else commits), *python]
    return tag("ul", *(tag("li", one) for one in [*told, *when, *load]), class_="host")
