"""The plan of a step: what it would change, page by page, without changing anything."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ron_kms.errors import BadRequest
from ron_kms.model import Policy, new_uuid
from ron_kms.policy.named import Named
from ron_kms.policy.pq import next_step
from ron_kms.policy.recent import RecentCounter
from ron_kms.service.local import LocalKms

DIGEST = bytes(range(32))


def _key(kms: LocalKms, suite: str, tenant: str = "acme") -> str:
    return kms.create(tenant=tenant, purpose="test", suite=suite).partition("#")[0]


def test_what_a_step_would_change(kms: LocalKms) -> None:
    classical, hybrid, pure = (_key(kms, suite) for suite in ("ed25519", "hybrid", "ml-dsa"))
    wrapping = kms.create(tenant="acme", purpose="test", use="wrap", suite="x25519")
    _key(kms, "ed25519", "other")
    before = kms.policy("acme")
    plan = kms.plan_policy("acme")
    assert kms.policy("acme") == before
    assert (plan.now.phase, plan.step.phase, plan.step.mode, plan.step.rollout_percent) == (1, 2, "and", 100)
    assert [(change.kid, change.becomes or None, change.refused or None) for change in plan.changes] == [
        (f"{classical}#v1", "ed25519+ml-dsa-65", [f"{classical}#v1"]),
        (wrapping, "x25519+ml-kem-768", None),
    ]
    summary = plan.summary
    assert summary
    assert (summary.keys, summary.rotates, summary.refuses, summary.seen) == (4, 2, 1, [])
    assert {(count.use, count.suite, count.phase): count.keys for count in summary.suites} == {
        ("sign", "ed25519", 1): 1,
        ("sign", "ed25519+ml-dsa-65", 1): 1,
        ("sign", "ml-dsa-65", 1): 1,
        ("wrap", "x25519", 1): 1,
    }
    kms.rotate(classical)
    kms.rotate(wrapping.partition("#")[0])
    plan = kms.plan_policy("acme")
    assert [(change.kid, change.becomes or None, change.refused) for change in plan.changes] == [
        (f"{classical}#v2", None, [f"{classical}#v1"]),
    ], "rotating heals no old signature"
    kms.set_policy("acme", phase=2)
    plan = kms.plan_policy("acme")
    assert plan.step.phase == 3
    assert {change.kid: change.becomes for change in plan.changes if change.becomes} == {
        f"{classical}#v2": "ml-dsa-65",
        f"{hybrid}#v1": "ml-dsa-65",
        wrapping.replace("#v1", "#v2"): "ml-kem-768",
    }
    assert not any(change.refused for change in plan.changes), "what phase 2 refuses is refused already"
    assert pure not in {change.kid for change in plan.changes}


def test_the_share_of_a_step(kms: LocalKms) -> None:
    kids = [_key(kms, "ed25519") for _ in range(20)]
    planned = {change.kid for change in kms.plan_policy("acme", rollout_percent=40).changes}
    assert planned < {f"{kid}#v1" for kid in kids}
    kms.set_policy("acme", phase=2, rollout_percent=40)
    refused = {
        f"{kid}#v1" for kid in kids if not kms.verify(f"{kid}#v1", kms.sign(kid, digest=DIGEST).sigs, digest=DIGEST).ok
    }
    assert refused == planned, "exactly what the plan had named is refused"
    rest = kms.plan_policy("acme")
    assert (rest.step.phase, rest.step.rollout_percent) == (2, 100)
    assert {kid for change in rest.changes for kid in change.refused or ()} == {f"{kid}#v1" for kid in kids} - planned


def test_what_an_operator_has_stopped_is_not_rotated(kms: LocalKms) -> None:
    disabled, going, alive = (_key(kms, "ed25519") for _ in range(3))
    kms.set_state(f"{disabled}#v1", "disabled")
    kms.destroy(going)
    changes = {change.kid: change for change in kms.plan_policy("acme").changes}
    assert {kid for kid, change in changes.items() if change.becomes} == {f"{alive}#v1"}
    assert len(changes) == 3, "their old signatures would be refused all the same"


def test_pages(kms: LocalKms) -> None:
    kids = sorted(_key(kms, "ed25519") for _ in range(7))
    first = kms.plan_policy("acme", limit=3)
    seen = [change.kid for change in first.changes]
    page = first
    while page.next:
        page = kms.plan_policy("acme", limit=3, after=page.next)
        assert not page.summary
        seen += [change.kid for change in page.changes]
    assert seen == [f"{kid}#v1" for kid in kids]
    with pytest.raises(BadRequest):
        kms.plan_policy("other", after=kids[0])


def test_what_was_verified_and_would_fail(kms: LocalKms) -> None:
    classical, hybrid, other = _key(kms, "ed25519"), _key(kms, "hybrid"), _key(kms, "ed25519", "other")
    for kid, times, tracks in ((classical, 3, 1), (hybrid, 2, 1), (hybrid, 5, 2), (other, 1, 1)):
        signed = kms.sign(kid, digest=DIGEST)
        for _ in range(times):
            assert kms.verify(signed.kid, signed.sigs[:tracks], digest=DIGEST).ok
    summary = kms.plan_policy("acme").summary
    assert summary
    assert [(seen.kid, seen.reason, seen.count) for seen in summary.seen] == [
        (f"{classical}#v1", "pq_policy", 3),
        (f"{hybrid}#v1", "pq_stripped", 2),
    ]
    assert summary.since <= summary.seen[0].last


def test_a_step_to_phase_1_refuses_nothing(kms: LocalKms) -> None:
    kms.set_policy("acme", phase=0)
    kid = kms.create(tenant="acme", purpose="test")
    signed = kms.sign(kid, digest=DIGEST)
    assert kms.verify(signed.kid, signed.sigs, digest=DIGEST).ok
    plan = kms.plan_policy("acme")
    assert plan.step.phase == 1
    assert [(change.becomes, change.refused or None) for change in plan.changes] == [("ed25519+ml-dsa-65", None)]
    assert plan.summary
    assert not plan.summary.seen
    assert not plan.summary.refuses


def test_counts_of_several_workers_and_of_those_before(tmp_path: Path) -> None:
    one, other = RecentCounter(tmp_path / "0.recent"), RecentCounter(tmp_path / "1.recent")
    one.note("a#v1", 2, "pq_policy")
    for _ in range(2):
        other.note("a#v1", 2, "pq_policy")
        other.note("b#v1", 2, "pq_stripped")
    assert [seen.count for seen in one.everywhere().sightings] == [1]
    one.publish()
    other.publish()
    both = [("a#v1", 3), ("b#v1", 2)]
    assert [(seen.kid, seen.count) for seen in one.everywhere().sightings] == both
    assert [(seen.kid, seen.count) for seen in other.everywhere().sightings] == both
    successor = RecentCounter(tmp_path / "0.recent")
    assert [(seen.kid, seen.count) for seen in successor.everywhere().sightings] == both
    (tmp_path / "1.recent").write_bytes(b"torn")
    assert [(seen.kid, seen.count) for seen in successor.everywhere().sightings] == [("a#v1", 1)]


def test_memory_is_bounded() -> None:
    counter = RecentCounter(bound=3)
    for name in "abcad":
        counter.note(name, 2, "pq_policy")
    recent = counter.snapshot()
    assert {seen.kid for seen in recent.sightings} == {"a", "c", "d"}
    assert recent.lost == 1


@given(st.dictionaries(st.uuids().map(str), st.integers(1, 2**32 - 1), max_size=40))
def test_the_set_of_named_versions_is_exact(last: dict[str, int]) -> None:
    named = Named(Named.pack(last))
    assert len(named) == len(last)
    for uuid, number in last.items():
        assert named.covers(uuid, number)
        assert named.covers(uuid, 1)
        assert not named.covers(uuid, number + 1)
    assert not named.covers(new_uuid(), 1)


def test_no_bytes_are_half_a_set() -> None:
    with pytest.raises(ValueError, match="20 bytes"):
        Named(bytes(19))


def test_steps_end() -> None:
    policy, steps = Policy(0, 0), []
    while (step := next_step(policy, 50)) != (policy.phase, policy.rollout_percent) or policy.rollout_percent < 100:
        if step == (policy.phase, policy.rollout_percent):
            step = next_step(policy)
        policy = Policy(*step)
        steps.append(step)
    assert steps == [(phase, percent) for phase in range(4) for percent in (50, 100)]
