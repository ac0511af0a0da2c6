"""Clients that take all the time they get."""

from __future__ import annotations

from perf.chaos.attacks import HOLDS, attacked
from perf.chaos.drill import Drill, Trial
from tests.hardening import slow

ATTACKS = (slow.slow_heads, slow.slow_preface, slow.slow_bodies, slow.slow_bodies_h2, slow.half_closed)
LIMITS = {"idle_seconds": "2", "request_seconds": "1", "response_seconds": "1"}


def _run(trial: Trial) -> None:
    attacked(trial, ATTACKS, **LIMITS)


DRILL = Drill(
    "slow-loris",
    "many connections send heads, prefaces and bodies a byte at a time, or close one side in the middle",
    {"defended": "each of them is answered or cut off within the service's times", **HOLDS},
    _run,
    tells=("served",),
)
