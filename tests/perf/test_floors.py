"""The gate that every change passes: what is half as slow again fails. How fast anything is, no test asks."""

from __future__ import annotations

from pathlib import Path

import pytest

if not (Path(__file__).parents[2] / "perf" / "drift").is_dir():
    pytest.skip("the gates are not beside the tests", allow_module_level=True)

from perf.drift.files import CannotJudge
from perf.drift.floors import ALONE, FLOOR, FULL, SUITES, Check, cost, over, ratio
from perf.edge.cells import CELLS
from perf.record import Measure
from tests.perf.drifting import record

CHECKS = [check for suite in SUITES for check in suite.checks]


def test_figures_are_the_least_of_their_rounds() -> None:
    measures = [
        Measure("floor", "", (14.0, 13.0, 20.0)),
        Measure("cpu", ALONE, (60.0, 53.0, 90.0)),
        Measure("over", ALONE, (45.0, 39.0, 70.0)),
        Measure("cpu", "", (140.0, 130.0, 200.0)),
        Measure("ratio", "sign ed25519 batch=64", (1.0, 1.1, 1.2, 1.0, 1.1, 1.0, 1.1)),
    ]
    made = record("result", measures)
    assert over(ALONE)(made) == pytest.approx((53 - 14) / 13)
    assert cost(made) == 10.0
    assert ratio("sign ed25519 batch=64")(made) == 1.0
    with pytest.raises(CannotJudge, match="no cpu"):
        over(FULL)(made)


@pytest.mark.parametrize("check", CHECKS, ids=[check.name for check in CHECKS])
def test_half_as_slow_again_fails_and_a_quarter_of_noise_passes(check: Check) -> None:
    assert 1.25 * check.usual < check.limit < 1.5 * check.usual


def test_what_it_asks_for_is_measured() -> None:
    assert {ALONE, FULL, FLOOR} <= set(map(str, CELLS))
