"""The first screen: how many targets are met, by which figures."""

from __future__ import annotations

from collections.abc import Sequence

from perf.record import Record
from perf.report.markup import Html, join, table, tag
from perf.report.page import commit, minute
from perf.report.targets import Result, Verdict, judge
from perf.report.words import outcome


def summary(records: Sequence[Record]) -> Html:
    """Tiles, the table of what was measured, and what was not."""
    verdicts = judge(records)
    known = [one for one in verdicts if one.results]
    missing = ", ".join(one.name for one in verdicts if not one.results)
    left = tag("p", f"Not measured in these records: {missing}.", class_="note") if missing else Html()
    return join(_tiles(known, len(verdicts) - len(known)), _table(known) if known else Html(), left)


def _tiles(known: Sequence[Verdict], left: int) -> Html:
    results = [result for one in known for result in one.results]
    met = sum(result.met for result in results)
    more = f"{left} not measured" if left else "every target was measured"
    tiles = [_tile("Targets met, by server", _figure(f"{met} of {len(results)}"), more)]
    tiles += [_tile(one.tile, join(*map(_reached, one.results)), _wanted(one.results)) for one in known if one.tile]
    return tag("div", *tiles, class_="tiles")


def _tile(label: str, figures: Html, more: str) -> Html:
    return tag("div", tag("div", label, class_="label"), figures, tag("div", more, class_="more"), class_="tile")


def _figure(measured: str, *rest: object) -> Html:
    value, _, unit = measured.partition(" ")
    return tag("div", value, " ", tag("small", unit, *rest), class_="value")


def _reached(result: Result) -> Html:
    mark = tag("span", " ✓" if result.met else " ✗", class_="met" if result.met else "missed")
    return _figure(result.measured, f" {result.server}", mark)


def _wanted(results: Sequence[Result]) -> str:
    return "wanted " + ", ".join(dict.fromkeys(result.wanted for result in results))


def _table(known: Sequence[Verdict]) -> Html:
    """A row a target and server; a target is named once."""
    rows: list[list[object]] = []
    for one in known:
        for number, result in enumerate(one.results):
            first = number == 0
            rows.append(
                [
                    one.name if first else "",
                    result.server,
                    result.wanted,
                    result.measured,
                    outcome(result.met),
                    _where(result),
                ]
            )
    head = ["Target", "Server", "Wanted", "Measured", "Outcome", "From"]
    return table(head, rows, figures=(2, 3), name="targets")


def _where(result: Result) -> Html:
    record = result.record
    told = f"{commit(record)}, {minute(record.at)}"
    return tag("span", f"{record.suite} {record.name}", class_="quiet", title=told)
