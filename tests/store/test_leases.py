"""Leases: one holder at a time, and no write by one who lost it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import delete

from ron_kms.store import leases
from ron_kms.store.bootstrap import Store
from ron_kms.store.leases import Lease, LeaseLost
from ron_kms.store.schema import LEASES
from tests.store.sample import NOW

TEN = timedelta(seconds=10)


def acquire(store: Store, holder: str, at: float = 0) -> Lease | None:
    now = NOW + timedelta(seconds=at)
    return store.database.write(lambda c: leases.acquire(c, store.rows, "work", holder, now, TEN)).result()


def require(store: Store, lease: Lease | None) -> None:
    assert lease is not None
    store.database.write(lambda c: leases.require(c, store.rows, lease)).result()


def release(store: Store, lease: Lease | None, at: float = 0) -> None:
    assert lease is not None
    now = NOW + timedelta(seconds=at)
    store.database.write(lambda c: leases.release(c, store.rows, lease, now)).result()


def test_one_holder_until_it_ends(store: Store) -> None:
    a = acquire(store, "a")
    assert a == Lease("work", "a", 1)
    assert acquire(store, "b", 9) is None
    assert acquire(store, "b", 11.9) is None  # the clocks of both may differ
    require(store, a)
    b = acquire(store, "b", 12)
    assert b == Lease("work", "b", 2)
    with pytest.raises(LeaseLost):
        require(store, a)
    require(store, b)
    assert acquire(store, "a", 13) is None


def test_a_holder_prolongs_its_own(store: Store) -> None:
    a = acquire(store, "a")
    assert acquire(store, "a", 9) == a
    assert acquire(store, "b", 15) is None
    assert acquire(store, "a", 60) == a  # nobody else wanted it


def test_released_it_is_free_at_once(store: Store) -> None:
    a = acquire(store, "a")
    release(store, a, 1)
    require(store, a)  # nobody has come in between
    b = acquire(store, "b", 1)
    assert b == Lease("work", "b", 2)
    release(store, a, 2)  # not a's to give any more
    require(store, b)
    assert acquire(store, "c", 3) is None


def test_leases_of_other_names_are_others(store: Store) -> None:
    acquire(store, "a")
    other = store.database.write(lambda c: leases.acquire(c, store.rows, "other", "b", NOW, TEN)).result()
    assert other == Lease("other", "b", 1)


def test_a_date_that_no_holder_can_have_meant_holds_nobody_up(store: Store) -> None:
    acquire(store, "a", 3600)  # then the clock is set back
    assert acquire(store, "b", 0) == Lease("work", "b", 2)


def test_a_lease_is_short(store: Store) -> None:
    with pytest.raises(ValueError, match="a minute"):
        store.database.write(lambda c: leases.acquire(c, store.rows, "work", "a", NOW, timedelta(minutes=2))).result()


def test_a_lost_row_gives_no_right(store: Store) -> None:
    a = acquire(store, "a")
    store.database.write(lambda c: c.execute(delete(LEASES)) and None).result()
    with pytest.raises(LeaseLost):
        require(store, a)


def test_what_is_written_under_a_lost_lease_changes_nothing(store: Store) -> None:
    a = acquire(store, "a")
    assert a is not None
    acquire(store, "b", 20)

    def write(connection: object) -> None:
        leases.acquire(connection, store.rows, "trace", "a", NOW, TEN)  # type: ignore[arg-type]
        leases.require(connection, store.rows, a)  # type: ignore[arg-type]

    with pytest.raises(LeaseLost):
        store.database.write(write).result()
    assert store.database.read(lambda c: store.rows.find(c, LEASES, "trace")).result() is None
