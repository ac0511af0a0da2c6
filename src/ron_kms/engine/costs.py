"""What each suite costs on this machine, measured when the process starts."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from ron_kms import _core
from ron_kms.crypto.suites import SUITES, Suite

_ROUNDS = 3


class Cost(NamedTuple):
    """Microseconds of one core for one operation."""

    generate: float
    sign: float
    verify: float


def measure() -> dict[str, Cost]:
    """The cost of every signing suite, by name; takes some ten milliseconds."""
    return {suite.name: _measure(suite) for suite in SUITES.values() if suite.use == "sign"}


def _measure(suite: Suite) -> Cost:
    message = b"ron-kms"
    slot = _core.generate(suite.scheme)[0]
    public = _core.PublicKey(suite.scheme, slot.public_keys)
    [signatures] = _core.sign([slot], [message])
    if isinstance(signatures, Exception):
        raise signatures
    cost = Cost(
        generate=_micros(lambda: _core.generate(suite.scheme)),
        sign=_micros(lambda: _core.sign([slot], [message])),
        verify=_micros(lambda: _core.verify([public], [message], [signatures])),
    )
    slot.release()
    return cost


def _micros(work: Callable[[], object]) -> float:
    """The median of a few runs: the least would flatter ML-DSA, whose signing time varies by key and message."""
    spans = []
    for _ in range(_ROUNDS):
        start = time.perf_counter()
        work()
        spans.append((time.perf_counter() - start) * 1e6)
    return sorted(spans)[_ROUNDS // 2]
