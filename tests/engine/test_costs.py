"""Measured costs: every suite, believable numbers, nothing left behind."""

from __future__ import annotations

import time

from ron_kms.crypto.suites import SUITES
from ron_kms.engine.costs import measure
from tests.memory.mappings import guarded


def test_every_signing_suite_has_its_cost() -> None:
    start = time.perf_counter()
    costs = measure()
    spent = time.perf_counter() - start
    assert set(costs) == {suite.name for suite in SUITES.values() if suite.use == "sign"}
    for cost in costs.values():
        assert 1 < cost.sign < 1e6
        assert 1 < cost.verify < 1e6
        assert cost.generate > cost.sign  # it signs once to test the pair
    assert spent < 2


def test_a_hybrid_costs_about_its_tracks() -> None:
    costs = measure()
    for name in SUITES:
        if "+" in name:
            tracks = [costs[track] for track in name.split("+")]
            # A median of three on a busy machine, of an algorithm whose time varies: only the order of size is certain.
            assert costs[name].verify > max(track.verify for track in tracks) / 4
            assert costs[name].sign < 20 * sum(track.sign for track in tracks)


def test_no_key_is_left() -> None:
    before = {mapping.start for mapping in guarded()}
    measure()
    assert {mapping.start for mapping in guarded()} <= before
