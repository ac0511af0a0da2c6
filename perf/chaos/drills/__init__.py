"""The drills, one a file, and those that wait for a part that is not there."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from perf.chaos.drill import Drill
from perf.chaos.drills import (
    allocations,
    bad_network,
    bombs,
    burst,
    clock,
    full_disk,
    kill,
    log_stuck,
    memory,
    rotate_flood,
    slow_disk,
    slow_loris,
    stopped,
    store_gone,
)

_FILES = (
    slow_loris,
    bombs,
    burst,
    rotate_flood,
    memory,
    allocations,
    kill,
    log_stuck,
    stopped,
    full_disk,
    slow_disk,
    store_gone,
    clock,
    bad_network,
)

DRILLS: Mapping[str, Drill] = MappingProxyType({one.DRILL.name: one.DRILL for one in _FILES})

NOT_YET: Mapping[str, str] = MappingProxyType(
    {
        "hsm-latency": "latency of an HSM's answers: the hsm backend is not there yet",
        "hsm-flap": "sessions with an HSM that break and come back: the hsm backend is not there yet",
    }
)
