"""Verify, sign, create and rotate under policy, with real keys in a real store."""

from __future__ import annotations

import pytest

from ron_kms.crypto.signing import Mode
from ron_kms.errors import PolicyRefused, PreconditionFailed
from ron_kms.service.local import LocalKms
from ron_kms.service.sign import SignAnswer

DIGEST = bytes(range(32))


def _signed(kms: LocalKms, suite: str, tenant: str = "acme") -> SignAnswer:
    return kms.sign(kms.create(tenant=tenant, purpose="test", suite=suite), digest=DIGEST)


def _reason(kms: LocalKms, signed: SignAnswer, tracks: slice = slice(None), mode: Mode | None = None) -> object:
    answer = kms.verify(signed.kid, signed.sigs[tracks], digest=DIGEST, mode=mode)
    assert answer.ok == (not answer.details.reason)
    return answer.details.reason or None


def test_the_default_is_hybrid_and_accepts_either_track(kms: LocalKms) -> None:
    policy = kms.policy("acme")
    assert (policy.phase, policy.mode, policy.rollout_percent, policy.source) == (1, "or", 100, "default")
    kid = kms.create(tenant="acme", purpose="test")
    signed = kms.sign(kid, digest=DIGEST)
    assert [sig.alg for sig in signed.sigs] == ["ed25519", "ml-dsa-65"]
    assert _reason(kms, signed, slice(0, 1)) is None
    assert _reason(kms, signed, slice(1, 2)) is None


def test_each_phase_with_real_signatures(kms: LocalKms) -> None:
    classical, hybrid, pure = (_signed(kms, suite) for suite in ("ed25519", "hybrid", "ml-dsa"))
    first, second = slice(0, 1), slice(1, 2)
    expected = {
        0: [None, None, None, None, None],
        1: [None, None, None, None, None],
        2: ["pq_policy", None, "pq_stripped", "pq_stripped", None],
        3: ["pq_policy", None, "pq_stripped", None, None],
    }
    for phase, reasons in expected.items():
        kms.set_policy("acme", phase=phase)
        found = [
            _reason(kms, classical),
            _reason(kms, hybrid),
            _reason(kms, hybrid, first),
            _reason(kms, hybrid, second),
            _reason(kms, pure),
        ]
        assert found == reasons, phase
        for signed in (classical, hybrid, pure):
            forged = kms.verify(signed.kid, signed.sigs, digest=bytes(32))
            assert forged.details.reason == "bad_signature"
            foreign = kms.verify(signed.kid, [("x", b"")], digest=DIGEST)
            assert foreign.details.reason == "missing_track"


def test_a_request_may_be_stricter_but_not_looser(kms: LocalKms) -> None:
    classical, hybrid = _signed(kms, "ed25519"), _signed(kms, "hybrid")
    assert _reason(kms, classical, mode="and") == "pq_policy"
    assert _reason(kms, hybrid, slice(0, 1), "and") == "pq_stripped"
    assert _reason(kms, hybrid, slice(0, 1), "pq_only") == "pq_stripped"
    assert _reason(kms, hybrid, slice(0, 1), "or") is None
    kms.set_policy("acme", phase=2)
    for mode in ("or", "pq_only"):
        with pytest.raises(PolicyRefused):
            _reason(kms, hybrid, mode=mode)
    kms.set_policy("acme", phase=3)
    with pytest.raises(PolicyRefused):
        _reason(kms, hybrid, mode="or")
    assert _reason(kms, hybrid, slice(1, 2), "and") == "pq_stripped"


def test_in_a_batch_only_the_looser_item_is_refused(kms: LocalKms) -> None:
    here, there = _signed(kms, "hybrid"), _signed(kms, "hybrid", "other")
    kms.set_policy("acme", phase=2)
    items = [
        {"kid": signed.kid, "sigs": signed.sigs, "digest": DIGEST, "policy": {"mode": "or"}} for signed in (here, there)
    ]
    looser, equal = kms.verify_batch(items)
    assert looser.error
    assert looser.error.code == "PolicyRefused"
    assert equal.ok


def test_sign_with_a_mode_that_the_key_cannot_satisfy(kms: LocalKms) -> None:
    kid = kms.create(tenant="acme", purpose="test", suite="ed25519")
    answers = kms.sign_batch([{"digest": DIGEST, "policy": {"mode": mode}} for mode in ("or", "and")], kid=kid)
    assert answers[0].sigs
    assert answers[1].error
    assert answers[1].error.code == "PolicyRefused"
    kms.set_policy("acme", phase=3)
    assert kms.sign(kid, digest=DIGEST).sigs, "policy picks no part of a signature"


def test_what_is_newly_made_follows_the_phase(kms: LocalKms) -> None:
    kms.set_policy("acme", phase=0)
    signing = kms.create(tenant="acme", purpose="test")
    wrapping = kms.create(tenant="acme", purpose="test", use="wrap")
    suites = []
    for phase in range(4):
        kms.set_policy("acme", phase=phase)
        pair = []
        for kid in (signing, wrapping):
            if phase:
                kms.rotate(kid.partition("#")[0])
            pair.append(kms.get(kid).versions[-1].suite)
        fresh = kms.create(tenant="acme", purpose="test")
        assert kms.get(fresh).versions[-1].suite == pair[0]
        suites.append(pair)
    assert suites == [
        ["ed25519", "x25519"],
        ["ed25519+ml-dsa-65", "x25519+ml-kem-768"],
        ["ed25519+ml-dsa-65", "x25519+ml-kem-768"],
        ["ml-dsa-65", "ml-kem-768"],
    ]
    kms.set_policy("acme", phase=0)
    kms.rotate(signing.partition("#")[0])
    assert kms.get(signing).versions[-1].suite == "ml-dsa-65", "never downwards"


def test_a_share_of_the_keys(kms: LocalKms) -> None:
    signed = [_signed(kms, "ed25519") for _ in range(24)]
    refused: set[str] = set()
    for percent in (0, 20, 50, 80, 100):
        kms.set_policy("acme", phase=2, rollout_percent=percent)
        now = {one.kid for one in signed if _reason(kms, one) == "pq_policy"}
        assert refused <= now, "raising the share takes none out"
        refused = now
        if percent == 0:
            assert not refused
    assert len(refused) == len(signed)


def test_the_policy_of_one_tenant_is_not_another_s(kms: LocalKms) -> None:
    here, there = _signed(kms, "ed25519", "a"), _signed(kms, "ed25519", "b")
    kms.set_policy("a", phase=3)
    assert (_reason(kms, here), _reason(kms, there)) == ("pq_policy", None)


def test_setting_needs_the_policy_that_was_read(kms: LocalKms) -> None:
    read = kms.policy("acme")
    written = kms.set_policy("acme", phase=1, rollout_percent=10, if_match=read.etag)
    assert (written.source, written.rollout_percent) == ("tenant", 10)
    assert written.etag != read.etag
    with pytest.raises(PreconditionFailed):
        kms.set_policy("acme", phase=2, if_match=read.etag)
    assert kms.policy("acme") == written
