"""One bit changed anywhere, in message, signature or public key: that track is not valid, and only that one."""

from __future__ import annotations

import pytest

from ron_kms._core import PublicKey, sign, verify
from ron_kms.crypto.suites import SUITES
from tests.counts import LONG
from tests.crypto.samples import HYBRIDS, NAMES, flipped, pair, whole

PLAIN = [name for name in NAMES if name not in HYBRIDS]
MESSAGE = b"a message of which every bit counts"


def bits(size: int) -> list[int]:
    """Every bit of that many bytes; at quick counts, of the long ones, some from each byte-sized neighbourhood."""
    total = 8 * size
    return list(range(0, total, 1 if LONG or total <= 2048 else 29))


@pytest.mark.parametrize("suite", NAMES)
def test_in_the_message(suite: str) -> None:
    slot, public = pair(suite)
    messages = [flipped(MESSAGE, bit) for bit in bits(len(MESSAGE))]
    [good] = sign([slot], [MESSAGE])
    assert verify([public] * len(messages), messages, [good] * len(messages)) == [0] * len(messages)  # type: ignore[list-item]


@pytest.mark.parametrize("suite", PLAIN)
def test_in_the_signature(suite: str) -> None:
    slot, public = pair(suite)
    [[good]] = sign([slot], [MESSAGE])  # type: ignore[misc]
    wrong = [(flipped(good, bit),) for bit in bits(len(good))]
    assert verify([public] * len(wrong), [MESSAGE] * len(wrong), wrong) == [0] * len(wrong)


@pytest.mark.parametrize("suite", PLAIN)
def test_in_the_public_key(suite: str) -> None:
    slot, public = pair(suite)
    [good] = sign([slot], [MESSAGE])
    [raw] = public.public_keys
    wrong = [PublicKey(slot.scheme, [flipped(raw, bit)]) for bit in bits(len(raw))]
    assert verify(wrong, [MESSAGE] * len(wrong), [good] * len(wrong)) == [0] * len(wrong)  # type: ignore[list-item]


@pytest.mark.parametrize("suite", HYBRIDS)
def test_one_half_of_a_hybrid_does_not_touch_the_other(suite: str) -> None:
    slot, public = pair(suite)
    [good] = sign([slot], [MESSAGE])
    assert isinstance(good, tuple)
    for track in range(2):
        other = whole(SUITES[suite]) ^ 1 << track
        some = bits(len(good[track]))[::13]
        sigs = [tuple(flipped(sig, bit) if t == track else sig for t, sig in enumerate(good)) for bit in some]
        assert verify([public] * len(some), [MESSAGE] * len(some), sigs) == [other] * len(some)
        some = bits(len(public.public_keys[track]))[::13]
        keys = [
            PublicKey(
                slot.scheme, [flipped(raw, bit) if t == track else raw for t, raw in enumerate(public.public_keys)]
            )
            for bit in some
        ]
        assert verify(keys, [MESSAGE] * len(some), [good] * len(some)) == [other] * len(some)
