"""The table of phases, line by line, and what must hold of it for every key, share and set of signatures."""

from __future__ import annotations

import itertools
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ron_kms.crypto.signing import Mode, Verdict
from ron_kms.crypto.suites import SUITES, Suite
from ron_kms.errors import PolicyRefused
from ron_kms.model import Policy, Use, new_uuid
from ron_kms.policy import pq

SIGNING = [suite for suite in SUITES.values() if suite.use == "sign"]
UUIDS = st.integers(0, 2**128 - 1).map(lambda n: str(UUID(int=n)))
STATES = ("absent", "bad", "good")


def _verdict(suite: Suite, *states: str) -> Verdict:
    names = suite.track_names
    return Verdict(
        suite,
        tuple(name for name, state in zip(names, states, strict=True) if state != "absent"),
        tuple(name for name, state in zip(names, states, strict=True) if state == "good"),
    )


# By phase: what each state of the tracks is answered with. None is acceptance.
CLASSICAL = {
    ("good",): (None, None, "pq_policy", "pq_policy"),
    ("bad",): ("bad_signature",) * 4,
    ("absent",): ("missing_track",) * 4,
}
PURE = {
    ("good",): (None, None, None, None),
    ("bad",): ("bad_signature",) * 4,
    ("absent",): ("missing_track",) * 4,
}
HYBRID = {
    ("good", "good"): (None, None, None, None),
    ("good", "bad"): (None, None, "bad_signature", "bad_signature"),
    ("good", "absent"): (None, None, "pq_stripped", "pq_stripped"),
    ("bad", "good"): (None, None, "bad_signature", None),
    ("bad", "bad"): ("bad_signature",) * 4,
    ("bad", "absent"): ("bad_signature",) * 4,
    ("absent", "good"): (None, None, "pq_stripped", None),
    ("absent", "bad"): ("bad_signature",) * 4,
    ("absent", "absent"): ("missing_track",) * 4,
}


@pytest.mark.parametrize("suite", SIGNING, ids=lambda suite: suite.name)
def test_what_each_phase_accepts(suite: Suite) -> None:
    table = HYBRID if suite.hybrid else PURE if suite.post_quantum else CLASSICAL
    assert set(table) == set(itertools.product(STATES, repeat=len(suite.tracks)))
    for states, by_phase in table.items():
        found = tuple(pq.refusal(_verdict(suite, *states), pq.MODES[phase]) for phase in range(4))
        assert found == by_phase, (suite.name, states)


@pytest.mark.parametrize("suite", SIGNING, ids=lambda suite: suite.name)
def test_a_stricter_mode_accepts_nothing_more(suite: Suite) -> None:
    for states in itertools.product(STATES, repeat=len(suite.tracks)):
        verdict = _verdict(suite, *states)
        accepted = [pq.refusal(verdict, mode) is None for mode in ("or", "pq_only", "and")]
        assert accepted == sorted(accepted, reverse=True)
        assert not accepted[0] or verdict.valid, "nothing is accepted without a valid track"


@pytest.mark.parametrize(
    ("phase", "allowed"),
    [(0, {"or", "and", "pq_only"}), (1, {"or", "and", "pq_only"}), (2, {"and"}), (3, {"and", "pq_only"})],
)
def test_a_request_may_be_stricter_never_looser(phase: int, allowed: set[Mode]) -> None:
    policy, uuid = Policy(phase, 100), new_uuid()
    modes: tuple[Mode, ...] = ("or", "and", "pq_only")
    for mode in modes:
        if mode in allowed:
            assert pq.mode_of(policy, uuid, mode) == mode
        else:
            with pytest.raises(PolicyRefused):
                pq.mode_of(policy, uuid, mode)
    assert pq.mode_of(policy, uuid) == pq.MODES[phase]


def test_a_key_out_of_the_share_follows_the_phase_before() -> None:
    uuids = [new_uuid() for _ in range(400)]
    for phase in range(4):
        phases = {pq.phase_of(Policy(phase, 50), uuid) for uuid in uuids}
        assert phases == {phase, max(phase - 1, 0)}
        assert {pq.phase_of(Policy(phase, 0), uuid) for uuid in uuids} == {max(phase - 1, 0)}
        assert {pq.phase_of(Policy(phase, 100), uuid) for uuid in uuids} == {phase}


@given(UUIDS, st.integers(0, 100), st.integers(0, 100))
def test_raising_a_share_takes_no_key_out(uuid: str, one: int, other: int) -> None:
    low, high = sorted((one, other))
    assert pq.within(high, uuid) or not pq.within(low, uuid)
    assert not pq.within(0, uuid)
    assert pq.within(100, uuid)
    assert pq.part_of(uuid) in range(10_000)


def test_the_order_of_keys_is_the_same_for_ever() -> None:
    """Changing the hash would take keys out of shares that they are in."""
    fixed = [f"01932c07-209c-7e1b-8f31-2f1c4c0d5f{n:02x}" for n in range(4)]
    assert [pq.part_of(uuid) for uuid in fixed] == [4447, 8820, 8881, 4090]


def test_a_share_is_about_as_large_as_it_says() -> None:
    uuids = [str(UUID(int=n)) for n in range(20_000)]
    for percent in (1, 10, 50, 90):
        share = sum(pq.within(percent, uuid) for uuid in uuids) / len(uuids)
        assert abs(share - percent / 100) < 0.015


USES: list[Use] = ["sign", "wrap", "seal"]


@given(st.sampled_from(list(SUITES.values())), st.integers(0, 3))
def test_a_new_version_is_never_weaker_and_reaches_its_phase(current: Suite, phase: int) -> None:
    suite = pq.suite_for(phase, current.use, current)
    assert suite is current or current.may_become(suite)
    assert suite.generation >= pq.suite_for(phase, current.use).generation
    if suite.use == "sign":
        accepted = _verdict(suite, *["good"] * len(suite.tracks))
        assert pq.refusal(accepted, pq.MODES[phase]) is None, "what a phase makes, the phase accepts"


def test_the_suites_of_the_phases() -> None:
    names = {use: [pq.suite_for(phase, use).name for phase in range(4)] for use in USES}
    assert names == {
        "sign": ["ed25519", "ed25519+ml-dsa-65", "ed25519+ml-dsa-65", "ml-dsa-65"],
        "wrap": ["x25519", "x25519+ml-kem-768", "x25519+ml-kem-768", "ml-kem-768"],
        "seal": ["xchacha20-poly1305"] * 4,
    }
    become = {
        ("ed25519", 3): "ml-dsa-65",
        ("ed25519+ml-dsa-44", 3): "ml-dsa-65",
        ("ed25519+ml-dsa-87", 3): "ml-dsa-87",
        ("ml-dsa-44", 3): "ml-dsa-44",
        ("ml-dsa-87", 1): "ml-dsa-87",
        ("ml-kem-1024", 2): "ml-kem-1024",
        ("xaes-256-gcm", 3): "xaes-256-gcm",
    }
    for (name, phase), expected in become.items():
        suite = SUITES[name]
        assert pq.suite_for(phase, suite.use, suite).name == expected


@pytest.mark.parametrize(
    ("produce_hybrid", "mode", "phase"),
    [(False, "or", 0), (True, "or", 1), (True, "and", 2), (True, "pq_only", 3), (False, "pq_only", 3)],
)
def test_what_the_settings_mean(produce_hybrid: bool, mode: str, phase: int) -> None:
    assert pq.phase_named(produce_hybrid=produce_hybrid, mode=mode) == phase


@pytest.mark.parametrize(
    ("at", "percent", "to"),
    [
        ((0, 100), 100, (1, 100)),
        ((0, 100), 25, (1, 25)),
        ((1, 25), 50, (1, 50)),
        ((1, 25), 100, (1, 100)),
        ((1, 50), 25, (1, 50)),
        ((2, 100), 100, (3, 100)),
        ((3, 100), 100, (3, 100)),
        ((3, 10), 100, (3, 100)),
    ],
)
def test_one_step(at: tuple[int, int], percent: int, to: tuple[int, int]) -> None:
    assert pq.next_step(Policy(*at), percent) == to


def test_what_rolls_a_policy_back() -> None:
    uuid = new_uuid()
    found = {
        (phase, reason)
        for phase in range(4)
        for reason in (None, "bad_signature", "missing_track", "pq_policy", "pq_stripped")
        if pq.rolls_back(Policy(phase, 100), uuid, reason)  # type: ignore[arg-type]
    }
    assert found == {(2, "pq_policy")}
    assert not pq.rolls_back(Policy(2, 0), uuid, "pq_policy"), "a key out of the share is not the step's"


def test_what_a_later_phase_would_refuse() -> None:
    hybrid, classical = SUITES["ed25519+ml-dsa-65"], SUITES["ed25519"]
    assert list(pq.broken_by(_verdict(hybrid, "good", "good"))) == []
    assert list(pq.broken_by(_verdict(hybrid, "good", "absent"))) == [(2, "pq_stripped"), (3, "pq_stripped")]
    assert list(pq.broken_by(_verdict(hybrid, "absent", "good"))) == [(2, "pq_stripped")]
    assert list(pq.broken_by(_verdict(classical, "good"))) == [(2, "pq_policy"), (3, "pq_policy")]
