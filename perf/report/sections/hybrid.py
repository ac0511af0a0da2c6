"""What post-quantum and hybrid signatures cost more than classical ones."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from perf.load.commands.deltas import DELTAS, GIVEN_KIB
from perf.record import Record
from perf.report import naming
from perf.report.markup import table, tag
from perf.report.page import Section, source

_NOTE = (
    "Both at the same rate, in turns: the difference of the p95 of each pair of rounds, the median of these. In "
    "brackets the figures of the performance profile, which were guessed for another machine."
)


def section(records: Sequence[Record]) -> Section:
    """A row a delta and server."""
    by_server: dict[str, dict[str, Record]] = {}
    for one in records:
        if one.suite == "load" and one.name.startswith("delta-"):
            by_server.setdefault(naming.server(one), {})[one.name] = one
    rows: list[list[object]] = []
    used: list[Record] = []
    for server, found in sorted(by_server.items()):
        for delta in DELTAS:
            more, less = found.get(delta.hybrid), found.get(delta.classical)
            if more is None or less is None:
                continue
            late, size, work = (_difference(more, less, kind) for kind in ("p95", "payload", "cpu"))
            rows.append(
                [
                    delta.name,
                    server,
                    f"{late:+.2f} ms ({delta.given:+.1f})",
                    f"{size / 1024:+.2f} KiB ({GIVEN_KIB:+.1f})",
                    f"{work:+.0f} µs",
                ]
            )
            used += [more, less]
    head = ["Hybrid over classical", "Server", "p95", "Request and answer", "Processor time"]
    blocks = [tag("p", _NOTE, class_="note"), table(head, rows, figures=(2, 3, 4)), source(used)] if rows else []
    return Section("hybrid", "Hybrid signatures: what they add", blocks, "Hybrid deltas: python -m perf.load deltas.")


def _difference(more: Record, less: Record, kind: str) -> float:
    """Of two measures, round by round; 0 where one has none."""
    one, other = _rounds(more, kind), _rounds(less, kind)
    return statistics.median(a - b for a, b in zip(one, other, strict=False)) if one and other else 0.0


def _rounds(record: Record, kind: str) -> tuple[float, ...]:
    """Of the run, or of the one kind of request that it has."""
    return next((one.rounds for one in record.measures if one.kind == kind), ())
