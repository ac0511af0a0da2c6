"""Percentiles from the histogram, as Prometheus reads them, are near the true ones."""

from __future__ import annotations

import math
import random
from bisect import bisect_left

import pytest

from ron_kms.metrics import LATENCY_BUCKETS, Metrics

GOALS = (0.001, 0.0035, 0.005, 0.006, 0.01)


def _quantile(cumulative: list[tuple[float, float]], share: float) -> float:
    """As ``histogram_quantile``: linear between the bounds of the bucket that has it."""
    rank = share * cumulative[-1][1]
    below, before = 0.0, 0.0
    for bound, count in cumulative:
        if count >= rank:
            return below + (bound - below) * (rank - before) / (count - before)
        below, before = bound, count
    raise AssertionError


def test_the_goals_are_bounds() -> None:
    assert set(GOALS) <= set(LATENCY_BUCKETS)
    assert list(LATENCY_BUCKETS) == sorted(set(LATENCY_BUCKETS))


@pytest.mark.parametrize("median_ms", [0.1, 0.2, 0.35, 0.9, 2.8, 4.4, 8.0])
@pytest.mark.parametrize("spread", [0.1, 0.4, 0.9])
def test_percentiles_are_within_a_tenth(median_ms: float, spread: float) -> None:
    chance = random.Random(repr((median_ms, spread)))
    metrics = Metrics()
    seconds = sorted(median_ms * 1e-3 * math.exp(chance.gauss(0, spread)) for _ in range(4000))
    for value in seconds:
        metrics.answered("sign", "ed25519", value)
    cumulative = [
        (float(sample.labels["le"]), sample.value)
        for family in metrics.registry.collect()
        if family.name == "kms_latency_seconds"
        for sample in family.samples
        if sample.name.endswith("_bucket")
    ]
    assert cumulative[-1] == (math.inf, 4000)
    for share in (0.5, 0.95, 0.99):
        true = seconds[math.ceil(share * 4000) - 1]
        if bisect_left(LATENCY_BUCKETS, true) < len(LATENCY_BUCKETS) - 3:
            assert _quantile(cumulative, share) == pytest.approx(true, rel=0.1)
