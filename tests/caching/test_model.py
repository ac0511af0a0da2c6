"""The cache of keys under any sequence of uses, changes, outages and waits."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from ron_kms.errors import StoreUnavailable
from ron_kms.keys.directory import Bounds
from ron_kms.keys.entry import Entry, weight
from ron_kms.model import Kid
from ron_kms.store.bootstrap import Store
from tests.caching.parts import Cache, make, touch
from tests.counts import count

TTL = 100.0
ENTRIES = 4
KEYS = 7
BYTES = 3300
"""Of four Ed25519 entries, or of one hybrid and no other."""


class Machine(RuleBasedStateMachine):
    def __init__(self, store: Store, kids: list[Kid]) -> None:
        super().__init__()
        self.store = store
        self.kids = kids
        self.cache = Cache(store, Bounds(ENTRIES, BYTES, TTL))
        self.unheard: list[tuple[Kid, int]] = []
        self.minimum: dict[Kid, int] = {}  # what a request has to know of each key, where it was changed and heard of

    @rule(which=st.integers(0, KEYS - 1), versioned=st.booleans())
    def use(self, which: int, versioned: bool) -> None:
        kid = self.kids[which]
        known = self.cache.directory._entries.get(kid)
        age = None if known is None else self.cache.clock.now - known.read_at
        found = self.cache.find(kid if versioned else kid.at(None))
        if self.cache.switch.away and (age is None or age > 2 * TTL):
            assert isinstance(found, StoreUnavailable)
            return
        assert isinstance(found, Entry)
        assert found.kid == kid
        assert self.cache.clock.now - found.read_at <= (2 * TTL if self.cache.switch.away else max(0, age or 0))
        assert found.key.min_verify_version >= self.minimum.get(kid, 1)
        assert self.cache.directory.current(found)
        # It was given from memory, is to be refreshed or was read: whichever it was, it is kept where there is room.
        if weight(found) <= BYTES and self.cache.directory._entries:
            assert next(reversed(self.cache.directory._entries)) == kid

    @rule(seconds=st.sampled_from([0.1, 1, TTL / 2, TTL, TTL + 1, 3 * TTL]))
    def wait(self, seconds: float) -> None:
        self.cache.clock.now += seconds

    @rule(which=st.integers(0, KEYS - 1))
    def change(self, which: int) -> None:
        self.unheard.append((self.kids[which], touch(self.store, self.kids[which])))

    @precondition(lambda self: self.unheard)
    @rule()
    def hear(self) -> None:
        for kid, n in self.unheard:
            self.cache.horizon.note(kid.uuid, n)
            self.minimum[kid] = self.truth(kid)
        self.cache.horizon.catch_up(self.unheard[-1][1])
        self.unheard.clear()

    def truth(self, kid: Kid) -> int:
        fresh = Cache(self.store, Bounds()).find(kid)
        assert isinstance(fresh, Entry)
        return fresh.key.min_verify_version

    @rule()
    def outage(self) -> None:
        self.cache.switch.away = not self.cache.switch.away

    @rule()
    def tend(self) -> None:
        counts = self.cache.directory.tend()
        assert counts.stale_ms in (0, counts.age_ms)
        if not self.cache.switch.away:
            self.cache.clock.now += 1
            for _ in range(2):
                counts = self.cache.directory.tend()
            assert counts.kept_up
            assert counts.age_ms == 0

    @invariant()
    def bounded(self) -> None:
        directory = self.cache.directory
        entries = list(directory._entries.values())
        assert len(entries) <= ENTRIES
        assert directory._bytes == sum(map(weight, entries)) <= BYTES
        assert sorted(entry.kid for versions in directory._versions.values() for entry in versions) == sorted(
            directory._entries
        )


def test_any_sequence(store: Store) -> None:
    kids = [make(store, suite) for suite in ["ed25519"] * (KEYS - 1) + ["ed25519+ml-dsa-65"]]
    run_state_machine_as_test(
        lambda: Machine(store, kids),
        settings=settings(max_examples=count(25, 500), stateful_step_count=40, deadline=None),
    )
