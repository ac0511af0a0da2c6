"""Everything that the page was made of."""

from __future__ import annotations

from collections.abc import Sequence

from perf.detail import command
from perf.record import Record
from perf.report import naming
from perf.report.drawing import plain
from perf.report.markup import table, tag
from perf.report.page import Section, commit, minute


def section(records: Sequence[Record]) -> Section:
    """One line a record."""
    rows = [
        [
            " ".join(part for part in (one.suite, one.name, naming.server(one)) if part),
            tag("span", naming.settings(one), class_="quiet"),
            plain(one.seconds),
            minute(one.at),
            tag("code", commit(one)),
            tag("code", command(one)),
        ]
        for one in records
    ]
    head = ["Run", "Settings", "Seconds", "Began, UTC", "Commit", "Again with"]
    return Section("records", "The records", [table(head, rows, figures=(2,))] if rows else [], "There are no records.")
