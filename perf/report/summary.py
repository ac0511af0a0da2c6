"""The first screen: how many targets are met, by which figures."""

from __future__ import annotations

from collections.abc import Sequence

from perf.record import Record
from perf.report.markup import Html, join, table, tag
from perf.report.page import commit, minute
from perf.report.targets import Verdict, judge
from perf.report.words import outcome


def summary(records: Sequence[Record]) -> Html:
    """Tiles, and the table of targets."""
    verdicts = judge(records)
    return join(_tiles(verdicts), _table(verdicts))


def _tiles(verdicts: Sequence[Verdict]) -> Html:
    known = [one for one in verdicts if one.met is not None]
    met = sum(bool(one.met) for one in known)
    left = len(verdicts) - len(known)
    more = f"{left} more not measured" if left else "every target was measured"
    tiles = [_tile("Targets met", f"{met} of {len(known)}", more)]
    tiles += [
        _tile(one.tile, one.measured, join(outcome(one.met), f" · wanted {one.wanted}")) for one in known if one.tile
    ]
    return tag("div", *tiles, class_="tiles")


def _tile(label: str, measured: str, more: object) -> Html:
    value, _, unit = measured.partition(" ")
    return tag(
        "div",
        tag("div", label, class_="label"),
        tag("div", value, " ", tag("small", unit), class_="value"),
        tag("div", more, class_="more"),
        class_="tile",
    )


def _table(verdicts: Sequence[Verdict]) -> Html:
    rows: list[list[object]] = [
        [one.name, one.wanted, one.measured, outcome(one.met), _where(one.record)] for one in verdicts
    ]
    return table(["Target", "Wanted", "Measured", "Outcome", "From"], rows, figures=(1, 2), name="targets")


def _where(record: Record | None) -> Html:
    if record is None:
        return Html()
    server = str(record.setting.get("server") or "")
    told = " ".join(part for part in (record.suite, record.name, server) if part)
    return tag("span", f"{told} · {commit(record)}", class_="quiet", title=minute(record.at))
