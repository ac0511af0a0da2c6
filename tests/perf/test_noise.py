"""Recorded noise passes every time, regressions injected into it fail every time.

``data/quiet`` and ``data/quiet-later`` have records of one commit beside itself, in turns, on two cores of an AMD EPYC
where nothing else ran; ``data/loud`` the same while eight other processes wanted them. Runs that might as well have
been are made of them: of rounds in turns either may be the baseline's, those of other hours are drawn anew, the same
rounds of every measure.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

if not (Path(__file__).parents[2] / "perf" / "drift").is_dir():
    pytest.skip("the gates are not beside the tests", allow_module_level=True)

from perf.ab.sides import LOOK_EVERY
from perf.drift import files
from perf.drift.command import CANNOT, DRIFTED, PASSED, check
from perf.drift.gates import GATES, Gate
from perf.drift.judge import Finding, judge
from perf.record import Record, load
from tests.perf.drifting import DATA, changed, resampled, swapped, worse

TIMES = 100
LEAST = 20
"""Rounds, by default."""
TODAY = dt.date(2026, 11, 23)
SCENARIOS = ("sign", "verify", "sign-ml-dsa", "isolation")
POINTS = 0.05

WHERE = {
    "p95-sign-ed25519": ("sign", "p95", "sign ed25519"),
    "p95-sign-ml-dsa": ("sign-ml-dsa", "p95", "sign ml-dsa-65"),
    "p95-verify-hit": ("verify", "p95", "verify ed25519"),
    "throughput": ("sign", "cpu", ""),
    "cpu": ("isolation", "cpu", ""),
    "memory": ("verify", "resident", ""),
    "allocations": ("edge", "allocations", "sign ed25519 batch=1, 64 in flight"),
    "errors": ("sign", "errors", ""),
    "shed": ("isolation", "shed", ""),
    "pq-policy": ("sign-ml-dsa", "pq_policy", ""),
    "fairness": ("isolation", "skew", ""),
}
"""Into which records a gate's regression is injected."""


def turns(kind: str, scenario: str) -> list[Record]:
    """A baseline and a result whose rounds were taken in turns."""
    return [load(DATA / kind / f"{scenario}-{role}.json") for role in ("baseline", "result")]


def hours(scenario: str) -> list[Record]:
    """A baseline and a result of another hour."""
    [baseline, _], [_, result] = turns("quiet", scenario), turns("quiet-later", scenario)
    return [baseline, result]


def known_hours(scenario: str) -> list[Record]:
    """Baselines of two hours, and a result: what a process costs depends on where its memory lies, and one cell of the
    edge differs by a third between these."""
    [first, _], [second, result] = turns("quiet", scenario), turns("quiet-later", scenario)
    return [first, second, result]


Again = Callable[[Sequence[Record], random.Random], list[Record]]


def runs(records: list[Record], again: Again) -> Iterator[list[Record]]:
    source = random.Random(11)
    for _ in range(TIMES):
        yield again(records, source)


def code(records: list[Record]) -> int:
    return check(records, [], TODAY).code


def looks(records: list[Record]) -> Iterator[list[Record]]:
    """What ``perf.ab`` looks at: so many rounds and then more of them, until they can be judged."""
    count = max(len(measure.rounds) for measure in records[0].measures)
    for rounds in range(LEAST, count + 1, LOOK_EVERY):
        yield [changed(one, lambda measure, most=rounds: measure.rounds[:most]) for one in records]


def judged(records: list[Record]) -> int:
    return next((found for look in looks(records) if (found := code(look)) != CANNOT), CANNOT)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_quiet_noise_in_turns_passes(scenario: str) -> None:
    assert [judged(records) for records in runs(turns("quiet", scenario), swapped)] == [PASSED] * TIMES


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_quiet_noise_of_other_hours_passes(scenario: str) -> None:
    assert [code(records) for records in runs(hours(scenario), resampled)] == [PASSED] * TIMES


def test_quiet_noise_of_hours_that_are_known_passes() -> None:
    assert [code(records) for records in runs(known_hours("edge"), resampled)] == [PASSED] * TIMES


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_loud_noise_is_never_taken_for_drift(scenario: str) -> None:
    """It may be too noisy to judge, which is said."""
    assert DRIFTED not in {judged(records) for records in runs(turns("loud", scenario), swapped)}


def _findings(records: list[Record], gate: Gate) -> list[Finding]:
    _, kind, of = WHERE[gate.name]
    return [one for one in judge(files.pair(records).pairs, [gate]) if (one.kind, one.of) == (kind, of)]


def _regressed(records: list[Record], gate: Gate, limit: float) -> list[Record]:
    """What the gate allows and 5 points."""
    baseline, result = records
    _, kind, of = WHERE[gate.name]
    if gate.name == "throughput":
        return [baseline, worse(result, kind, 1 / (1 / (1 + limit) - POINTS), of=of)]
    if gate.against == "baseline":
        return [baseline, worse(result, kind, 1 + limit + POINTS, of=of)]
    if gate.name == "fairness":
        [finding] = _findings(records, gate)
        return [baseline, worse(result, kind, (gate.limit + POINTS) / finding.change.value, of=of)]
    return [baseline, worse(result, kind, 1.0, gate.limit + POINTS, of=of)]


@pytest.mark.parametrize("gate", GATES, ids=[gate.name for gate in GATES])
def test_a_regression_in_turns_fails(gate: Gate) -> None:
    scenario = WHERE[gate.name][0]
    for records in runs(turns("quiet", scenario), swapped):
        outcomes = (_findings(look, gate)[0].outcome for look in looks(_regressed(records, gate, gate.limit)))
        assert next(outcome for outcome in outcomes if outcome != "noisy") == "drift"


@pytest.mark.parametrize("gate", GATES, ids=[gate.name for gate in GATES])
def test_a_regression_fails_after_hours(gate: Gate) -> None:
    """5 points more than what the gate says that it sees with so much noise, over what the hours differ by. A latency
    is told to be too noisy to judge."""
    told = "noisy" if gate.name.startswith("p95") else "drift"
    scenario = WHERE[gate.name][0]
    for records in runs(hours(scenario), resampled):
        [before] = _findings(records, gate)
        seen = before.sees if gate.against == "baseline" else gate.limit
        even = 1 / (1 + before.change.value) if gate.against == "baseline" else 1.0
        baseline, result = records
        _, kind, of = WHERE[gate.name]
        [finding] = _findings(_regressed([baseline, worse(result, kind, even, of=of)], gate, seen), gate)
        assert finding.outcome == told


def test_each_gate_has_its_regression() -> None:
    assert set(WHERE) == {gate.name for gate in GATES}
