"""The command: files in, a table and an exit code out."""

from __future__ import annotations

import argparse
import datetime as dt
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from perf.drift import files, table, waivers
from perf.drift.files import CannotJudge
from perf.drift.judge import Finding, judge
from perf.record import Record

PASSED, DRIFTED, CANNOT = 0, 1, 2


class Verdict(NamedTuple):
    """
    :ivar lines: what to print.
    :ivar code: 0; 1: something drifted, or a waiver has expired; 2: something could not be judged.
    """

    lines: list[str]
    code: int


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="check_drift.py",
        description="Judge results by their baselines. Exit 0: nothing drifted; 1: something did; 2: cannot judge.",
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="baselines and results, or folders of them")
    parser.add_argument("--waivers", type=Path, default=waivers.FOLDER, help="folder of waivers")
    parser.add_argument("--all", action="store_true", help="print what passed, too")
    options = parser.parse_args(arguments)
    try:
        kept = waivers.read(options.waivers)
        verdict = check(files.read(options.files), kept, dt.datetime.now(dt.UTC).date(), everything=options.all)
    except CannotJudge as reason:
        print(f"cannot judge: {reason}", file=sys.stderr)
        return CANNOT
    print("\n".join(verdict.lines))
    return verdict.code


def check(
    records: Sequence[Record], kept: Sequence[waivers.Kept], today: dt.date, *, everything: bool = False
) -> Verdict:
    """Judge records.

    :raises CannotJudge: no result has a baseline, or a waiver is for longer than one may be.
    """
    if long := waivers.too_long(kept, today):
        raise CannotJudge(f"waiver {long[0].file}: it is for more than {waivers.LONGEST.days} days")
    found = files.pair(records)
    judged = judge(found.pairs)
    expired = waivers.expired(kept, today)
    valid = [one for one in kept if one not in expired]
    said = [(_word(finding, valid), finding) for finding in judged]
    count = {word: sum(one == word for one, _ in said) for word in ("drift", "noisy", "waived", "ok", "new")}
    lines = table.rows([one for one in said if everything or one[0] in {"drift", "noisy", "waived"}])
    lines += [
        "",
        *_notes(found, valid, judged),
        *(f"waiver {one.file} has expired: {one.waiver.expires}" for one in expired),
    ]
    lines.append(
        f"{len(found.pairs)} results: {count['drift']} drifted, {count['noisy']} too noisy to judge,"
        f" {count['waived']} waived, {count['ok']} held, {count['new']} without anything to compare"
    )
    code = DRIFTED if count["drift"] or expired else CANNOT if count["noisy"] else PASSED
    return Verdict(lines, code)


def _word(finding: Finding, valid: Sequence[waivers.Kept]) -> str:
    if finding.outcome == "drift" and any(one.waiver.allows(finding) for one in valid):
        return "waived"
    return finding.outcome


def _notes(found: files.Files, valid: Sequence[waivers.Kept], judged: Sequence[Finding]) -> list[str]:
    drifted = [finding for finding in judged if finding.outcome == "drift"]
    apart = {pair.baselines[0].code.commit[:12] for pair in found.pairs if pair.baselines and not pair.in_turns}
    unused = [one.file for one in valid if not any(one.waiver.covers(finding) for finding in drifted)]
    notes = [f"older, not judged: {table.subject(record)} of {record.at}" for record in found.older]
    notes += [f"no baseline: {table.subject(pair.result)}" for pair in found.pairs if not pair.baselines]
    notes += [f"no result for the baseline {table.subject(record)} of {record.at}" for record in found.unused]
    notes += [f"waiver {name} was not needed: remove it" for name in unused]
    unsure = [finding for finding in judged if finding.outcome in {"drift", "noisy"}]
    if apart and any(not finding.how.startswith("in turns") for finding in unsure):
        notes.append(f"to tell drift from the hour, side by side: python -m perf.ab --baseline {sorted(apart)[0]}")
    return notes
