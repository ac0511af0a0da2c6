"""The cache of keys: its bounds, its TTL, and what it does while the store is away."""

from __future__ import annotations

import logging
import tracemalloc
from concurrent.futures import Future
from typing import Any

import pytest

from ron_kms.crypto.suites import SUITES
from ron_kms.errors import StoreCorrupt, StoreUnavailable
from ron_kms.keys.directory import Bounds, Directory
from ron_kms.keys.entry import Entry, weight
from ron_kms.model import Key, Kid, Version, new_uuid
from ron_kms.store.bootstrap import Store
from ron_kms.store.horizon import Horizon
from tests.caching.parts import NOW, Cache, Switched, block, make, touch
from tests.store.sample import Place
from tests.store.test_tamper import edit

TTL = 100.0


@pytest.fixture
def cache(store: Store) -> Cache:
    return Cache(store, Bounds(ttl=TTL))


def test_a_used_entry_is_refreshed_after_the_ttl(store: Store, cache: Cache) -> None:
    kid = make(store)
    assert cache.age(kid) == 0
    cache.clock.now += TTL
    assert cache.age(kid) == TTL
    assert cache.switch.reads == 1
    cache.clock.now += 1
    cache.age(kid)
    assert cache.switch.reads == 2
    assert cache.age(kid) == 0
    counts = cache.directory.tend()
    assert (counts.hits, counts.misses, counts.stale, counts.entries) == (3, 1, 0, 1)
    assert (counts.age_ms, counts.stale_ms, counts.failures) == (0, 0, 0)


def test_a_refresh_keeps_the_entry_where_nothing_was_changed(store: Store, cache: Cache) -> None:
    kid = make(store)
    entry = cache.find(kid)
    cache.clock.now += TTL + 1
    cache.find(kid)
    assert cache.find(kid) is entry
    touch(store, kid)  # and nobody has told
    cache.clock.now += TTL + 1
    cache.find(kid)
    changed = cache.find(kid)
    assert isinstance(changed, Entry)
    assert changed is not entry
    assert changed.key.min_verify_version == 2


def test_while_the_store_is_away_it_is_given_until_twice_the_ttl(
    store: Store, cache: Cache, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    kid = make(store)
    cache.find(kid)
    cache.switch.away = True
    for _ in range(20):
        cache.clock.now += TTL / 10
        assert cache.age(kid) > 0
        cache.directory.tend()
    counts = cache.directory.counts()
    assert counts.age_ms == 2 * TTL * 1000
    assert counts.failing
    assert not counts.kept_up
    assert counts.failures > 5
    assert [record.message for record in caplog.records] == ["cached keys cannot be refreshed: the store is away"] * 2
    cache.clock.now += 1
    assert isinstance(cache.find(kid), StoreUnavailable)
    counts = cache.directory.tend()
    assert (counts.stale, counts.entries) == (1, 0)
    assert counts.stale_ms > 2 * TTL * 1000, "it goes on growing, so that an alert on it stays"
    cache.switch.away = False
    cache.clock.now += 1
    assert cache.age(kid) == 0
    counts = cache.directory.tend()
    assert cache.directory.counts().kept_up
    assert cache.directory.counts().age_ms == 0
    assert caplog.records[-1].message == "cached keys are refreshed again"


def test_what_nobody_uses_ages_out_and_is_not_called_stale(store: Store, cache: Cache) -> None:
    kid = make(store)
    cache.find(kid)
    cache.clock.now += 2 * TTL
    assert cache.directory.tend().entries == 1
    cache.clock.now += 1
    counts = cache.directory.tend()
    assert (counts.entries, counts.bytes, counts.stale, counts.age_ms) == (0, 0, 0, 0)
    assert cache.switch.reads == 1


def test_one_that_was_used_before_the_ttl_is_refreshed_after_it(store: Store, cache: Cache) -> None:
    used, unused = make(store), make(store)
    cache.find(used)
    cache.find(unused)
    cache.clock.now += TTL / 2
    cache.find(used)
    for _ in range(60):
        cache.clock.now += TTL / 100
        cache.directory.tend()
    ages = [cache.clock.now - cache.directory._entries[kid].read_at for kid in (used, unused)]
    assert ages[0] <= 0.1 * TTL
    assert ages[1] > TTL
    assert cache.switch.reads == 3
    for _ in range(100):
        cache.clock.now += TTL / 100
        cache.directory.tend()
    assert cache.switch.reads == 3, "it was not used since"


def test_every_entry_is_looked_at_within_a_part_of_the_ttl(store: Store, cache: Cache) -> None:
    kids = [make(store) for _ in range(50)]
    for kid in kids * 2:
        cache.find(kid)
    cache.clock.now += TTL
    for _ in range(20):
        cache.clock.now += TTL / 200
        cache.directory.tend()
    assert max(cache.clock.now - entry.read_at for entry in cache.directory._entries.values()) <= 0.1 * TTL


def test_the_store_is_tried_once_a_second_while_it_is_away(store: Store, cache: Cache) -> None:
    kid = make(store)
    cache.find(kid)
    cache.clock.now += TTL + 1
    cache.switch.away = True
    for _ in range(100):
        cache.find(kid)
    assert cache.switch.reads == 2
    cache.clock.now += 1
    cache.find(kid)
    assert cache.switch.reads == 3


def test_many_that_are_due_are_read_together_one_read_at_a_time(store: Store, cache: Cache) -> None:
    kids = [make(store) for _ in range(100)]
    for kid in kids:
        cache.find(kid)
    cache.clock.now += TTL + 1
    cache.switch.reads = 0
    cache.switch.hold()
    for kid in kids:
        cache.find(kid)
    assert cache.switch.reads == 1
    cache.switch.release()  # of the first alone
    for _ in range(3):
        cache.directory.tend()
    assert cache.switch.reads == 3, "64 and the rest"
    assert cache.directory.counts().age_ms == 0


def test_a_refresh_of_an_edited_or_missing_row_ends_its_use(store: Store, cache: Cache, place: Place) -> None:
    edited, gone, good = (make(store) for _ in range(3))
    for kid in (edited, gone, good):
        cache.find(kid)
    edit(
        place,
        f"UPDATE key_versions SET state = 'disabled' WHERE uuid = '{edited.uuid}'",
        f"DELETE FROM key_versions WHERE uuid = '{gone.uuid}'",
        f"DELETE FROM keys WHERE uuid = '{gone.uuid}'",
    )
    cache.clock.now += TTL + 1
    for kid in (edited, gone, good):
        cache.find(kid)
        cache.directory.tend()
    assert cache.directory.cached(edited) is None
    assert cache.directory.cached(gone) is None
    assert cache.directory.cached(good) is not None
    assert isinstance(cache.find(edited), StoreCorrupt)


def test_what_several_ask_for_at_the_same_time_is_read_once(store: Store) -> None:
    kids = [make(store) for _ in range(3)]
    switch = Switched(store)
    waits: list[Future[Any]] = []

    class Paused:
        def __init__(self, future: Future[Any]) -> None:
            self._future = future

        def __await__(self) -> Any:
            yield self._future
            return self._future.result()

    directory = Directory(switch, store.rows, Paused, Horizon(), Bounds())  # type: ignore[arg-type]
    switch.hold()
    asked = [kids[:2], kids[1:], kids]
    finds = [directory.find(each) for each in asked]
    waits = [find.send(None) for find in finds]  # type: ignore[attr-defined]
    assert switch.reads == 2
    assert waits[0].cancel()  # whoever goes away spoils it for nobody else
    switch.release()
    for find, each in list(zip(finds, asked, strict=True))[1:]:
        with pytest.raises(StopIteration) as end:
            find.send(None)  # type: ignore[attr-defined]
        assert set(end.value.value) == set(each)
    finds[0].close()


def test_nobody_joins_a_reading_that_began_before_a_change_he_may_know_of(store: Store, cache: Cache) -> None:
    kid = make(store)
    flights = cache.directory._flights
    cache.switch.hold()
    before = flights.read([kid])
    cache.horizon.note(kid.uuid, touch(store, kid))
    after = flights.read([kid])
    assert cache.switch.reads == 2
    cache.switch.release()
    assert before.result().keys() == after.result().keys() == {kid}


def test_absent_kids_are_not_remembered(store: Store, cache: Cache) -> None:
    absent = Kid("acme", "audit", new_uuid(), 1)
    for _ in range(2):
        assert cache.find(absent) is None
    assert cache.switch.reads == 2
    assert cache.directory.counts().bytes == 0


def test_a_name_that_differs_is_another_key(store: Store, cache: Cache) -> None:
    kid = make(store)
    cache.find(kid.at(None))
    assert cache.directory.cached(kid.at(None)) is cache.directory.cached(kid) is not None
    for other in (kid._replace(tenant="other"), kid._replace(purpose="other")):
        assert cache.directory.cached(other) is None
        assert cache.directory.cached(other.at(None)) is None


def test_many_changes_to_other_keys_empty_nothing(store: Store) -> None:
    horizon = Horizon(bound=4)
    cache = Cache(store, Bounds(ttl=TTL), horizon)
    kid = make(store)
    entry = cache.find(kid)
    for n in range(10, 30):
        horizon.note(new_uuid(), n)
    horizon.catch_up(29)
    assert isinstance(entry, Entry)
    assert cache.directory.current(entry)
    assert cache.find(kid) is entry
    assert not horizon.outdated(kid.uuid, entry.seen)
    assert cache.switch.reads == 1
    horizon.note(kid.uuid, 30)
    assert cache.directory.cached(kid) is None
    assert not cache.directory.current(entry)


def test_new_bounds_hold_at_once(store: Store, cache: Cache) -> None:
    kids = [make(store) for _ in range(8)]
    for kid in kids:
        cache.find(kid)
    cache.directory.use(Bounds(entries=5, ttl=TTL))
    assert cache.directory.counts().entries == 5
    cache.directory.use(Bounds(bytes=3 * 900, ttl=TTL))
    assert cache.directory.counts().entries == 3
    assert [cache.directory.cached(kid) is not None for kid in kids] == [False] * 5 + [True] * 3


@pytest.mark.parametrize("suite", ["ed25519", "ml-dsa-65", "ed25519+ml-dsa-65", "ed25519+ml-dsa-87", "x-wing"])
def test_the_bytes_of_an_entry_are_told_honestly(suite: str) -> None:
    """Never less than in truth, and not much more."""
    found = SUITES.get(suite) or next(one for one in SUITES.values() if one.use == "wrap" and len(one.tracks) > 1)
    count = 1500
    directory = Directory(None, None, block, Horizon())  # type: ignore[arg-type]

    def fill(keys: int) -> None:
        for number in range(keys):
            public = tuple(number.to_bytes(4, "big") + bytes(size - 4) for size in found.scheme.public_sizes)
            key = Key("acme", "audit", new_uuid(), found.use, False, {}, 1, NOW)
            directory.remember(key, Version(1, found.name, "enabled", public, b"", NOW), 1)

    fill(10)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        fill(count)
        taken = (tracemalloc.get_traced_memory()[0] - before) / count
    finally:
        tracemalloc.stop()
    entry = next(iter(directory._entries.values()))
    assert taken <= weight(entry) <= 1.35 * taken
    assert directory.counts().bytes == (count + 10) * weight(entry)
