"""Whether one of two samples tends to be larger: the Mann-Whitney U test, by the normal approximation."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt


def score(first: Sequence[float], second: Sequence[float]) -> float:
    """How many standard deviations the ranks of ``first`` lie above what they would be without any difference.

    Ranks do not mind outliers, of which a busy machine has many. Source: Mann, Whitney 1947, with ties at their mean.
    """
    both = sorted([(value, 0) for value in first] + [(value, 1) for value in second])
    total, at, ties = 0.0, 0, 0.0
    while at < len(both):
        end = at
        while end < len(both) and both[end][0] == both[at][0]:
            end += 1
        mean = (at + 1 + end) / 2
        total += mean * sum(1 for _, which in both[at:end] if which == 0)
        ties += (end - at) ** 3 - (end - at)
        at = end
    m, n = len(first), len(second)
    u = total - m * (m + 1) / 2
    spread = sqrt(m * n / 12 * ((m + n + 1) - ties / ((m + n) * (m + n - 1))))
    return (u - m * n / 2) / spread
