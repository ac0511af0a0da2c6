"""How far two runs are apart, and how far that may be by chance alone.

Bounds are order statistics: they need no law of the noise, and a round that was disturbed does not move them. For ``n``
rounds the k-th least and the k-th greatest hold the median with a probability that follows from the binomial
distribution alone (Conover, Practical Nonparametric Statistics, 3.2).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

CONFIDENCE = 0.98
ENOUGH = 6
"""Rounds below which order statistics cannot hold a median with that confidence."""
TAIL = 0.1
"""Of a baseline's rounds on either side, left out of what counts as its noise."""


class Interval(NamedTuple):
    """A value and the bounds of what it may be in truth."""

    low: float
    value: float
    high: float


def median_of(values: Sequence[float]) -> Interval:
    """The median, within bounds that hold the true one with :data:`CONFIDENCE`; of few rounds the least and greatest.

    >>> median_of([5, 1, 4, 2, 3, 9, 6, 7, 8, 10])
    Interval(low=2, value=5.5, high=9)
    """
    ordered = sorted(values)
    count = len(ordered)
    outside, rank = 0.0, 0
    while rank < count // 2:
        outside += math.comb(count, rank) / 2**count
        if 2 * outside > 1 - CONFIDENCE:
            break
        rank += 1
    at = max(0, rank - 1)
    return Interval(ordered[at], statistics.median(ordered), ordered[count - 1 - at])


def spread_of(values: Sequence[float]) -> Interval:
    """The median, within what single rounds were: what another hour on the same machine may show as its median."""
    ordered = sorted(values)
    out = math.floor(len(ordered) * TAIL)
    return Interval(ordered[out], statistics.median(ordered), ordered[len(ordered) - 1 - out])


def in_turns(baseline: Sequence[float], result: Sequence[float]) -> Interval:
    """How much greater the result is, as a share, of rounds that were taken in turns: what disturbs one disturbs the
    other, and their ratios are compared."""
    ratios = [_ratio(after, before) for before, after in zip(baseline, result, strict=False)]
    low, value, high = median_of(ratios)
    return Interval(low - 1, value - 1, high - 1)


def apart(baseline: Sequence[float], result: Sequence[float]) -> Interval:
    """The same of rounds of other hours: how far those of the baseline are apart says what an hour may change, so that
    less than that is no change for sure."""
    before, after = median_of(baseline), median_of(result)
    low = _ratio(after.low, max(before.high, spread_of(baseline).high))
    return Interval(low - 1, _ratio(after.value, before.value) - 1, _ratio(after.high, before.low) - 1)


def _ratio(above: float, below: float) -> float:
    if below > 0:
        return above / below
    return math.inf if above > 0 else 1.0
