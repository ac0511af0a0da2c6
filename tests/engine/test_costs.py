"""Measured costs: every suite, believable numbers, nothing left behind."""

from __future__ import annotations

import time

from ron_kms.crypto.suites import SUITES
from ron_kms.engine.costs import measure
from tests.memory.mappings import guarded


def test_every_suite_has_its_cost() -> None:
    start = time.perf_counter()
    costs = measure()
    spent = time.perf_counter() - start
    assert set(costs) == {suite.name for suite in SUITES.values() if suite.available}
    for cost in costs.values():
        assert 0.1 < cost.private < 1e6
        assert 0.1 < cost.public < 1e6
        assert cost.generate > 1
    assert spent < 2


def test_a_hybrid_costs_about_its_tracks() -> None:
    costs = measure()
    for name, suite in SUITES.items():
        if suite.use == "sign" and suite.hybrid:
            tracks = [costs[track] for track in name.split("+")]
            # A median of three on a busy machine, of an algorithm whose time varies: only the order of size is certain.
            assert costs[name].public > max(track.public for track in tracks) / 4
            assert costs[name].private < 20 * sum(track.private for track in tracks)


def test_no_key_is_left() -> None:
    before = {mapping.start for mapping in guarded()}
    measure()
    assert {mapping.start for mapping in guarded()} <= before
