"""The count of changes."""

from __future__ import annotations

import pytest
from sqlalchemy import delete

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
