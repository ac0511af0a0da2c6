"""Published vectors: what others signed verifies, and the published secrets sign here as they did there."""

from __future__ import annotations

import pytest

from ron_kms._core import KeySlot, PublicKey, SignatureScheme, sign, verify
from ron_kms.crypto.selftest import known_answers
from tests.core import independent
from tests.core.keys import secret
from tests.crypto import peer, vectors
from tests.crypto.samples import SIGNING, flipped
from tests.crypto.vectors import Vector

WRAPPING = bytes(range(32))
LEVELS = ["44", "65", "87"]


def scheme(track: str, vector: Vector) -> SignatureScheme:
    return SignatureScheme((track,), vector.context)


def public(track: str, vector: Vector) -> PublicKey:
    return PublicKey(scheme(track, vector), [vector.public])


def slot(track: str, vector: Vector) -> KeySlot:
    """A slot with the published secret, brought in the one way there is: sealed with a key that the test knows."""
    blob = independent.seal(WRAPPING, bytes(24), vector.secret, b"")
    return secret(WRAPPING).open_slot(scheme(track, vector), [vector.public], blob, b"")


def check(track: str, cases: tuple[Vector, ...]) -> None:
    keys = [public(track, case) for case in cases]
    messages = [case.message for case in cases]
    signatures = [(case.signature,) for case in cases]
    assert verify(keys, messages, signatures) == [1] * len(cases)
    assert not any(verify(keys, [message + b"\0" for message in messages], signatures))
    for bit in (0, 8 * len(cases[0].signature) - 1):
        assert not any(verify(keys, messages, [(flipped(case.signature, bit),) for case in cases]))
    assert not any(verify(keys[1:] + keys[:1], messages, signatures))


def test_ed25519() -> None:
    cases = vectors.ed25519()
    assert len(cases) == 1024
    check("Ed25519", cases)


def test_ed25519_signatures_are_the_published_ones() -> None:
    cases = vectors.ed25519()
    results = sign([slot("Ed25519", case) for case in cases], [case.message for case in cases])
    assert results == [(case.signature,) for case in cases]


@pytest.mark.parametrize("level", LEVELS)
def test_ml_dsa(level: str) -> None:
    cases = vectors.ml_dsa(level)
    assert len(cases) == 100
    assert all(case.context for case in cases)
    check(f"ML-DSA-{level}", cases)


@pytest.mark.parametrize("level", LEVELS)
def test_ml_dsa_binds_the_context(level: str) -> None:
    cases = vectors.ml_dsa(level)[:20]
    empty = SignatureScheme((f"ML-DSA-{level}",))
    keys = [PublicKey(empty, [case.public]) for case in cases]
    assert not any(verify(keys, [case.message for case in cases], [(case.signature,) for case in cases]))


@pytest.mark.parametrize("level", LEVELS)
def test_published_ml_dsa_secrets_sign_here(level: str) -> None:
    """Hedged, so that the bytes differ each time; the published public key and another implementation take them."""
    cases = vectors.ml_dsa(level)[:20]
    slots = [slot(f"ML-DSA-{level}", case) for case in cases]
    results = sign(slots, [case.message for case in cases])
    for case, result in zip(cases, results, strict=True):
        assert isinstance(result, tuple)
        assert result[0] != case.signature
        assert peer.accepts(f"ml-dsa-{level}", case.public, case.message, result[0], case.context)
    again = sign(slots, [case.message for case in cases])
    assert all(first != second for first, second in zip(results, again, strict=True))


def test_every_track_of_liboqs_has_a_known_answer_of_the_published_keys() -> None:
    answers = known_answers().sign
    tracks = {track for suite in SIGNING for track in suite.tracks if track.post_quantum}
    assert set(answers) == {track.name for track in tracks}
    for name, answer in answers.items():
        assert answer.public in {case.public for case in vectors.ml_dsa(name.removeprefix("ml-dsa-"))}
        assert peer.accepts(name, answer.public, answer.message, answer.signature)
