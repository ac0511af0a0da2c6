"""The yardstick of a machine and an hour: what one Ed25519 signature costs in the core, right now.

Figures of different hours compare as multiples of it, for what makes a machine slower makes both slower.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Collection

from ron_kms import _core
from ron_kms.crypto.suites import find

BATCH = 64
LAPS = 15


def signature_us(cores: Collection[int] = ()) -> float:
    """Microseconds of processor time a signature, median of some batches of 64; takes 20 ms or so.

    :param cores: where it is taken: those of the service, while that rests. The calling thread goes back afterwards.
    """
    before = os.sched_getaffinity(0)
    if cores:
        os.sched_setaffinity(0, cores)
    try:
        [slot] = _core.generate(find("sign", "ed25519").scheme)
        slots, messages = [slot] * BATCH, [bytes((number,)) * 64 for number in range(BATCH)]
        return statistics.median(_lap(slots, messages) for _ in range(LAPS))
    finally:
        os.sched_setaffinity(0, before)


def _lap(slots: list[_core.KeySlot], messages: list[bytes]) -> float:
    began = time.thread_time_ns()
    _core.sign(slots, messages)
    return (time.thread_time_ns() - began) / 1000 / len(slots)
