"""The count of changes."""

from __future__ import annotations

import pytest
from sqlalchemy import delete, update

from ron_kms.errors import StoreCorrupt
from ron_kms.store import changes
from ron_kms.store.bootstrap import Store
from ron_kms.store.changes import Change
from ron_kms.store.schema import CHANGES


def record(store: Store, name: str) -> int:
    return store.database.write(lambda c: changes.record(c, store.rows, "key", name)).result()


def since(store: Store, after: int, limit: int = 100) -> list[Change]:
    return store.database.read(lambda c: changes.since(c, store.rows, after, limit)).result()


def test_changes_are_counted_without_gaps(store: Store) -> None:
    assert store.database.read(lambda c: changes.latest(c, store.rows)).result() == 0
    assert since(store, 0) == []
    assert [record(store, f"k{n}") for n in range(5)] == [1, 2, 3, 4, 5]
    assert store.database.read(lambda c: changes.latest(c, store.rows)).result() == 5
    assert since(store, 0) == [Change(n, "key", f"k{n - 1}") for n in range(1, 6)]
    assert since(store, 3) == [Change(4, "key", "k3"), Change(5, "key", "k4")]
    assert since(store, 5) == []
    assert [change.n for change in since(store, 0, 2)] == [1, 2]
    assert [change.n for change in since(store, 2, 2)] == [3, 4]


@pytest.mark.parametrize("gone", [1, 3, 5])
def test_a_change_that_was_taken_out_is_missed(store: Store, gone: int) -> None:
    for n in range(5):
        record(store, f"k{n}")
    store.database.write(lambda c: c.execute(delete(CHANGES).where(CHANGES.c.n == gone)) and None).result()
    with pytest.raises(StoreCorrupt, match=f"row {gone} of table changes is missing"):
        since(store, 0 if gone < 5 else 5)


def prune(store: Store, upto: int) -> None:
    store.database.write(lambda c: changes.prune(c, store.rows, upto)).result()


def pruned(store: Store) -> int:
    return store.database.read(lambda c: changes.pruned(c, store.rows)).result()


def test_those_that_are_not_kept_are_stood_for(store: Store) -> None:
    for n in range(8):
        record(store, f"k{n}")
    assert pruned(store) == 0
    prune(store, 1)
    assert pruned(store) == 0, "there is nothing before the first"
    prune(store, 5)
    assert pruned(store) == 5
    stands = Change(5, changes.PRUNED, "5")
    kept = [Change(n, "key", f"k{n - 1}") for n in (6, 7, 8)]
    assert since(store, 5) == kept, "whoever has come as far has seen all"
    for after in (0, 1, 4):
        assert since(store, after) == [stands, *kept]
        assert since(store, after, 2) == [stands, kept[0]]
    assert since(store, 8) == []
    assert record(store, "more") == 9
    prune(store, 7)
    assert since(store, 2) == [Change(7, changes.PRUNED, "7"), kept[2], Change(9, "key", "more")]


@pytest.mark.parametrize("gone", [5, 6])
def test_what_others_take_out_is_missed_also_where_some_are_not_kept(store: Store, gone: int) -> None:
    for n in range(8):
        record(store, f"k{n}")
    prune(store, 5)
    store.database.write(lambda c: c.execute(delete(CHANGES).where(CHANGES.c.n == gone)) and None).result()
    for after in (0, 3, 5):
        with pytest.raises(StoreCorrupt, match="is missing"):
            since(store, after)


def test_recording_takes_out_the_oldest(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "KEPT", 10)
    monkeypatch.setattr(changes, "_PRUNE_EVERY", 5)
    monkeypatch.setattr(changes, "_PRUNED_AT_ONCE", 8)
    for n in range(1, 60):
        assert record(store, "k") == n
        oldest = since(store, 0)[0].n
        assert n - oldest <= 15
    assert pruned(store) == 45


def test_an_edited_old_row_stops_no_change(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "KEPT", 3)
    monkeypatch.setattr(changes, "_PRUNE_EVERY", 5)
    for _ in range(4):
        record(store, "k")
    store.database.write(lambda c: c.execute(update(CHANGES).where(CHANGES.c.n == 2).values(id="x")) and None).result()
    assert record(store, "k") == 5
    assert pruned(store) == 0
