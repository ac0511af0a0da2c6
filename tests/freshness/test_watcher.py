"""The thread that looks at the count of changes."""

from __future__ import annotations

import gc
import logging
import threading
import time
import weakref
from collections.abc import Iterator, Sequence

import pytest

from ron_kms.errors import StoreUnavailable
from ron_kms.keys import freshness
from ron_kms.keys.freshness import Watcher
from ron_kms.store import changes
from ron_kms.store.bootstrap import Store
from ron_kms.store.changes import Change
from tests.freshness.parts import forge
from tests.store.sample import Place
from tests.waiting import until


def record(store: Store, name: str, kind: str = "key") -> int:
    return store.database.write(lambda c: changes.record(c, store.rows, kind, name)).result()


@pytest.fixture
def watcher(store: Store) -> Iterator[Watcher]:
    watcher = Watcher(store.database, store.rows)
    yield watcher
    watcher.close()


def test_changes_reach_those_who_asked_for_their_kind(store: Store) -> None:
    record(store, "before")
    watcher = Watcher(store.database, store.rows)
    keys: list[Change] = []
    roots: list[Sequence[Change]] = []
    watcher.on("key", keys.extend)
    watcher.on("token-root", roots.append)
    record(store, "a")
    record(store, "r", "token-root")
    record(store, "b")
    record(store, "other", "something-else")
    watcher.look_soon().result(10)
    watcher.close()
    assert keys == [Change(2, "key", "a"), Change(4, "key", "b")]
    assert roots == [(), [Change(3, "token-root", "r")]]


def test_many_changes_at_once(store: Store, watcher: Watcher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freshness, "_PAGE", 7)
    seen: list[Change] = []
    watcher.on("key", seen.extend)
    for future in [
        store.database.write(lambda c, i=i: changes.record(c, store.rows, "key", str(i)))  # type: ignore[misc]
        for i in range(100)
    ]:
        future.result()
    watcher.look_soon().result(10)
    assert [change.id for change in seen] == [str(i) for i in range(100)]


def test_without_being_asked_it_looks_again_and_again(store: Store, watcher: Watcher) -> None:
    seen: list[Change] = []
    watcher.on("key", seen.extend)
    record(store, "a")
    assert until(lambda: seen)
    assert watcher.fresh()
    watcher.require()


def test_a_watcher_that_no_longer_looks_grows_old(store: Store) -> None:
    watcher = Watcher(store.database, store.rows, bound_ms=100)
    assert watcher.fresh()
    watcher.close()
    time.sleep(0.12)
    assert not watcher.fresh()
    with pytest.raises(StoreUnavailable, match="not seen for too long") as caught:
        watcher.require()
    assert caught.value.retry_after
    with pytest.raises(StoreUnavailable):
        watcher.look_soon().result(1)


def test_while_a_change_cannot_be_applied_the_process_is_not_fresh(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    watcher = Watcher(store.database, store.rows, bound_ms=100)
    failing = threading.Event()
    applied: list[Change] = []

    def apply(changed: Sequence[Change]) -> None:
        if failing.is_set():
            raise RuntimeError("secret")
        applied.extend(changed)

    watcher.on("key", apply)
    failing.set()
    record(store, "a")
    assert until(lambda: not watcher.fresh())
    failing.clear()
    assert until(watcher.fresh)
    watcher.close()
    assert applied == [Change(1, "key", "a")]
    assert "RuntimeError" in caplog.text
    assert "secret" not in caplog.text
    assert "seen again" in caplog.text


def test_a_change_that_was_taken_out_ends_freshness_for_good(
    store: Store, watcher: Watcher, caplog: pytest.LogCaptureFixture
) -> None:
    record(store, "a")
    record(store, "b")
    watcher.look_soon().result(10)
    assert watcher.fresh()
    forge(store)
    with caplog.at_level(logging.CRITICAL):
        watcher.look_soon().result(10)
    assert "row 2 of table changes is missing" in caplog.text
    assert watcher.corrupt
    assert record(store, "b again") == 2
    watcher.look_soon().result(10)
    assert not watcher.fresh()
    with pytest.raises(StoreUnavailable, match="edited outside"):
        watcher.require()


def test_a_file_that_was_moved_or_replaced_is_not_looked_at(place: Place, store: Store) -> None:
    watcher = Watcher(store.database, store.rows, bound_ms=200)
    elsewhere = place.file.with_name("elsewhere.db")
    place.file.rename(elsewhere)
    assert until(lambda: not watcher.fresh())
    place.file.write_bytes(elsewhere.read_bytes())
    watcher.look_soon().result(10)
    assert not watcher.fresh()
    elsewhere.rename(place.file)
    assert until(watcher.fresh)
    watcher.close()


def test_a_watcher_that_is_let_go_of_ends(store: Store) -> None:
    before = threading.active_count()
    gone = weakref.ref(Watcher(store.database, store.rows))
    gc.collect()
    assert until(lambda: gone() is None and threading.active_count() == before)
