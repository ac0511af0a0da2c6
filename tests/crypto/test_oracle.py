"""Cross-checks with pyca/cryptography, both ways, every suite and each half of a hybrid."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ron_kms import SigningKey, VerifyKey, verify_batch
from ron_kms.crypto.framing import digest_message
from ron_kms.crypto.signing import judge_batch
from ron_kms.crypto.suites import SUITES
from tests.counts import count
from tests.crypto import peer
from tests.crypto.samples import HYBRIDS, NAMES, flipped, key

MESSAGES = st.binary(max_size=300) | st.sampled_from((b"", bytes(4096), bytes(64 * 1024)))


@cache
def theirs(suite: str) -> tuple[dict[str, Any], VerifyKey]:
    """Private keys of pyca/cryptography, one a track, and our verify key of their public halves."""
    private = {track: peer.generate(track) for track in SUITES[suite].track_names}
    return private, VerifyKey.from_bytes({track: peer.public_bytes(half) for track, half in private.items()})


def signed_by_them(suite: str, message: bytes) -> list[tuple[str, bytes]]:
    private, _ = theirs(suite)
    return [(track, half.sign(message)) for track, half in private.items()]


@pytest.mark.parametrize("suite", NAMES)
@settings(max_examples=count(15, 500))
@given(message=MESSAGES)
def test_they_verify_what_we_sign(suite: str, message: bytes) -> None:
    ours = key(suite)
    public = ours.verify_key.public
    sigs = ours.sign(message)
    assert tuple(sig.alg for sig in sigs) == SUITES[suite].track_names == tuple(public)
    for alg, signature in sigs:
        assert peer.accepts(alg, public[alg], message, signature)
        assert not peer.accepts(alg, public[alg], message + b"\0", signature)


@pytest.mark.parametrize("suite", NAMES)
@settings(max_examples=count(15, 500))
@given(message=MESSAGES)
def test_we_verify_what_they_sign(suite: str, message: bytes) -> None:
    _, ours = theirs(suite)
    sigs = signed_by_them(suite, message)
    assert ours.is_valid(message, sigs)
    assert ours.is_valid(message, sigs[::-1])
    assert not ours.is_valid(message + b"\0", sigs)


@pytest.mark.parametrize("suite", NAMES)
def test_keys_made_anew_agree(suite: str) -> None:
    for number in range(count(5, 100)):
        message = b"message %d" % number
        ours = SigningKey.generate(suite)
        for alg, signature in ours.sign(message):
            assert peer.accepts(alg, ours.verify_key.public[alg], message, signature)
        theirs.cache_clear()
        _, verify_key = theirs(suite)
        verify_key.verify(message, signed_by_them(suite, message))


@settings(max_examples=count(60, 3000))
@given(st.data())
def test_both_refuse_the_same(data: st.DataObject) -> None:
    """A signature changed anywhere: whatever the other says of a track, we say too."""
    suite = data.draw(st.sampled_from(NAMES))
    _, ours = theirs(suite)
    message = data.draw(st.binary(max_size=50))
    sigs = dict(signed_by_them(suite, message))
    track = data.draw(st.sampled_from(sorted(sigs)))
    if data.draw(st.booleans()):
        sigs[track] = flipped(sigs[track], data.draw(st.integers(0, 8 * len(sigs[track]) - 1)))
    if data.draw(st.booleans()):
        message += b"x"
    [verdict] = judge_batch([(ours, message, list(sigs.items()))])
    for alg, signature in sigs.items():
        assert (alg in verdict.valid) == peer.accepts(alg, ours.public[alg], message, signature)


@pytest.mark.parametrize("suite", NAMES)
def test_what_is_signed_for_a_digest_can_be_checked_offline(suite: str) -> None:
    """The bytes that the wire's documents promise, written out here once more."""
    digest = bytes(range(32))
    ours = key(suite)
    promised = b"ron-kms-b3-v1" + b"\0" + suite.encode() + b"\0" + digest
    for alg, signature in ours.sign(digest_message(suite, digest)):
        assert peer.accepts(alg, ours.verify_key.public[alg], promised, signature)


@pytest.mark.parametrize("suite", HYBRIDS)
def test_half_of_a_hybrid_is_no_plain_signature(suite: str) -> None:
    digest = bytes(32)
    ours = key(suite)
    public = ours.verify_key.public
    for alg, signature in ours.sign(digest_message(suite, digest)):
        plain = VerifyKey.from_bytes({alg: public[alg]})
        assert plain.is_valid(digest_message(suite, digest), [(alg, signature)])
        assert not plain.is_valid(digest_message(alg, digest), [(alg, signature)])


ORDER = 2**252 + 27742317777372353535851937790883648493
"""Of Ed25519's group (RFC 8032)."""


def small_order_keys() -> Iterator[bytes]:
    """Encodings of points that say nothing of who signed: a fixed signature would pass for them."""
    prime = 2**255 - 19
    yield from ((y).to_bytes(32, "little") for y in (0, 1, prime - 1, prime, prime + 1))
    yield from ((y | 1 << 255).to_bytes(32, "little") for y in (0, 1, prime - 1))
    eighth = bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")
    yield eighth
    yield bytes((*eighth[:31], eighth[31] | 0x80))


def test_ed25519_keys_of_small_order_prove_nothing() -> None:
    identity = (1).to_bytes(32, "little")
    items = [
        (VerifyKey.from_bytes({"ed25519": public}), b"message", [("ed25519", point + bytes(32))])
        for public in small_order_keys()
        for point in (identity, public)
    ]
    assert not any(verify_batch(items))


def test_ed25519_signatures_have_one_form() -> None:
    """S and S + L would both pass the equation; RFC 8032 wants S below L."""
    ours = key("ed25519")
    [(alg, signature)] = ours.sign(b"message")
    scalar = int.from_bytes(signature[32:], "little")
    assert scalar < ORDER
    for wrong in range(scalar + ORDER, 2**256, ORDER):
        assert not ours.verify_key.is_valid(b"message", [(alg, signature[:32] + wrong.to_bytes(32, "little"))])
