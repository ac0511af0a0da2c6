"""The drills: what was done to a running service, what had to hold, and whether it did."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from perf.record import Record
from perf.report import naming
from perf.report.markup import Html, table, tag
from perf.report.page import Section, source
from perf.report.words import outcome


def section(records: Sequence[Record]) -> Section:
    """One table of all drills."""
    chosen = [one for one in records if one.suite == "chaos" and isinstance(one.detail, dict)]
    rows = [row for record in chosen for row in _rows(record)]
    blocks = [table(["drill", "what must hold", "outcome", "seen"], rows), source(chosen)] if rows else []
    return Section("chaos", "Chaos: what holds when things break", blocks, "Chaos drills: python -m perf.chaos.")


def _rows(record: Record) -> Iterator[list[object]]:
    name = tag("strong", f"{record.name}, {naming.server(record)}" if naming.server(record) else record.name)
    first: Html | str = name
    for check in record.detail.get("checks", ()):
        held = bool(check.get("held"))
        yield [first, check.get("statement", ""), outcome(held, "held", "failed"), check.get("seen", "")]
        first = ""
