"""The policies in memory: as long there as the keys that need them."""

from __future__ import annotations

from typing import Any

import pytest

from ron_kms.errors import StoreCorrupt, StoreUnavailable
from ron_kms.model import Policy
from ron_kms.policy.cache import Policies
from ron_kms.store.bootstrap import Store
from ron_kms.store.policies import save_policy
from tests.caching.parts import NOW, Clock, Switched, block
from tests.store.sample import Place
from tests.store.test_tamper import edit

TTL = 100.0
DEFAULT = Policy(1, 100)


class Cache:
    def __init__(self, store: Store, bound: int = 100) -> None:
        self.clock = Clock()
        self.switch = Switched(store)
        self.told: list[tuple[str, int]] = []
        self.policies = Policies(
            self.switch,  # type: ignore[arg-type]
            store.rows,
            block,
            DEFAULT,
            lambda tenant, policy: self.told.append((tenant, policy.phase)),
            bound,
            TTL,
            self.clock,
        )

    def find(self, *tenants: str) -> dict[str, Any]:
        try:
            self.policies.find(tenants).send(None)  # type: ignore[attr-defined]
        except StopIteration as end:
            found: dict[str, Any] = end.value
            return found
        raise AssertionError("it waited")


@pytest.fixture
def cache(store: Store) -> Cache:
    return Cache(store)


def save(store: Store, tenant: str, policy: Policy) -> Policy:
    return store.database.write(lambda c: save_policy(c, store.rows, tenant, policy, b"")).result()


def test_one_that_is_used_after_the_ttl_is_read_anew(store: Store, cache: Cache) -> None:
    saved = save(store, "acme", Policy(2, 100, stepped=NOW))
    assert cache.find("acme", "other") == {"acme": saved, "other": DEFAULT}
    assert cache.switch.reads == 1
    newer = save(store, "acme", Policy(3, 100, 1, NOW))  # and nobody has told
    cache.clock.now += TTL + 1
    cache.switch.hold()
    assert cache.policies.cached("acme") == saved
    cache.switch.release()
    assert cache.policies.cached("acme") == newer
    assert cache.switch.reads == 2
    assert cache.told == [("acme", 2), ("other", 1)]


def test_while_the_store_is_away_it_is_given_on_and_no_other_is(store: Store, cache: Cache) -> None:
    cache.find("acme")
    cache.switch.away = True
    for _ in range(30):
        cache.clock.now += TTL / 10
        assert cache.find("acme") == {"acme": DEFAULT}
    assert not cache.policies.tend()
    assert isinstance(cache.find("other")["other"], StoreUnavailable)
    cache.switch.away = False
    cache.clock.now += 1
    assert cache.policies.tend()


def test_an_edited_one_is_not_given_on(store: Store, cache: Cache, place: Place) -> None:
    save(store, "acme", Policy(2, 100, stepped=NOW))
    cache.find("acme")
    edit(place, "UPDATE policies SET phase = 0")
    cache.clock.now += TTL + 1
    cache.find("acme")
    assert isinstance(cache.find("acme")["acme"], StoreCorrupt)


def test_a_refresh_that_was_overtaken_by_a_change_keeps_nothing(store: Store, cache: Cache) -> None:
    cache.find("acme")
    cache.clock.now += TTL + 1
    cache.switch.hold()
    cache.policies.cached("acme")
    cache.policies.forget(["acme"])
    cache.switch.release()
    assert cache.policies.cached("acme") is None


def test_it_is_bounded(store: Store) -> None:
    cache = Cache(store, bound=3)
    for number in range(10):
        cache.find(f"t{number}")
    assert [cache.policies.cached(f"t{number}") is not None for number in range(10)] == [False] * 7 + [True] * 3
    cache.policies.replace_default(Policy(2, 100))
    assert cache.find("t9") == {"t9": Policy(2, 100)}
