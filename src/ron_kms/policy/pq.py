"""Post-quantum policy: what each phase makes and what it accepts. Pure: no store, no clock, no secrets.

| phase | suite of new versions, where none is named | verify accepts |
|---|---|---|
| 0 classical | classical | any valid track |
| 1 hybrid, ``or`` | hybrid | any valid track |
| 2 hybrid, ``and`` | hybrid | all tracks of the version present and valid, the post-quantum one among them |
| 3 ``pq_only`` | post-quantum | the post-quantum track valid |

A policy picks the share of a tenant's keys that its phase holds for by a stable hash of their ids; the others follow
the phase before.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

from blake3 import blake3

from ron_kms.crypto.signing import Mode, Verdict
from ron_kms.crypto.suites import SUITES, Suite, find
from ron_kms.errors import PolicyRefused
from ron_kms.model import PHASE_MAX, Policy, Use

Reason = Literal["bad_signature", "missing_track", "pq_policy", "pq_stripped"]

MODES: tuple[Mode, ...] = ("or", "or", "and", "pq_only")
"""What verify demands, by phase."""

AND = 2
"""The phase whose step may break what worked until then, and the one that is rolled back for it."""

_PARTS = 10_000
_GENERATIONS = (0, 1, 1, 2)
_SUITES: dict[tuple[Use, int], str] = {
    ("sign", 0): "ed25519",
    ("sign", 1): "hybrid",
    ("sign", 2): "ml-dsa",
    ("wrap", 0): "x25519",
    ("wrap", 1): "hybrid",
    ("wrap", 2): "ml-kem",
    ("seal", 0): "xchacha20-poly1305",
    ("seal", 1): "xchacha20-poly1305",
    ("seal", 2): "xchacha20-poly1305",
}
_STRICTNESS: dict[Mode, int] = {"or": 0, "pq_only": 1, "and": 2}
"""By what they accept: what satisfies ``and`` satisfies ``pq_only``, and that satisfies ``or``."""


def phase_named(*, produce_hybrid: bool, mode: str) -> int:
    """The phase that the service-wide settings mean."""
    if mode == "or":
        return 1 if produce_hybrid else 0
    return MODES.index(mode)


def part_of(uuid: str) -> int:
    """Where a key stands in the order in which keys come into a share, 0 to 9,999: the same for ever."""
    return int.from_bytes(blake3(uuid.encode()).digest(length=8)) % _PARTS


def within(percent: int, uuid: str) -> bool:
    """Whether a key is in a share of so many percent. At 0 none is, at 100 all are, and raising takes none out."""
    return percent >= 100 or part_of(uuid) * 100 < percent * _PARTS


def phase_of(policy: Policy, uuid: str) -> int:
    """The phase that holds for this key: the policy's, or the one before where its share has not come to the key."""
    return policy.phase if within(policy.rollout_percent, uuid) else max(policy.phase - 1, 0)


def mode_of(policy: Policy, uuid: str, requested: Mode | None = None) -> Mode:
    """What verify demands of signatures by this key.

    :param requested: what the request asks for.
    :raises PolicyRefused: that is looser than policy. ``and`` is stricter than ``pq_only``, and that than ``or``.
    """
    mode = MODES[phase_of(policy, uuid)]
    if requested is None:
        return mode
    if _STRICTNESS[requested] < _STRICTNESS[mode]:
        raise PolicyRefused(f"this tenant's policy demands '{mode}' here, and '{requested}' is looser")
    return requested


def refusal(verdict: Verdict, mode: Mode) -> Reason | None:
    """Why a set of signatures does not satisfy a mode, or None where it does.

    - ``missing_track``: there is no signature at all by a track of the version.
    - ``bad_signature``: one that counts is not valid.
    - ``pq_stripped``: what is there is valid, but a track that must be there was taken off.
    - ``pq_policy``: it is valid, but its version has no post-quantum track.
    """
    if not verdict.checked:
        return "missing_track"
    tracks = verdict.suite.tracks
    if mode == "or":
        return None if verdict.valid else "bad_signature"
    if not verdict.suite.post_quantum:
        return "pq_policy" if verdict.valid else "bad_signature"
    if all(track.name in verdict.valid for track in tracks if mode == "and" or track.post_quantum):
        return None
    return "bad_signature" if verdict.failed else "pq_stripped"


def suite_for(phase: int, use: Use, current: Suite | None = None) -> Suite:
    """The suite of a new version where none is named.

    :param current: the suite of the version before. The new one is never weaker: where the phase's own would be, it is
        the next stronger one that fits the phase, or the same again.
    """
    default = find(use, _SUITES[use, _GENERATIONS[phase]])
    if current is None:
        return default
    if current.generation >= default.generation:
        return current
    fitting = [
        suite
        for suite in SUITES.values()
        if suite.generation == default.generation and current.may_become(suite) and suite.available
    ]
    return default if default in fitting else min(fitting, key=lambda suite: suite.level, default=current)


def next_step(policy: Policy, percent: int = 100) -> tuple[int, int]:
    """Phase and share after one step: the rest of this phase's share first, then the next phase."""
    if policy.rollout_percent < percent:
        return policy.phase, percent
    if policy.rollout_percent < 100 or policy.phase == PHASE_MAX:
        return policy.phase, policy.rollout_percent
    return policy.phase + 1, percent


@lru_cache
def broken_by(verdict: Verdict) -> tuple[tuple[int, Reason], ...]:
    """The later phases that would refuse what is accepted now, and why."""
    return tuple((phase, reason) for phase in (2, 3) if (reason := refusal(verdict, MODES[phase])) is not None)


def rolls_back(policy: Policy, uuid: str, reason: Reason | None) -> bool:
    """Whether a refusal under the policy's own mode is of the kind that may roll it back: a valid signature that only
    the step to ``and`` has made invalid. Phase 3 is never rolled back, and what was stripped or forged rolls back
    nothing."""
    return reason == "pq_policy" and policy.phase == AND and within(policy.rollout_percent, uuid)
