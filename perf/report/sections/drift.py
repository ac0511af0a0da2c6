"""What has become worse, or better, than the baselines."""

from __future__ import annotations

from collections.abc import Sequence

from perf.drift.files import CannotJudge, pair
from perf.drift.judge import Finding, judge
from perf.record import Record
from perf.report import naming
from perf.report.drawing import plain
from perf.report.markup import Html, table, tag
from perf.report.page import Section, commit
from perf.report.words import outcome

_WORDS = {"ok": (True, "held"), "drift": (False, "drifted"), "noisy": (None, "too noisy"), "new": (None, "no baseline")}
_ORDER = ("drift", "noisy", "ok")
_MISSING = "Drift: no baselines of this machine were given; python -m perf.report --baselines FOLDER."


def section(records: Sequence[Record], baselines: Sequence[Record]) -> Section:
    """A line for each measure that a gate has judged, those first that drifted."""
    title = "Drift: beside the baselines"
    judged = [one for one in records if one.suite != "chaos" and all(measure.rounds for measure in one.measures)]
    try:
        found = judge(pair([*judged, *baselines]).pairs)
    except CannotJudge as reason:
        return Section("drift", title, [], f"{_MISSING} ({reason})" if baselines else _MISSING)
    said = sorted((one for one in found if one.outcome != "new"), key=lambda one: _ORDER.index(one.outcome))
    count = {word: sum(one.outcome == word for one in said) for word in _ORDER}
    of = ", ".join(dict.fromkeys(commit(one) for one in baselines))
    note = (
        f"{count['drift']} drifted, {count['noisy']} too noisy to judge, {count['ok']} held, beside the baselines of "
        f"{of}. In brackets where the change lies with 95 % confidence."
    )
    head = ["Measure", "Outcome", "Change", "Allowed", "Gate", "Run"]
    rows = [_row(one) for one in said]
    shown = sum(count[word] for word in ("drift", "noisy"))
    blocks = [tag("p", note, class_="note")]
    if shown:
        blocks.append(table(head, rows[:shown], figures=(2, 3)))
    blocks.append(tag("details", tag("summary", f"{count['ok']} that held"), table(head, rows[shown:], figures=(2, 3))))
    return Section("drift", title, blocks if said else [], _MISSING)


def _row(one: Finding) -> list[object]:
    met, word = _WORDS[one.outcome]
    run = " ".join(part for part in (one.record.suite, one.record.name, naming.server(one.record)) if part)
    return [
        f"{one.kind} {one.of}".strip(),
        outcome(met, word, word) if met is not None else Html(f'<span class="open">{word}</span>'),
        _change(one),
        _value(one, one.gate.limit),
        one.gate.name,
        tag("span", run, class_="quiet"),
    ]


def _change(one: Finding) -> str:
    low, value, high = (_value(one, part) for part in one.change)
    return value if low == high else f"{value} ({low} to {high})"


def _value(one: Finding, value: float) -> str:
    return f"{value:+.1%}" if one.gate.against == "baseline" else plain(value)
