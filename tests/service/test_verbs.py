"""Every verb through the library, with signatures that an independent implementation verifies."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from blake3 import blake3
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey, MLDSA65PublicKey, MLDSA87PublicKey
from hypothesis import given
from hypothesis import strategies as st

import ron_kms
from ron_kms.crypto.suites import ALIASES, SUITES
from ron_kms.model import Kid
from ron_kms.service.local import LocalKms
from tests.service.place import DIGEST, Place, counting

SIGNING = [suite.name for suite in SUITES.values() if suite.use == "sign"]

INDEPENDENT: dict[str, Any] = {
    "ed25519": Ed25519PublicKey,
    "ml-dsa-44": MLDSA44PublicKey,
    "ml-dsa-65": MLDSA65PublicKey,
    "ml-dsa-87": MLDSA87PublicKey,
}


def check_independently(kms: LocalKms, answer: Any, message: bytes) -> None:
    """Every track's signature, with pyca/cryptography."""
    [version] = kms.get(answer.kid).versions
    assert [sig.alg for sig in answer.sigs] == [key.alg for key in version.public]
    for sig, key in zip(answer.sigs, version.public, strict=True):
        INDEPENDENT[sig.alg].from_public_bytes(key.public_key).verify(sig.signature, message)
        with pytest.raises(InvalidSignature):
            INDEPENDENT[sig.alg].from_public_bytes(key.public_key).verify(sig.signature, message + b"\0")


@pytest.mark.parametrize("suite", SIGNING)
def test_a_digest_is_signed_in_the_documented_frame(shared: LocalKms, suite: str) -> None:
    kid = shared.create(tenant="core", purpose="audit", suite=suite)
    digest = blake3(b"payload").digest()
    answer = shared.sign(kid, digest=digest)
    assert answer.kid == kid
    check_independently(shared, answer, b"ron-kms-b3-v1\0" + suite.encode() + b"\0" + digest)
    verified = shared.verify(answer.kid, answer.sigs, digest=digest)
    assert verified.ok
    assert verified.details.checked == suite.split("+")
    assert verified.details.failed == []


@pytest.mark.parametrize("suite", SIGNING)
def test_a_message_is_signed_as_it_is(shared: LocalKms, suite: str) -> None:
    kid = shared.create(tenant="core", purpose="audit", suite=suite, raw_messages=True)
    for message in (b"", b"message", bytes(64 * 1024)):
        answer = shared.sign(kid, message=message)
        check_independently(shared, answer, message)
        assert shared.verify(answer.kid, answer.sigs, message=message).ok


@pytest.mark.parametrize(("alias", "suite"), [(alias, to) for (use, alias), to in ALIASES.items() if use == "sign"])
def test_aliases_name_a_suite(shared: LocalKms, alias: str, suite: str) -> None:
    kid = shared.create(tenant="core", purpose="audit", suite=alias)
    assert shared.get(kid).versions[0].suite == suite


def test_create_and_get_tell_the_same_key(kms: LocalKms) -> None:
    before = datetime.now(UTC)
    labels = {"team": "releases", "ключ": "значение", "empty": ""}
    kid = kms.create(tenant="core", purpose="audit", suite="ed25519", labels=labels, raw_messages=True)
    parsed = Kid.parse(kid)
    assert (parsed.tenant, parsed.purpose, parsed.version) == ("core", "audit", 1)
    found = kms.get(kid)
    assert kms.get(parsed.key) == found
    assert (found.kid, found.use, found.newest, found.raw_messages) == (parsed.key, "sign", 1, True)
    assert found.labels == labels
    assert before - timedelta(milliseconds=1) < found.created < datetime.now(UTC)
    [version] = found.versions
    assert (version.kid, version.suite, version.state, version.created) == (kid, "ed25519", "enabled", found.created)
    assert [len(key.public_key) for key in version.public] == [32]


def test_sign_takes_the_kid_with_or_without_its_version(shared: LocalKms) -> None:
    kid = shared.create(tenant="core", purpose="audit", suite="ed25519")
    bare = kid.removesuffix("#v1")
    assert shared.sign(bare, digest=DIGEST) == shared.sign(kid, digest=DIGEST)
    assert shared.sign(bare, digest=DIGEST).kid == kid


def test_verify_takes_signatures_as_pairs_in_any_order(shared: LocalKms) -> None:
    kid = shared.create(tenant="core", purpose="audit", suite="hybrid")
    pairs = [(sig.alg, sig.signature) for sig in shared.sign(kid, digest=DIGEST).sigs]
    assert shared.verify(kid, pairs, digest=DIGEST).ok
    assert shared.verify(kid, reversed(pairs), digest=DIGEST).details.satisfied_mode == "and"


def test_verify_says_track_by_track_what_holds(shared: LocalKms) -> None:
    kid = shared.create(tenant="core", purpose="audit", suite="hybrid")
    classical, quantum = ((sig.alg, sig.signature) for sig in shared.sign(kid, digest=DIGEST).sigs)
    other_classical, other_quantum = ((sig.alg, sig.signature) for sig in shared.sign(kid, digest=bytes(32)).sigs)
    unset = ron_kms.service.read.UNSET  # type: ignore[attr-defined]
    tracks = ["ed25519", "ml-dsa-65"]
    cases: list[tuple[list[tuple[str, bytes]], bool, list[str], list[str], object, object]] = [
        ([classical, quantum], True, tracks, [], "and", unset),
        ([quantum], True, ["ml-dsa-65"], [], "pq_only", unset),
        ([classical], True, ["ed25519"], [], "or", unset),
        ([other_classical, quantum], True, tracks, ["ed25519"], "pq_only", unset),
        ([classical, other_quantum], True, tracks, ["ml-dsa-65"], "or", unset),
        ([other_classical, other_quantum], False, tracks, tracks, unset, "bad_signature"),
        ([], False, [], [], unset, "missing_track"),
        # One track twice, or a foreign one: nothing of it is believed.
        ([classical, classical], False, [], [], unset, "missing_track"),
        ([classical, quantum, ("ml-dsa-87", b"")], False, [], [], unset, "missing_track"),
        # A wrong size is not valid, and not an error.
        ([("ed25519", b""), ("ml-dsa-65", quantum[1][:-1])], False, tracks, tracks, unset, "bad_signature"),
        ([("ed25519", classical[1] + b"\0")], False, ["ed25519"], ["ed25519"], unset, "bad_signature"),
    ]
    for sigs, ok, checked, failed, mode, reason in cases:
        answer = shared.verify(kid, sigs, digest=DIGEST)
        assert answer.ok is ok
        assert answer.details.checked == checked
        assert answer.details.failed == failed
        assert answer.details.satisfied_mode == mode
        assert answer.details.reason == reason


def test_half_a_hybrid_is_no_plain_signature(shared: LocalKms) -> None:
    hybrid = shared.create(tenant="core", purpose="audit", suite="hybrid")
    [half, _] = shared.sign(hybrid, digest=DIGEST).sigs
    public = {key.alg: key.public_key for key in shared.get(hybrid).versions[0].public}
    plain = ron_kms.VerifyKey.from_bytes({"ed25519": public["ed25519"]})
    assert not plain.is_valid(b"ron-kms-b3-v1\0ed25519\0" + DIGEST, [(half.alg, half.signature)])
    assert plain.is_valid(b"ron-kms-b3-v1\0ed25519+ml-dsa-65\0" + DIGEST, [(half.alg, half.signature)])


@given(st.binary(min_size=32, max_size=32), st.integers(0, 64 * 8 - 1))
def test_any_changed_bit_is_noticed(shared: LocalKms, digest: bytes, bit: int) -> None:
    kids = [key.kid for key in shared.list_keys("bits").keys] or [
        shared.create(tenant="bits", purpose="audit", suite="ed25519").removesuffix("#v1")
    ]
    answer = shared.sign(kids[0], digest=digest)
    assert shared.verify(answer.kid, answer.sigs, digest=digest).ok
    changed = bytearray(digest)
    changed[bit // 8 % 32] ^= 1 << bit % 8
    assert not shared.verify(answer.kid, answer.sigs, digest=bytes(changed)).ok
    forged = bytearray(answer.sigs[0].signature)
    forged[bit // 8] ^= 1 << bit % 8
    assert not shared.verify(answer.kid, [("ed25519", bytes(forged))], digest=digest).ok


def test_keys_outlive_the_process(place: Place) -> None:
    with place.open() as kms:
        kid = kms.create(tenant="core", purpose="audit", labels={"a": "b"})
        signed = kms.sign(kid, digest=DIGEST)
        found = kms.get(kid)
    with place.open() as kms:
        assert kms.get(kid) == found
        assert kms.verify(kid, signed.sigs, digest=DIGEST).ok
        again = kms.sign(kid, digest=DIGEST)
        assert again.sigs[0] == signed.sigs[0]  # Ed25519 is deterministic: the same private key
        assert kms.verify(kid, again.sigs, digest=DIGEST).ok


def test_the_age_of_cached_material_is_told(place: Place) -> None:
    with place.open() as kms:
        kid = kms.create(tenant="core", purpose="audit", suite="ed25519")
        signed = kms.sign(kid, digest=DIGEST)
    with place.open() as kms:
        assert kms.verify(kid, signed.sigs, digest=DIGEST).cache_age_ms is None
        first = kms.verify(kid, signed.sigs, digest=DIGEST).cache_age_ms
        assert first is not None
        assert 0 <= first < 10_000


def test_what_is_known_needs_no_store(kms: LocalKms) -> None:
    kid = kms.create(tenant="core", purpose="audit")
    with counting(kms) as counted:
        signed = kms.sign(kid, digest=DIGEST)
        assert counted.reads == 1  # the sealed key
        for _ in range(3):
            kms.sign(kid, digest=DIGEST)
            kms.verify(kid, signed.sigs, digest=DIGEST)
        assert counted.reads == 1
        assert counted.writes == 0
