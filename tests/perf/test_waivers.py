"""A waiver lets one drift through, up to a limit, until a day."""

from __future__ import annotations

import datetime as dt
import random
from pathlib import Path

import pytest

if not (Path(__file__).parents[2] / "perf" / "drift").is_dir():
    pytest.skip("the gates are not beside the tests", allow_module_level=True)

from perf.drift import waivers
from perf.drift.command import Verdict, check
from perf.drift.files import CannotJudge
from perf.record import Measure
from tests.perf.drifting import noisy, record, worse

TODAY = dt.date(2026, 11, 23)
GOOD = """
gate = "memory"
suite = "load"
name = "steady"
up_to = 0.30
reason = "A table is kept twice until the old one goes."
link = "https://example.org/1"
expires = 2026-12-31
"""
MEASURES = [
    Measure("resident", "", (80.0,) * 12),
    Measure("cpu", "", noisy(100, 0.01, random.Random(1))),
]
BASELINE = record("baseline", MEASURES, server="granian")
RESULT = record("result", MEASURES, server="granian")


def _check(folder: Path, text: str, memory: float, today: dt.date = TODAY) -> Verdict:
    (folder / "table.toml").write_text(text)
    return check([BASELINE, worse(RESULT, "resident", memory)], waivers.read(folder), today)


def test_it_lets_through(tmp_path: Path) -> None:
    verdict = _check(tmp_path, GOOD, 1.25)
    assert verdict.code == 0
    assert any("waived  memory" in line for line in verdict.lines)


def test_not_more_than_it_says(tmp_path: Path) -> None:
    assert _check(tmp_path, GOOD, 1.35).code == 1


def test_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "table.toml").write_text(GOOD)
    slower = worse(worse(RESULT, "resident", 1.25), "cpu", 1.5)
    assert check([BASELINE, slower], waivers.read(tmp_path), TODAY).code == 1


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ('setting = { server = "granian" }', 0),
        ('setting = { server = "hypercorn" }', 1),
        ('of = ""', 0),
        ('of = "sign ed25519"', 1),
    ],
)
def test_it_may_be_narrower(tmp_path: Path, more: str, code: int) -> None:
    assert _check(tmp_path, GOOD + more, 1.25).code == code


def test_it_expires(tmp_path: Path) -> None:
    """Whatever the figures."""
    verdict = _check(tmp_path, GOOD, 1.0, dt.date(2027, 1, 1))
    assert verdict.code == 1
    assert "waiver table.toml has expired: 2026-12-31" in verdict.lines
    assert _check(tmp_path, GOOD, 1.25, dt.date(2026, 12, 31)).code == 0


def test_it_is_for_a_while(tmp_path: Path) -> None:
    with pytest.raises(CannotJudge, match="more than 90 days"):
        _check(tmp_path, GOOD, 1.25, dt.date(2026, 1, 1))


def test_one_that_is_not_needed_is_named(tmp_path: Path) -> None:
    verdict = _check(tmp_path, GOOD, 1.0)
    assert verdict.code == 0
    assert "waiver table.toml was not needed: remove it" in verdict.lines


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('gate = "memory"', "", "gate"),
        ('gate = "memory"', 'gate = "speed"', "no gate speed"),
        ("up_to = 0.30", "up_to = 0.10", "more than the gate's own limit"),
        ("up_to = 0.30", "up_to = inf", "up_to"),
        ("up_to = 0.30", "up_to = nan", "up_to"),
        ("https://example.org/1", "later", "https"),
        ("A table is kept twice until the old one goes.", " ", "no reason"),
        ("2026-12-31", '"soon"', "expires"),
        ("up_to = 0.30", "up_to = 0.30\nforever = true", "forever"),
        ('suite = "load"', "suite = ", "table.toml"),
    ],
)
def test_a_malformed_one_is_refused(tmp_path: Path, old: str, new: str, why: str) -> None:
    assert old in GOOD
    with pytest.raises(CannotJudge, match=why):
        _check(tmp_path, GOOD.replace(old, new), 1.25)


def test_those_of_the_repository_are_well_formed() -> None:
    for kept in waivers.read(waivers.FOLDER):
        assert kept.waiver.reason
