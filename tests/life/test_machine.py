"""The whole life of keys against a simple model of it, the store closed and opened again in between."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule

from ron_kms.errors import KmsError
from ron_kms.service.due import DESTROY
from ron_kms.service.local import LocalKms
from tests.counts import count
from tests.life.place import DIGEST, Place, do_due, holds, make

SUITES = ("ed25519", "ed25519+ml-dsa-44", "ed25519+ml-dsa-65", "ml-dsa-44", "ml-dsa-65")
STRENGTH = {
    "ed25519": (0, 0),
    "ed25519+ml-dsa-44": (1, 2),
    "ed25519+ml-dsa-65": (1, 3),
    "ml-dsa-44": (2, 2),
    "ml-dsa-65": (2, 3),
}
"""Generation and level."""


@dataclass
class Version:
    suite: str
    state: str = "enabled"
    before: str = ""
    due: int | None = None
    """Days of its window."""
    gone: bool = False
    signed: Any = None


@dataclass
class Key:
    versions: list[Version]
    min_verify: int = 1
    protected: bool = False
    due: int | None = None
    gone: bool = False
    revision: int = 1

    @property
    def state(self) -> str:
        return "destroyed" if self.gone else "enabled" if self.due is None else "pending-destruction"

    def condemn(self, version: Version, due: int) -> None:
        version.due = due
        if version.state != "compromised":
            version.before, version.state = version.state, "pending-destruction"

    def restore(self, version: Version) -> None:
        version.due = None
        if version.state != "compromised":
            version.state = version.before


class Life(RuleBasedStateMachine):
    keys: Bundle[str] = Bundle("keys")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.place = Place(Path(self.folder.name))
        self.kms: LocalKms = self.place.open()
        self.model: dict[str, Key] = {}

    def teardown(self) -> None:
        self.kms.close()
        self.folder.cleanup()

    def told(self, act: Any, expected: str) -> Any:
        """Do it, and compare how it ends."""
        answer, ended = None, "ok"
        try:
            answer = act()
        except KmsError as error:
            ended = error.code
        assert ended == expected
        return answer

    @rule(target=keys, suite=st.sampled_from(SUITES))
    def create(self, suite: str) -> str:
        name = make(self.kms, suite=suite)
        self.model[name] = Key([Version(suite)])
        return name

    @rule(name=keys, suite=st.none() | st.sampled_from(SUITES))
    def rotate(self, name: str, suite: str | None) -> None:
        """None stands for the suite that the key has."""
        key = self.model[name]
        present = key.versions[-1].suite
        wanted = present if suite is None else suite
        forward = all(new >= old for old, new in zip(STRENGTH[present], STRENGTH[wanted], strict=True))
        expected = "KeyDisabled" if key.state != "enabled" else "ok" if forward else "PolicyRefused"
        self.told(lambda: self.kms.rotate(name, suite=wanted), expected)
        if expected == "ok":
            key.versions.append(Version(wanted))
            key.revision += 1

    @rule(name=keys, which=st.integers(0, 5), state=st.sampled_from(["enabled", "disabled", "compromised"]))
    def set_state(self, name: str, which: int, state: str) -> None:
        key = self.model[name]
        number = which % len(key.versions) + 1
        version = key.versions[number - 1]
        may = state in ("compromised", version.state) or version.state in ("enabled", "disabled")
        self.told(lambda: self.kms.set_state(f"{name}#v{number}", state), "ok" if may else "Conflict")  # type: ignore[arg-type]
        if may and version.state != state:
            version.state = state
            key.revision += 1

    @rule(name=keys, rise=st.integers(-1, 2), tag=st.booleans())
    def raise_minimum(self, name: str, rise: int, tag: bool) -> None:
        key = self.model[name]
        number = max(1, key.min_verify + rise)
        if_match = str(key.revision - (0 if tag else 1))
        fits = key.min_verify <= number <= len(key.versions)
        expected = "PreconditionFailed" if not tag else "ok" if fits else "Conflict"
        self.told(lambda: self.kms.update(name, min_verify_version=number, if_match=if_match), expected)
        if expected == "ok" and number != key.min_verify:
            key.min_verify = number
            key.revision += 1

    @rule(name=keys, on=st.booleans())
    def protect(self, name: str, on: bool) -> None:
        key = self.model[name]
        may = not on or key.state == "enabled"
        self.told(lambda: self.kms.update(name, deletion_protection=on), "ok" if may else "Conflict")
        if may and key.protected != on:
            key.protected = on
            key.revision += 1

    @rule(name=keys, days=st.sampled_from([7, 30, 60]))
    def destroy(self, name: str, days: int) -> None:
        key = self.model[name]
        may = not key.protected and key.state == "enabled"
        self.told(lambda: self.kms.destroy(name, window_seconds=days * 86400), "ok" if may else "Conflict")
        if may:
            key.due = days
            key.revision += 1
            for version in key.versions:
                if version.due is not None:
                    version.due = min(version.due, days)
                elif not version.gone:
                    key.condemn(version, days)

    @rule(name=keys, which=st.integers(0, 5), days=st.sampled_from([7, 30, 60]))
    def destroy_version(self, name: str, which: int, days: int) -> None:
        key = self.model[name]
        number = which % len(key.versions) + 1
        version = key.versions[number - 1]
        may = not key.protected and not version.gone and version.due is None
        kid = f"{name}#v{number}"
        self.told(lambda: self.kms.destroy(kid, window_seconds=days * 86400), "ok" if may else "Conflict")
        if may:
            key.condemn(version, days)
            key.revision += 1

    @rule(name=keys)
    def restore(self, name: str) -> None:
        key = self.model[name]
        may = key.state == "pending-destruction"
        self.told(lambda: self.kms.restore(name), "ok" if may else "Conflict")
        if may:
            key.due = None
            key.revision += 1
            for version in key.versions:
                if version.due is not None:
                    key.restore(version)

    @rule(name=keys, which=st.integers(0, 5))
    def restore_version(self, name: str, which: int) -> None:
        key = self.model[name]
        number = which % len(key.versions) + 1
        version = key.versions[number - 1]
        may = key.state == "enabled" and version.due is not None
        self.told(lambda: self.kms.restore(f"{name}#v{number}"), "ok" if may else "Conflict")
        if may:
            key.restore(version)
            key.revision += 1

    @rule(days=st.sampled_from([6, 8, 31, 61]))
    def time_goes_by(self, days: int) -> None:
        done = do_due(self.kms, DESTROY, datetime.now(UTC) + timedelta(days=days))
        expected = set()
        for name, key in self.model.items():
            due = [version for version in key.versions if version.due is not None and version.due < days]
            for version in due:
                version.due, version.gone = None, True
                if version.state != "compromised":
                    version.state = "destroyed"
            if due:
                key.revision += 2  # wiped, then destroyed
            if key.due is not None and key.due < days and all(version.gone for version in key.versions):
                key.revision += not due
                key.due, key.gone = None, True
                due = key.versions
            if due:
                expected.add(name)
        assert set(done) == expected

    @rule(name=keys)
    def sign(self, name: str) -> None:
        newest = self.model[name].versions[-1]
        expected = "ok" if newest.state == "enabled" else "KeyDisabled"
        newest.signed = self.told(lambda: self.kms.sign(name, digest=DIGEST), expected) or newest.signed

    @rule(name=keys)
    def verify(self, name: str) -> None:
        key = self.model[name]
        for number, version in enumerate(key.versions, 1):
            if version.signed is not None:
                below = "below_minimum" if number < key.min_verify else "ok"
                assert holds(self.kms, version.signed) == ("compromised" if version.state == "compromised" else below)

    @rule()
    @precondition(lambda self: bool(self.model))
    def restart(self) -> None:
        self.kms.close()
        self.kms = self.place.open()

    @invariant()
    def the_store_is_as_the_model(self) -> None:
        for name, key in self.model.items():
            found = self.kms.get(name)
            assert (found.state, found.etag) == (key.state, str(key.revision))
            assert (found.min_verify_version, found.deletion_protection) == (key.min_verify, key.protected)
            told = [
                (version.suite, version.state, isinstance(version.destroyed, datetime)) for version in found.versions
            ]
            assert told == [(version.suite, version.state, version.gone) for version in key.versions]


TestLife = Life.TestCase
TestLife.pytestmark = [pytest.mark.timeout(count(120, 1800))]  # type: ignore[attr-defined]
TestLife.settings = settings(max_examples=count(10, 300), stateful_step_count=count(30, 60), deadline=None)
