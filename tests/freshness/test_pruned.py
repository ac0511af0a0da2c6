"""A process that slept while more was changed than there is a record of."""

from __future__ import annotations

import pytest

from ron_kms.errors import KeyDisabled, Restored
from ron_kms.keys.directory import Entry
from ron_kms.model import Policy
from ron_kms.store import changes
from ron_kms.store.bootstrap import Store
from ron_kms.store.high_water import HighWater
from ron_kms.store.policies import save_policy
from tests.caching.parts import NOW
from tests.freshness.parts import make, run, serve, set_state, sign_with, touch, wait


def test_it_reads_everything_anew(store: Store) -> None:
    async def act() -> None:
        with serve(store) as kms:
            kids = [await make(kms) for _ in range(3)]
            for kid in kids:
                await sign_with(kms, kid)
            before = await kms.policies.one("acme")
            await wait(kms.watcher.look_soon())
            reader = kms.watcher.look
            kms.watcher.look = lambda _: None  # type: ignore[method-assign] # it sleeps

            set_state(store, kids[0], "disabled")
            policy = Policy(2, 100, before.revision, NOW)
            kms.database.write(lambda c: save_policy(c, kms.rows, "acme", policy, b"")).result()
            last = max(touch(store, kids[1]) for _ in range(5))
            store.database.write(lambda c: changes.prune(c, store.rows, last - 1)).result()
            entry = kms.directory.cached(kids[2])
            assert isinstance(entry, Entry)

            kms.watcher.look = reader  # type: ignore[method-assign]
            await wait(kms.watcher.look_soon())
            assert kms.watcher.fresh()
            assert not kms.watcher.corrupt
            assert kms.custodian.loaded == 0
            assert [kms.directory.cached(kid) for kid in kids] == [None] * 3
            assert not kms.directory.current(entry)
            with pytest.raises(KeyDisabled):
                await sign_with(kms, kids[0])
            assert (await kms.policies.one("acme")).phase == 2
            await sign_with(kms, kids[2])
            found = kms.directory.cached(kids[2])
            assert found is not None
            assert kms.directory.current(found)
            assert kms.custodian.loaded == 1

    run(act())


def test_a_mark_of_a_change_that_is_not_kept(store: Store) -> None:
    def record() -> None:
        store.database.write(lambda c: changes.record(c, store.rows, "key", "k")).result()

    marks = HighWater(store.keys, store.rows)
    for _ in range(3):
        record()
    text = store.database.read(marks.mark).result().encode()
    for _ in range(3):
        record()
    for upto in (3, 5):
        store.database.write(lambda c, upto=upto: changes.prune(c, store.rows, upto)).result()  # type: ignore[misc]
        store.database.read(lambda c: marks.judge(c, text)).result()
    newer = store.database.read(marks.mark).result().encode()
    store.database.read(lambda c: marks.judge(c, newer)).result()
    with pytest.raises(Restored):
        store.database.read(lambda c: marks.judge(c, b"{}")).result()
    marks.release()
