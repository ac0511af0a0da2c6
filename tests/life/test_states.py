"""Who may do what in each state of a version, and which state follows which."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ron_kms.errors import Conflict, KeyDisabled, KmsError
from ron_kms.keys import life
from ron_kms.model import State, Version
from ron_kms.service.due import DESTROY
from ron_kms.service.local import LocalKms
from tests.life.place import DIGEST, do_due, holds, make, states

STATES: tuple[State, ...] = ("enabled", "disabled", "pending-destruction", "destroyed", "compromised")


def put(kms: LocalKms, kid: str, state: State) -> None:
    """Bring a version into a state, by whatever leads there."""
    match state:
        case "pending-destruction":
            kms.destroy(kid)
        case "destroyed":
            kms.destroy(kid)
            do_due(kms, DESTROY, datetime.now(UTC) + timedelta(days=31))
        case _:
            kms.set_state(kid, state)


def outcome(act: Callable[[], object]) -> str:
    try:
        act()
    except KmsError as error:
        return error.code
    return "ok"


@pytest.mark.parametrize("state", STATES)
def test_the_newest_version(kms: LocalKms, state: State) -> None:
    signing, wrapping, sealing = make(kms, versions=2), make(kms, "wrap", None, 2), make(kms, "seal", None, 2)
    signed = kms.sign(signing, digest=DIGEST)
    wrapped, sealed = kms.wrap(wrapping, plaintext=b"x").wrapped, kms.seal(sealing, b"x").sealed
    for key in (signing, wrapping, sealing):
        put(kms, f"{key}#v2", state)
    expected = "ok" if state == "enabled" else "KeyDisabled"
    assert {
        outcome(lambda: kms.sign(signing, digest=DIGEST)),
        outcome(lambda: kms.wrap(wrapping, plaintext=b"x")),
        outcome(lambda: kms.unwrap(wrapping, wrapped)),
        outcome(lambda: kms.seal(sealing, b"x")),
        outcome(lambda: kms.open(sealing, sealed)),
    } == {expected}
    assert holds(kms, signed) == ("compromised" if state == "compromised" else "ok")
    assert states(kms, signing) == ["enabled", state]


@pytest.mark.parametrize("state", STATES)
def test_an_older_version(kms: LocalKms, state: State) -> None:
    wrapping, sealing = make(kms, "wrap", None), make(kms, "seal", None)
    wrapped, sealed = kms.wrap(wrapping, plaintext=b"x").wrapped, kms.seal(sealing, b"x").sealed
    for key in (wrapping, sealing):
        kms.rotate(key)
        put(kms, f"{key}#v1", state)
        kms.wrap(key, plaintext=b"x") if key is wrapping else kms.seal(key, b"x")
    expected = "ok" if state == "enabled" else "KeyDisabled"
    assert {
        outcome(lambda: kms.unwrap(wrapping, wrapped)),
        outcome(lambda: kms.rewrap(wrapping, wrapped)),
        outcome(lambda: kms.open(sealing, sealed)),
    } == {expected}


FOLLOWS: dict[State, set[str]] = {
    "enabled": {"enabled", "disabled", "compromised"},
    "disabled": {"enabled", "disabled", "compromised"},
    "pending-destruction": {"compromised"},
    "destroyed": {"compromised"},
    "compromised": {"compromised"},
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("wanted", ["enabled", "disabled", "compromised"])
def test_what_follows_what(kms: LocalKms, state: State, wanted: Any) -> None:
    key = make(kms)
    put(kms, f"{key}#v1", state)
    before = kms.get(key)
    if wanted in FOLLOWS[state]:
        assert kms.set_state(f"{key}#v1", wanted).state == wanted
        assert kms.get(key).etag == str(int(before.etag) + (wanted != state))
    else:
        with pytest.raises(Conflict):
            kms.set_state(f"{key}#v1", wanted)
        assert kms.get(key) == before


def test_a_version_is_destroyed_only_when_it_was_wiped() -> None:
    now = datetime.now(UTC)
    version = Version(1, "ed25519", "enabled", (b"p",), b"blob", now)
    condemned = life.condemned(version, now)
    assert life.destroyed(condemned, now) == condemned
    assert life.wiped(condemned, now - timedelta(seconds=1)) == condemned
    wiped = life.wiped(condemned, now)
    assert (wiped.blob, wiped.state) == (b"", "pending-destruction")
    assert (life.destroyed(wiped, now).state, life.destroyed(wiped, now).destroyed) == ("destroyed", now)
    assert life.wiped(version, now) == life.destroyed(version, now) == version


def test_minimum_versions(kms: LocalKms) -> None:
    signing, sealing = make(kms), make(kms, "seal", None)
    signed, sealed = [kms.sign(signing, digest=DIGEST)], [kms.seal(sealing, b"x").sealed]
    for _ in range(2):
        kms.rotate(signing)
        kms.rotate(sealing)
        signed.append(kms.sign(signing, digest=DIGEST))
        sealed.append(kms.seal(sealing, b"x").sealed)
    kms.update(signing, min_verify_version=3)
    kms.update(sealing, min_open_version=2)
    assert [holds(kms, each) for each in signed] == ["below_minimum", "below_minimum", "ok"]
    assert outcome(lambda: kms.open(sealing, sealed[0])) == "KeyDisabled"
    assert [kms.open(sealing, each) for each in sealed[1:]] == [b"x", b"x"]
    with pytest.raises(KeyDisabled, match="below 2"):
        kms.open(sealing, sealed[0])
