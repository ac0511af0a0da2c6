"""Destruction: its window, taking it back, and what is left on the disk."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest
from pysqlite3 import dbapi2 as sqlite

from ron_kms.errors import BadRequest, Conflict, KeyDisabled, NotFound
from ron_kms.model import Kid
from ron_kms.service.due import DESTROY
from ron_kms.service.local import LocalKms
from ron_kms.store.keys import load_key
from tests.counts import count
from tests.life.place import DIGEST, Place, do_due, holds, make, states

DAY = 86400


def later(days: float) -> datetime:
    return datetime.now(UTC) + timedelta(days=days)


def destroy(kms: LocalKms, days: float) -> list[str]:
    """What is destroyed so many days from now."""
    return do_due(kms, DESTROY, later(days))


def blobs(kms: LocalKms, key: str) -> list[bytes]:
    inner = kms._kms
    found = inner.database.read(lambda connection: load_key(connection, inner.rows, Kid.parse(key))).result()
    assert found is not None
    return [version.blob for version in found[1]]


def on_disk(place: Place, blob: bytes) -> bool:
    """Whether a piece of it is in the store's file or its log."""
    data = b"".join(file.read_bytes() for file in place.folder.glob("keys.db*"))
    return any(blob[at : at + 24] in data for at in range(0, len(blob) - 24, 24))


def test_a_key_goes_after_its_window_and_its_public_keys_stay(kms: LocalKms, place: Place) -> None:
    key = make(kms, suite="hybrid")
    signed = kms.sign(key, digest=DIGEST)
    kms.rotate(key)
    public = [version.public for version in kms.get(key).versions]
    sealed = blobs(kms, key)
    assert all(on_disk(place, blob) for blob in sealed)
    answer = kms.destroy(key)
    assert answer.state == "pending-destruction"
    assert isinstance(answer.destroy_at, datetime)
    assert abs(answer.destroy_at - later(30)) < timedelta(minutes=1)
    with pytest.raises(KeyDisabled, match="pending"):
        kms.sign(key, digest=DIGEST)
    assert destroy(kms, 29.9) == []
    assert states(kms, key) == ["pending-destruction"] * 2
    assert destroy(kms, 30.1) == [key]
    assert not any(on_disk(place, blob) for blob in sealed)
    found = kms.get(key)
    assert found.state == "destroyed"
    assert isinstance(found.destroyed, datetime)
    assert [version.state for version in found.versions] == ["destroyed"] * 2
    assert [version.public for version in found.versions] == public
    assert holds(kms, signed) == "ok"
    assert destroy(kms, 1000) == []
    with pytest.raises(KeyDisabled, match="destroyed"):
        kms.sign(key, digest=DIGEST)
    with pytest.raises(KeyDisabled, match="destroyed"):
        kms.rotate(key)
    with pytest.raises(Conflict, match="destroyed"):
        kms.restore(key)
    with pytest.raises(Conflict, match="destroyed"):
        kms.destroy(key)


def test_one_version_goes_and_the_others_stay(kms: LocalKms, place: Place) -> None:
    key = make(kms, "seal", None, versions=3)
    sealed = blobs(kms, key)
    kms.destroy(f"{key}#v2", window_seconds=7 * DAY)
    assert states(kms, key) == ["enabled", "pending-destruction", "enabled"]
    assert destroy(kms, 7.1) == [key]
    assert states(kms, key) == ["enabled", "destroyed", "enabled"]
    assert [on_disk(place, blob) for blob in sealed] == [True, False, True]
    assert kms.get(key).state == "enabled"
    kms.seal(key, b"data")


@pytest.mark.parametrize("window", [0, 7 * DAY - 1, 366 * DAY + 1, -1])
def test_the_window_has_bounds(kms: LocalKms, window: int) -> None:
    with pytest.raises(BadRequest, match="window_seconds"):
        kms.destroy(make(kms), window_seconds=window)


@pytest.mark.parametrize("before", ["enabled", "disabled"])
def test_what_is_restored_is_as_it_was(kms: LocalKms, before: str) -> None:
    key = make(kms, versions=2)
    kms.set_state(f"{key}#v1", before)  # type: ignore[arg-type]
    kms.destroy(key)
    answer = kms.restore(key)
    assert answer.state == "enabled"
    assert states(kms, key) == [before, "enabled"]
    kms.destroy(f"{key}#v1")
    assert kms.restore(f"{key}#v1").state == before
    assert destroy(kms, 400) == []
    kms.sign(key, digest=DIGEST)


def test_a_key_takes_its_versions_along_and_gives_them_back(kms: LocalKms) -> None:
    key = make(kms, versions=4)
    kms.destroy(f"{key}#v1", window_seconds=10 * DAY)
    kms.destroy(f"{key}#v2", window_seconds=60 * DAY)
    assert destroy(kms, 10.1) == [key]
    kms.destroy(f"{key}#v3", window_seconds=10 * DAY)
    kms.destroy(key, window_seconds=30 * DAY)
    with pytest.raises(Conflict, match="as a whole"):
        kms.restore(f"{key}#v3")
    assert states(kms, key) == ["destroyed", *["pending-destruction"] * 3]
    kms.restore(key)
    assert states(kms, key) == ["destroyed", *["enabled"] * 3]
    kms.destroy(f"{key}#v3", window_seconds=10 * DAY)
    kms.destroy(key, window_seconds=30 * DAY)
    assert destroy(kms, 10.1) == [key]
    assert states(kms, key) == ["destroyed", "pending-destruction", "destroyed", "pending-destruction"]
    assert kms.get(key).state == "pending-destruction"
    assert destroy(kms, 30.1) == [key]
    assert kms.get(key).state == "destroyed"


def test_a_compromised_version_stays_so_and_loses_its_private_key(kms: LocalKms, place: Place) -> None:
    key = make(kms, versions=2)
    sealed = blobs(kms, key)
    kms.set_state(f"{key}#v1", "compromised")
    kms.destroy(key)
    assert states(kms, key) == ["compromised", "pending-destruction"]
    kms.set_state(f"{key}#v2", "compromised")
    assert destroy(kms, 31) == [key]
    found = kms.get(key)
    assert (found.state, states(kms, key)) == ("destroyed", ["compromised"] * 2)
    assert all(isinstance(version.destroyed, datetime) for version in found.versions)
    assert not any(on_disk(place, blob) for blob in sealed)


def test_protection_refuses_until_it_is_turned_off(kms: LocalKms) -> None:
    key = make(kms)
    kms.update(key, deletion_protection=True)
    for name in (key, f"{key}#v1"):
        with pytest.raises(Conflict, match="protected"):
            kms.destroy(name)
    kms.update(key, deletion_protection=False)
    kms.destroy(key)
    with pytest.raises(Conflict, match="pending"):
        kms.update(key, deletion_protection=True)


def test_what_is_not_there_or_not_pending(kms: LocalKms) -> None:
    key = make(kms)
    for name in (f"{key}#v2", f"{key[:-4]}0000"):
        for verb in (kms.destroy, kms.restore):
            with pytest.raises(NotFound):
                verb(name)
    for name in (key, f"{key}#v1"):
        with pytest.raises(Conflict):
            kms.restore(name)
        kms.destroy(name)
        with pytest.raises(Conflict):
            kms.destroy(name)
        kms.restore(name)


def test_a_private_key_that_was_loaded_is_gone_too(kms: LocalKms) -> None:
    key = make(kms)
    kms.sign(key, digest=DIGEST)
    assert kms._kms.custodian.loaded == 1
    kms.destroy(key)
    assert kms._kms.custodian.loaded == 0


def test_many_keys_that_changed_a_lot_leave_nothing_behind(kms: LocalKms, place: Place) -> None:
    chance = random.Random(4)
    keys = [make(kms, suite=chance.choice(["ed25519", "hybrid"])) for _ in range(count(40, 400))]
    for _ in range(4 * len(keys)):
        key = chance.choice(keys)
        match chance.randrange(4):
            case 0:
                kms.rotate(key)
            case 1:
                kms.update(key, labels={"note": "x" * chance.randrange(255)})
            case 2:
                kms.set_state(f"{key}#v1", "disabled")
            case 3:
                kms.set_state(f"{key}#v1", "enabled")
    doomed = set(chance.sample(keys, len(keys) // 2))
    sealed = {blob: key in doomed for key in keys for blob in blobs(kms, key)}
    for key in doomed:
        kms.destroy(key)
    assert set(destroy(kms, 31)) == doomed
    data = b"".join(file.read_bytes() for file in place.folder.glob("keys.db*"))
    for blob, gone in sealed.items():
        places = chance.sample(range(len(blob) - 24), 8)
        found = [blob[at : at + 24] in data for at in places]
        assert not any(found) if gone else any(found)


def test_a_reader_that_does_not_end_puts_it_off(kms: LocalKms, place: Place) -> None:
    key = make(kms)
    kms.destroy(key)
    [sealed] = blobs(kms, key)
    reader = sqlite.connect(str(place.file), isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM keys").fetchone()
    with pytest.raises(Conflict, match="a reader keeps its trace"):
        destroy(kms, 31)
    assert states(kms, key) == ["pending-destruction"]
    with pytest.raises(KeyDisabled, match="pending"):
        kms.sign(key, digest=DIGEST)
    reader.close()
    assert destroy(kms, 31) == [key]
    assert not on_disk(place, sealed)
