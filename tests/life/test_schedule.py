"""Rotation on a schedule, done when it is due by whoever has that duty."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection

from ron_kms.errors import StoreUnavailable
from ron_kms.service.due import DESTROY, ROTATE
from ron_kms.service.local import LocalKms
from tests.life.place import DIGEST, do_due, holds, make

HOUR = 3600


def rotate(kms: LocalKms, seconds: float) -> list[str]:
    """What is rotated so many seconds from now."""
    return do_due(kms, ROTATE, datetime.now(UTC) + timedelta(seconds=seconds))


def next_rotation(kms: LocalKms, key: str) -> float | None:
    """In seconds after the newest version was made."""
    found = kms.get(key)
    due = found.next_rotation
    return (due - found.versions[-1].created).total_seconds() if isinstance(due, datetime) else None


def test_a_key_rotates_when_it_is_due_and_once(kms: LocalKms) -> None:
    key, other = make(kms), make(kms)
    signed = kms.sign(key, digest=DIGEST)
    kms.update(key, rotation_period=HOUR)
    assert next_rotation(kms, key) == HOUR
    assert rotate(kms, HOUR - 10) == []
    assert rotate(kms, HOUR + 10) == [key]
    assert (kms.get(key).newest, kms.get(other).newest) == (2, 1)
    assert next_rotation(kms, key) == HOUR
    assert kms.sign(key, digest=DIGEST).kid == f"{key}#v2"
    assert holds(kms, signed) == "ok"


def test_after_a_long_time_it_rotates_once_not_as_often_as_it_missed(kms: LocalKms) -> None:
    key = make(kms)
    kms.update(key, rotation_period=HOUR)
    assert len(rotate(kms, 1000 * HOUR)) == 1
    assert rotate(kms, HOUR - 10) == []


def test_a_rotation_by_hand_counts(kms: LocalKms) -> None:
    key = make(kms)
    kms.update(key, rotation_period=HOUR)
    before = kms.get(key).next_rotation
    kms.rotate(key)
    after = kms.get(key).next_rotation
    assert isinstance(before, datetime)
    assert isinstance(after, datetime)
    assert after > before


def test_no_period_no_rotation(kms: LocalKms) -> None:
    key = make(kms)
    kms.update(key, rotation_period=HOUR)
    kms.update(key, rotation_period=None)
    assert next_rotation(kms, key) is None
    assert rotate(kms, 1000 * HOUR) == []


@pytest.mark.parametrize("how", ["disabled", "compromised", "destroy", "destroy-version"])
def test_a_key_that_is_not_in_use_does_not_rotate_by_itself(kms: LocalKms, how: str) -> None:
    key = make(kms)
    kms.update(key, rotation_period=HOUR)
    match how:
        case "disabled" | "compromised":
            kms.set_state(f"{key}#v1", how)
        case "destroy":
            kms.destroy(key)
        case "destroy-version":
            kms.destroy(f"{key}#v1")
    assert next_rotation(kms, key) is None
    assert rotate(kms, 1000 * HOUR) == []
    match how:
        case "disabled":
            kms.set_state(f"{key}#v1", "enabled")
        case "compromised":
            kms.rotate(key)
        case "destroy":
            kms.restore(key)
        case "destroy-version":
            kms.restore(f"{key}#v1")
    assert next_rotation(kms, key) == HOUR


def test_the_longest_overdue_come_first(kms: LocalKms) -> None:
    keys = [make(kms) for _ in range(5)]
    for period, key in zip((500, 300, 100, 400, 200), keys, strict=True):
        kms.update(key, rotation_period=period)
    assert rotate(kms, 350) == [keys[2], keys[4], keys[1]]


def test_whoever_has_lost_the_duty_writes_nothing(kms: LocalKms) -> None:
    key, doomed = make(kms), make(kms)
    kms.update(key, rotation_period=HOUR)
    kms.destroy(doomed)
    later = datetime.now(UTC) + timedelta(days=31)

    def lost(_: Connection) -> None:
        raise StoreUnavailable("the lease is another's")

    for job in (ROTATE, DESTROY):
        with pytest.raises(StoreUnavailable, match="lease"):
            do_due(kms, job, later, lost)
    assert kms.get(key).newest == 1
    assert kms.get(doomed).state == "pending-destruction"
    assert do_due(kms, ROTATE, later) == [key]
    assert do_due(kms, DESTROY, later) == [doomed]
