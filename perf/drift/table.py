"""What was found, for people."""

from __future__ import annotations

from collections.abc import Sequence

from perf.drift.judge import Finding, unit
from perf.drift.noise import Interval
from perf.record import Record


def subject(record: Record) -> str:
    """``load steady server=granian``."""
    settings = (f"{key}={value}" for key, value in sorted(record.setting.items()) if value not in {None, ""})
    return " ".join([record.suite, record.name, *settings])


def rows(findings: Sequence[tuple[str, Finding]]) -> list[str]:
    """A line for each, under the name of its record.

    :param findings: with the word for each, such as ``drift``.
    """
    lines: list[str] = []
    heading = ""
    for word, finding in findings:
        if (now := subject(finding.record)) != heading:
            heading = now
            lines += ["", heading]
        name = f"{finding.kind} {finding.of}".strip()
        lines.append(
            f"  {word:7} {finding.gate.name:17} {name:34} {_change(finding):>29}"
            f"  allowed {_one(finding, finding.gate.limit):>8}, sees {_one(finding, finding.sees):>8}; {finding.how}"
        )
    return lines


def _change(finding: Finding) -> str:
    if finding.outcome == "new":
        return ""
    low, value, high = (_one(finding, one) for one in finding.change)
    return value if finding.change == Interval(*[finding.change.value] * 3) else f"{value} ({low} to {high})"


def _one(finding: Finding, value: float) -> str:
    if finding.gate.against == "baseline":
        return f"{value:+.1%}"
    if finding.kind in {"errors", "shed"}:
        return f"{value:.2%}"
    return f"{value:.3g}{unit(finding)}"
