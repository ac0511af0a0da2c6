"""What takes a policy back to ``or``, and what never does."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import ron_kms
from ron_kms.errors import StoreUnavailable
from ron_kms.service.local import LocalKms
from ron_kms.service.sign import SignAnswer

DIGEST = bytes(range(32))


def _signed(kms: LocalKms, suite: str, tenant: str = "acme") -> SignAnswer:
    return kms.sign(kms.create(tenant=tenant, purpose="test", suite=suite), digest=DIGEST)


def _verify(kms: LocalKms, signed: SignAnswer, count: int | None = None, digest: bytes = DIGEST) -> object:
    answer = kms.verify(signed.kid, signed.sigs[:count], digest=digest)
    return answer.details.reason or None


def test_a_refusal_that_was_not_named_takes_the_tenant_back(kms: LocalKms) -> None:
    kms.set_policy("acme", phase=2)
    kms.set_policy("other", phase=2)
    surprise = _signed(kms, "ed25519")
    assert _verify(kms, surprise) == "pq_policy"
    policy = kms.policy("acme")
    assert (policy.phase, policy.mode, policy.rollout_percent) == (1, "or", 100)
    assert policy.rolled_back
    assert policy.rolled_back_by == surprise.kid
    assert _verify(kms, surprise) is None
    assert kms.policy("other").mode == "and", "of the one tenant alone"
    again = kms.set_policy("acme", phase=2)
    assert not again.rolled_back
    assert _verify(kms, surprise) == "pq_policy"
    assert kms.policy("acme").mode == "and", "the new step's plan has named it"


def test_what_the_plan_named_takes_nothing_back(kms: LocalKms) -> None:
    old = [_signed(kms, "ed25519") for _ in range(3)]
    kms.rotate(old[0].kid.partition("#")[0], suite="ed25519")
    second = kms.sign(old[0].kid.partition("#")[0], digest=DIGEST)
    kms.set_policy("acme", phase=2)
    for signed in [*old, second]:
        assert _verify(kms, signed) == "pq_policy"
    assert kms.policy("acme").mode == "and"
    kms.rotate(old[1].kid.partition("#")[0], suite="ed25519")
    third = kms.sign(old[1].kid.partition("#")[0], digest=DIGEST)
    assert _verify(kms, third) == "pq_policy"
    assert kms.policy("acme").mode == "or", "a version that came after the plan"


def test_forged_and_stripped_sets_take_nothing_back(kms: LocalKms) -> None:
    kms.set_policy("acme", phase=2)
    hybrid, classical = _signed(kms, "hybrid"), _signed(kms, "ed25519")
    assert _verify(kms, hybrid, 1) == "pq_stripped"
    assert _verify(kms, classical, digest=bytes(32)) == "bad_signature"
    assert _verify(kms, hybrid, digest=bytes(32)) == "bad_signature"
    assert _verify(kms, classical, 0) == "missing_track"
    assert kms.policy("acme").mode == "and"


def test_a_request_s_own_strictness_takes_nothing_back(kms: LocalKms) -> None:
    kms.set_policy("acme", phase=1)
    classical = _signed(kms, "ed25519")
    answer = kms.verify(classical.kid, classical.sigs, digest=DIGEST, mode="and")
    assert answer.details.reason == "pq_policy"
    assert not kms.policy("acme").rolled_back
    kms.set_policy("acme", phase=2, rollout_percent=0)
    late = _signed(kms, "ed25519")
    assert kms.verify(late.kid, late.sigs, digest=DIGEST, mode="and").details.reason == "pq_policy"
    assert kms.policy("acme").phase == 2


def test_phase_3_is_never_taken_back(kms: LocalKms) -> None:
    for percent in (100, 0):
        kms.set_policy("acme", phase=3, rollout_percent=percent)
        assert _verify(kms, _signed(kms, "ed25519")) == "pq_policy"
        assert kms.policy("acme").phase == 3


@contextmanager
def _opened(place: Path) -> Iterator[LocalKms]:
    with ron_kms.open(f"sqlite:///{place}/keys.db", seal=f"keyfile:{place}/root.key") as kms:
        yield kms


def test_it_is_stored_and_counted(tmp_path: Path) -> None:
    with _opened(tmp_path) as kms:
        kms.set_policy("acme", phase=2)
        _verify(kms, _signed(kms, "ed25519"))
        registry = kms._kms.metrics.registry
        assert registry.get_sample_value("kms_pq_rollbacks_total") == 1
        assert registry.get_sample_value("kms_reject_total", {"reason": "pq_policy"}) == 1
        kms.policy("acme")
        assert _verify(kms, _signed(kms, "ed25519")) is None
        assert registry.get_sample_value("kms_pq_mode", {"tenant": "acme"}) == 1
        assert registry.get_sample_value("kms_pq_mode", {"tenant": "*"}) == 1
        assert registry.get_sample_value("kms_pq_rollout_percent", {"tenant": "acme"}) == 100
    with _opened(tmp_path) as kms:
        policy = kms.policy("acme")
        assert (policy.mode, bool(policy.rolled_back)) == ("or", True)


@pytest.mark.parametrize("seconds", [0.0, 1e-6])
def test_outside_the_window_nothing_is_taken_back(kms: LocalKms, seconds: float) -> None:
    kms._kms.rollback_seconds = seconds
    kms.set_policy("acme", phase=2)
    assert _verify(kms, _signed(kms, "ed25519")) == "pq_policy"
    assert kms.policy("acme").mode == "and"


def test_a_version_made_while_the_step_is_planned_is_named(kms: LocalKms) -> None:
    """Keys are read page by page before the policy is written; what comes in between is caught up with."""
    early = _signed(kms, "ed25519")
    database = kms._kms.database
    write = database.write
    meanwhile: list[SignAnswer] = []

    def late(job: Any) -> Any:
        database.write = write  # type: ignore[method-assign]
        meanwhile.append(_signed(kms, "ed25519"))
        meanwhile.append(_signed(kms, "ed25519", "other"))
        kms.rotate(early.kid, suite="ed25519")
        meanwhile.append(kms.sign(early.kid.partition("#")[0], digest=DIGEST))
        return write(job)

    database.write = late  # type: ignore[method-assign]
    kms.set_policy("acme", phase=2)
    assert len(meanwhile) == 3
    for signed in (early, meanwhile[0], meanwhile[2]):
        assert _verify(kms, signed) == "pq_policy"
    assert _verify(kms, meanwhile[1]) is None
    assert kms.policy("acme").mode == "and"


def test_verify_goes_on_where_a_rollback_cannot_be_stored(kms: LocalKms) -> None:
    kms.set_policy("acme", phase=2)
    surprise = _signed(kms, "ed25519")
    database = kms._kms.database
    write = database.write

    def away(job: Any) -> Any:
        future: Future[Any] = Future()
        future.set_exception(StoreUnavailable("away"))
        return future

    database.write = away  # type: ignore[method-assign]
    assert _verify(kms, surprise) == "pq_policy"
    assert kms.policy("acme").mode == "and"
    database.write = write  # type: ignore[method-assign]
    assert _verify(kms, surprise) == "pq_policy", "the next refusal tries again"
    assert kms.policy("acme").rolled_back_by == surprise.kid
