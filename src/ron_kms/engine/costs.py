"""What each suite costs on this machine, measured when the process starts."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from ron_kms import _core
from ron_kms.crypto.suites import SUITES, Suite

T = TypeVar("T")

_FEW, _MANY = 5, 11
_MESSAGE = b"ron-kms, 32 bytes like a digest."
_LONG = _MESSAGE * 512


class Cost(NamedTuple):
    """Microseconds of one core for one operation on a few bytes, and for each byte of what it hashes or encrypts.

    :ivar private: sign, unwrap, open.
    :ivar public: verify, wrap, seal.
    """

    generate: float
    private: float
    public: float
    private_byte: float = 0.0
    public_byte: float = 0.0


def measure() -> dict[str, Cost]:
    """The cost of every suite that this machine can compute, by name; takes some forty milliseconds."""
    return {suite.name: _measure(suite) for suite in SUITES.values() if suite.available}


def _measure(suite: Suite) -> Cost:
    generate, slots = _timed(lambda: _core.generate(suite.scheme))
    short = _on(suite, slots[0], _MESSAGE)
    long = _on(suite, slots[0], _LONG)
    slots[0].release()
    more = len(_LONG) - len(_MESSAGE)
    each = (max(0.0, (late - early) / more) for early, late in zip(short, long, strict=True))
    return Cost(generate, *short, *each)


def _on(suite: Suite, slot: _core.KeySlot, message: bytes) -> tuple[float, float]:
    """What the private and the public operation of a suite take on a message."""
    if suite.use == "sign":
        private, [signatures] = _timed(lambda: _core.sign([slot], [message]), varies=suite.post_quantum)
        if isinstance(signatures, Exception):
            raise signatures
        key = _core.PublicKey(suite.scheme, slot.public_keys)
        public, _ = _timed(lambda: _core.verify([key], [message], [signatures]))
    elif suite.use == "wrap":
        key = _core.PublicKey(suite.scheme, slot.public_keys)
        public, wrapped = _timed(lambda: _core.hpke_seal([key], [b""], [message]))
        private, _ = _timed(lambda: _core.hpke_open([slot], [b""], _whole(wrapped)))
    else:
        public, sealed = _timed(lambda: _core.aead_seal([slot], [b""], [message]))
        private, _ = _timed(lambda: _core.aead_open([slot], [b""], _whole(sealed)))
    return private, public


def _timed(work: Callable[[], T], *, varies: bool = False) -> tuple[float, T]:
    """Microseconds of this thread's processor time, and the last result.

    What disturbs a busy machine for a moment must not be believed for as long as the process lives, so the least of a
    few runs counts; for ML-DSA, whose signing time varies by chance, the median of more.
    """
    spans = []
    for _ in range(_MANY if varies else _FEW):
        start = time.thread_time()
        result = work()
        spans.append((time.thread_time() - start) * 1e6)
    return statistics.median(spans) if varies else min(spans), result


def _whole(results: list[bytes | Exception]) -> list[bytes]:
    return [result for result in results if isinstance(result, bytes)]
