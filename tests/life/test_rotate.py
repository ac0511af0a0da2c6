"""The next version of a key: of which suite, how often, and when several ask for it at once."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ron_kms.crypto.suites import SUITES
from ron_kms.errors import BadRequest, Conflict, KeyDisabled, KmsError, NotFound, PolicyRefused, Unsupported
from ron_kms.keys import life
from ron_kms.model import new_uuid
from ron_kms.service.local import LocalKms
from tests.life.place import DIGEST, Place, holds, make

SIGNING = [name for name, suite in SUITES.items() if suite.use == "sign"]


def rotate(kms: LocalKms, key: str) -> str:
    """The new version's kid, or the code of the refusal."""
    try:
        return kms.rotate(key).kid
    except KmsError as error:
        return error.code


def test_the_new_version_signs_and_the_old_ones_go_on_verifying(kms: LocalKms) -> None:
    key = make(kms)
    first = kms.sign(key, digest=DIGEST)
    answer = kms.rotate(key)
    assert (answer.kid, answer.previous) == (f"{key}#v2", f"{key}#v1")
    second = kms.sign(key, digest=DIGEST)
    assert second.kid == f"{key}#v2"
    assert [holds(kms, signed) for signed in (first, second)] == ["ok", "ok"]
    with pytest.raises(Conflict):
        kms.sign(f"{key}#v1", digest=DIGEST)
    found = kms.get(key)
    assert (found.newest, found.etag, [version.kid for version in found.versions]) == (
        2,
        "2",
        [f"{key}#v1", f"{key}#v2"],
    )


def test_a_key_has_a_bounded_number_of_versions(kms: LocalKms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(life, "VERSIONS_MAX", 2)
    key = make(kms)
    kms.rotate(key)
    with pytest.raises(Conflict, match="at most 2 versions"):
        kms.rotate(key)
    assert kms.sign(key, digest=DIGEST).kid == f"{key}#v2"


def test_what_was_wrapped_and_sealed_before_still_opens(kms: LocalKms) -> None:
    wrapping, sealing = make(kms, "wrap", "x25519"), make(kms, "seal", None)
    wrapped, sealed = kms.wrap(wrapping, plaintext=b"data key"), kms.seal(sealing, b"data")
    for key in (wrapping, sealing):
        kms.rotate(key)
    assert kms.unwrap(wrapping, wrapped.wrapped) == b"data key"
    assert kms.open(sealing, sealed.sealed) == b"data"
    again = kms.rewrap(wrapping, wrapped.wrapped)
    assert again.kid == f"{wrapping}#v2"
    assert kms.unwrap(wrapping, again.wrapped) == b"data key"


@pytest.mark.parametrize("present", SIGNING)
def test_a_suite_becomes_a_stronger_one_and_never_a_weaker_one(kms: LocalKms, present: str) -> None:
    for wanted in SIGNING:
        key = make(kms, suite=present)
        if SUITES[present].may_become(SUITES[wanted]):
            kms.rotate(key, suite=wanted)
            assert [version.suite for version in kms.get(key).versions] == [present, wanted]
            assert holds(kms, kms.sign(key, digest=DIGEST)) == "ok"
        else:
            with pytest.raises(PolicyRefused):
                kms.rotate(key, suite=wanted)
            assert kms.get(key).newest == 1


def test_an_alias_names_its_suite_and_another_use_has_none(kms: LocalKms) -> None:
    key = make(kms)
    kms.rotate(key, suite="hybrid")
    assert kms.get(key).versions[1].suite == "ed25519+ml-dsa-65"
    for suite in ("x25519", "ed448", ""):
        with pytest.raises(Unsupported):
            kms.rotate(key, suite=suite)


def test_a_kid_with_its_version_says_which_one_is_taken_for_the_newest(kms: LocalKms) -> None:
    key = make(kms)
    kms.rotate(f"{key}#v1")
    for version in (1, 3):
        with pytest.raises(Conflict):
            kms.rotate(f"{key}#v{version}")
    assert kms.get(key).newest == 2


def test_keys_that_are_not_there_or_not_alive_do_not_rotate(kms: LocalKms) -> None:
    with pytest.raises(NotFound):
        kms.rotate(f"acme/audit/{new_uuid()}")
    with pytest.raises(BadRequest):
        kms.rotate("x" * 50)
    key = make(kms)
    kms.destroy(key)
    with pytest.raises(KeyDisabled, match="pending"):
        kms.rotate(key)
    kms.restore(key)
    kms.rotate(key)


def test_a_key_whose_newest_version_is_disabled_rotates_when_asked(kms: LocalKms) -> None:
    key = make(kms)
    kms.set_state(f"{key}#v1", "compromised")
    kms.rotate(key)
    assert kms.sign(key, digest=DIGEST).kid == f"{key}#v2"


def test_of_rotations_that_race_one_wins_and_versions_are_contiguous(kms: LocalKms) -> None:
    key = make(kms)
    with ThreadPoolExecutor(8) as pool:
        told = Counter(pool.map(lambda _: rotate(kms, key), range(40)))
    conflicts = told.pop("Conflict", 0)
    assert conflicts
    assert conflicts + len(told) == 40
    assert set(told) == {f"{key}#v{n}" for n in range(2, 42 - conflicts)}
    assert [version.kid for version in kms.get(key).versions] == [f"{key}#v{n}" for n in range(1, 42 - conflicts)]


def test_signing_during_rotations_uses_one_version_or_the_other(kms: LocalKms) -> None:
    key = make(kms, suite="hybrid")
    with ThreadPoolExecutor(3) as pool:
        signing = [pool.submit(lambda: [kms.sign(key, digest=DIGEST) for _ in range(50)]) for _ in range(2)]
        for _ in range(10):
            kms.rotate(key)
        signed = [answer for future in signing for answer in future.result()]
    for answer in signed:
        verified = kms.verify(answer.kid, answer.sigs, digest=DIGEST)
        assert verified.details.satisfied_mode == "and"
    assert kms.sign(key, digest=DIGEST).kid == f"{key}#v11"


def test_two_processes_race_and_versions_are_contiguous(kms: LocalKms, place: Place) -> None:
    key = make(kms)
    script = Path(__file__).with_name("rotator.py")
    processes = [
        subprocess.Popen(
            [sys.executable, str(script), place.url, place.seal, key, "30"], stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    told = Counter(line for process in processes for line in process.communicate(timeout=60)[0].split())
    assert [process.returncode for process in processes] == [0, 0]
    conflicts = told.pop("Conflict", 0)
    assert set(told.values()) == {1}
    assert set(told) == {f"{key}#v{n}" for n in range(2, 62 - conflicts)}
    assert [version.kid for version in kms.get(key).versions] == [f"{key}#v{n}" for n in range(1, 62 - conflicts)]
