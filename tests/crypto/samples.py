"""Keys that the tests of signing share: making them for each example would be most of the time."""

from __future__ import annotations

from functools import cache

from ron_kms import SigningKey
from ron_kms._core import KeySlot, PublicKey, generate
from ron_kms.crypto.suites import SUITES, Suite

SIGNING = [suite for suite in SUITES.values() if suite.use == "sign"]
NAMES = [suite.name for suite in SIGNING]
HYBRIDS = [suite.name for suite in SIGNING if suite.hybrid]


@cache
def key(suite: str) -> SigningKey:
    return SigningKey.generate(suite)


@cache
def pair(suite: str) -> tuple[KeySlot, PublicKey]:
    """A slot of the core and its public keys."""
    [slot] = generate(SUITES[suite].scheme)
    return slot, PublicKey(slot.scheme, slot.public_keys)


def whole(suite: Suite) -> int:
    """The mask of a signature that is valid on every track."""
    return (1 << len(suite.tracks)) - 1


def flipped(data: bytes, bit: int) -> bytes:
    """``data`` with one bit changed."""
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)
