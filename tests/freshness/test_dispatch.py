"""Private operations and what is changed while they are under way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

import pytest

import ron_kms
from ron_kms.engine.pace import Done
from ron_kms.engine.queue import CryptoQueue, Group
from ron_kms.errors import KeyDisabled, StoreUnavailable
from ron_kms.model import Kid
from ron_kms.service.kms import Kms
from ron_kms.store.bootstrap import Store
from tests.freshness.parts import (
    DIGEST,
    forge,
    make,
    run,
    serve,
    set_state,
    sign_with,
    sign_with_each,
    touch,
    verifies,
    wait,
)
from tests.store.sample import Place

JobT = TypeVar("JobT")


class HeldUp(CryptoQueue):
    """Something happens to each piece of work on its way to the core."""

    def __init__(self, kms: Kms, threads: int, happens: Callable[[], None]) -> None:
        super().__init__(threads)
        self._kms = kms
        self._happens = happens

    def submit(self, tenant: str, micros: float, group: Group[JobT], job: JobT) -> asyncio.Future[None]:
        return asyncio.ensure_future(self._later(tenant, micros, group, job))

    async def _later(self, tenant: str, micros: float, group: Group[JobT], job: JobT) -> None:
        self._happens()
        await wait(self._kms.watcher.look_soon())
        await super().submit(tenant, micros, group, job)


class Slow(CryptoQueue):
    """Each piece of work waits for longer than the bound of freshness below."""

    def submit(self, tenant: str, micros: float, group: Group[JobT], job: JobT) -> asyncio.Future[None] | Done:
        time.sleep(0.25)
        return super().submit(tenant, micros, group, job)


def hold_up(kms: Kms, happens: Callable[[], None], threads: int = 1) -> None:
    kms.queue.close()
    kms.queue = HeldUp(kms, threads, happens)


@pytest.mark.parametrize("micros", [0.0, 1000.0], ids=["loop", "thread"])
def test_disabled_between_look_up_and_dispatch(store: Store, micros: float) -> None:
    async def act() -> None:
        with serve(store) as kms:
            kid = await make(kms)
            kms.costs["ed25519"] = kms.costs["ed25519"]._replace(private=micros)
            hold_up(kms, lambda: set_state(store, kid, "disabled") and None)
            with pytest.raises(KeyDisabled):
                await sign_with(kms, kid)

    run(act())


def test_a_change_that_matters_not_delays_only_its_own_item(store: Store) -> None:
    async def act() -> None:
        with serve(store) as kms:
            kids = [await make(kms) for _ in range(3)]
            left = [1]

            def happens() -> None:
                if left:
                    left.pop()
                    touch(store, kids[1])

            hold_up(kms, happens)
            results = (await sign_with_each(kms, kids)).items
            assert [result.kid for result in results] == [str(kid) for kid in kids]

    run(act())


def test_a_key_that_never_rests_is_answered_so(store: Store) -> None:
    async def act() -> None:
        with serve(store) as kms:
            kids = [await make(kms) for _ in range(2)]
            hold_up(kms, lambda: touch(store, kids[0]) and None)
            changing, calm = (await sign_with_each(kms, kids)).items
            assert not isinstance(changing.error, ron_kms.errors.KmsError)
            assert changing.error
            assert changing.error.code == "StoreUnavailable"
            assert calm.kid == str(kids[1])

    run(act())


def test_a_worker_that_waited_too_long_before_the_core_refuses(store: Store) -> None:
    async def act() -> None:
        with serve(store, bound_ms=200) as kms:
            kid = await make(kms)
            signed = await sign_with(kms, kid)
            kms.watcher.close()
            old, kms.queue = kms.queue, Slow(1)
            old.close()
            with pytest.raises(StoreUnavailable) as caught:
                await sign_with(kms, kid)
            assert caught.value.retry_after
            with pytest.raises(StoreUnavailable):
                await sign_with_each(kms, [kid])
            assert await verifies(kms, kid, signed.sigs)

    run(act())


def test_a_forged_record_of_changes_ends_private_operations_and_no_others(store: Store) -> None:
    async def act() -> None:
        with serve(store) as kms:
            kid, other = await make(kms), await make(kms)
            signed = await sign_with(kms, kid)
            await wait(kms.watcher.look_soon())
            forge(store)
            await wait(kms.watcher.look_soon())
            with pytest.raises(StoreUnavailable, match="edited"):
                await sign_with(kms, other)
            assert await verifies(kms, kid, signed.sigs)

    run(act())


def test_own_changes_hold_at_once(store: Store) -> None:
    async def act() -> None:
        with serve(store) as kms:
            kid = await make(kms)
            await sign_with(kms, kid)
            assert kms.custodian.loaded == 1
            kms.changed(kid, set_state(store, kid, "disabled"))
            assert kms.custodian.loaded == 0
            with pytest.raises(KeyDisabled):
                await sign_with(kms, kid)
            kms.changed(kid, set_state(store, kid, "enabled"))
            await sign_with(kms, kid)

    run(act())


def test_changes_of_others_wipe_the_private_key(store: Store) -> None:
    async def act() -> None:
        with serve(store) as kms:
            kids = [await make(kms) for _ in range(3)]
            await sign_with_each(kms, kids)
            set_state(store, kids[1], "compromised")
            await wait(kms.watcher.look_soon())
            assert [kms.custodian.find(kid) is None for kid in kids] == [False, True, False]

    run(act())


def test_the_library_looks_before_it_refuses(place: Place) -> None:
    """A library in a process that slept works at once."""
    with ron_kms.open(place.url, seal=place.seal) as kms:
        kid = kms.create(tenant="acme", purpose="audit", suite="ed25519")
        kms._kms.watcher._looked -= 3600
        kms.sign(Kid.parse(kid).key, digest=DIGEST)
        other = place.open()
        set_state(other, Kid.parse(kid), "disabled")
        other.close()
        kms._kms.watcher._looked -= 3600
        with pytest.raises(KeyDisabled):
            kms.sign(Kid.parse(kid).key, digest=DIGEST)
