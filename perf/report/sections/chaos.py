"""The drills: what was done to a running service, what had to hold, and whether it did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from perf.record import Record
from perf.report import naming
from perf.report.markup import Html, join, table, tag
from perf.report.page import Section, source
from perf.report.words import outcome


def section(records: Sequence[Record]) -> Section:
    """A table of all drills by server, and the statements of each folded away."""
    drills: dict[str, dict[str, Record]] = {}
    for one in records:
        if one.suite == "chaos" and isinstance(one.detail, dict):
            drills.setdefault(one.name, {})[naming.server(one)] = one
    servers = sorted({server for found in drills.values() for server in found})
    rows = [
        [tag("strong", name), _what(found), *(_held(found.get(server)) for server in servers)]
        for name, found in drills.items()
    ]
    chosen = [record for found in drills.values() for record in found.values()]
    blocks: list[Html] = []
    if rows:
        details = tag("details", tag("summary", "What had to hold, drill by drill"), *map(_details, chosen))
        blocks = [table(["Drill", "What is done", *servers], rows), details, source(chosen)]
    return Section("chaos", "Chaos: what holds when things break", blocks, "Chaos drills: python -m perf.chaos.")


def _checks(record: Record) -> list[Mapping[str, Any]]:
    return record.detail.get("checks") or []


def _what(found: Mapping[str, Record]) -> str:
    return next((str(told) for record in found.values() if (told := record.detail.get("what"))), "")


def _held(record: Record | None) -> Html:
    if record is None:
        return outcome(None)
    checks = _checks(record)
    held = sum(bool(one.get("held")) for one in checks)
    told = f"{held} of {len(checks)} held"
    return outcome(held == len(checks) and not record.detail.get("fault"), told, told)


def _details(record: Record) -> Html:
    rows = [
        [one.get("statement", ""), outcome(bool(one.get("held")), "held", "failed"), one.get("seen", "")]
        for one in _checks(record)
    ]
    fault = record.detail.get("fault")
    name = ", ".join(part for part in (record.name, naming.server(record)) if part)
    return join(
        tag("h3", name),
        tag("p", fault, class_="missed") if fault else Html(),
        table(["What must hold", "Outcome", "Seen"], rows),
    )
