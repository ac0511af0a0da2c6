"""The yardstick of a machine and an hour: what one operation costs in the core, right now.

Figures of different hours compare as multiples of it, for what makes a machine slower makes both slower.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Collection

from ron_kms import _core
from ron_kms.crypto.suites import find

BATCH = 64
LAPS = 15


def signature_us(cores: Collection[int] = ()) -> float:
    """Microseconds of processor time of an Ed25519 signature, as :func:`operation_us` takes them; 20 ms or so."""
    return operation_us("sign", "ed25519", cores)


def operation_us(operation: str, suite: str, cores: Collection[int] = ()) -> float:
    """Microseconds of processor time, median of some batches of 64.

    :param operation: ``sign``, ``verify`` or ``wrap`` (32 bytes).
    :param cores: where it is taken: those of the service, while that rests. The calling thread goes back afterwards.
    """
    before = os.sched_getaffinity(0)
    if cores:
        os.sched_setaffinity(0, cores)
    try:
        call = _call(operation, suite)
        return statistics.median(_lap(call) for _ in range(LAPS))
    finally:
        os.sched_setaffinity(0, before)


def _call(operation: str, suite: str) -> Callable[[], object]:
    """A batch of it, ready to be done."""
    [slot] = _core.generate(find("wrap" if operation == "wrap" else "sign", suite).scheme)
    messages = [bytes((number,)) * 64 for number in range(BATCH)]
    if operation == "sign":
        return lambda: _core.sign([slot] * BATCH, messages)
    publics = [_core.PublicKey(slot.scheme, slot.public_keys)] * BATCH
    if operation == "wrap":
        plaintexts = [message[:32] for message in messages]
        return lambda: _core.hpke_seal(publics, [b""] * BATCH, plaintexts)
    signed = [one for one in _core.sign([slot] * BATCH, messages) if isinstance(one, tuple)]
    return lambda: _core.verify(publics, messages, signed)


def _lap(call: Callable[[], object]) -> float:
    began = time.thread_time_ns()
    call()
    return (time.thread_time_ns() - began) / 1000 / BATCH
