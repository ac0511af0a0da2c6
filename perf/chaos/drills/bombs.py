"""Requests that cost more than they look."""

from __future__ import annotations

from perf.chaos.attacks import HOLDS, attacked
from perf.chaos.drill import Drill, Trial
from tests.hardening import content, floods

ATTACKS = (
    *(content.bombs, content.large_bodies, content.endless_bodies, content.deep_and_huge, content.heads),
    *(floods.tables, floods.continuations, floods.resets, floods.resets_by_us),
)
LIMITS = {"idle_seconds": "2", "request_seconds": "1", "response_seconds": "1"}


def _run(trial: Trial) -> None:
    attacked(trial, ATTACKS, **LIMITS)


DRILL = Drill(
    "bombs",
    "bodies that unpack to no end, that never end, or are nested deep; header bombs (HPACK, CONTINUATION), rapid reset",
    {"defended": "each of them is refused with 400, 413, 429 or 431, or its connection is closed", **HOLDS},
    _run,
    tells=("served",),
)
