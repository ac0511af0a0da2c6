"""What one turn does, and what it leaves alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import pytest
from sqlalchemy import Connection, select

from ron_kms.engine.queue import CryptoQueue
from ron_kms.errors import StoreUnavailable
from ron_kms.model import Kid
from ron_kms.service import schedule
from ron_kms.service.due import ROTATE
from ron_kms.service.kms import Kms
from ron_kms.service.schedule import LEASE, Fence, Job, Scheduler
from ron_kms.store import leases
from ron_kms.store.bootstrap import Store
from ron_kms.store.schema import LEASES
from tests.freshness.parts import make, run, serve, sign_with
from tests.schedule.parts import DAY, load, make_due, numbers

T = TypeVar("T")


def counted(kms: Kms, job: str, result: str) -> float:
    return kms.metrics.registry.get_sample_value("kms_scheduled_total", {"job": job, "result": result}) or 0


class Meanwhile(CryptoQueue):
    """Something happens between planning a rotation and writing it."""

    def __init__(self, happens: Callable[[], object]) -> None:
        super().__init__(0)
        self._happens = happens

    async def run(self, tenant: str, micros: float, work: Callable[[], T]) -> T:
        self._happens()
        return await super().run(tenant, micros, work)


def meanwhile(kms: Kms, happens: Callable[[], object]) -> None:
    kms.queue.close()
    kms.queue = Meanwhile(happens)


def test_a_key_that_is_overdue_by_several_periods_rotates_once(store: Store) -> None:
    async def act() -> None:
        with serve(store) as kms:
            kid, other = await make(kms), await make(kms)
            make_due(store, kid, 10 * DAY)
            scheduler = Scheduler(kms, (ROTATE,))
            before = datetime.now(UTC)
            assert await scheduler.turn() is False
            assert await scheduler.turn() is False
            key, versions = load(store, kid)
            assert key.newest == 2
            assert key.next_rotation == versions[1].created + DAY
            assert versions[1].created >= before
            assert versions[1].suite == "ed25519+ml-dsa-65"  # the phase names it
            assert numbers(store, other) == [1]
            assert counted(kms, "rotate", "ok") == 1
            assert (await sign_with(kms, kid)).kid == str(kid.at(2))  # at once, in the process that has rotated

    run(act())


def test_while_nothing_is_due_nothing_is_written(store: Store) -> None:
    async def act() -> None:
        with serve(store) as kms:
            kid = await make(kms)
            make_due(store, kid, -DAY)
            commits = store.database.commits
            assert await Scheduler(kms, (ROTATE,)).turn() is False
            assert store.database.commits == commits
            assert numbers(store, kid) == [1]

    run(act())


def test_a_turn_is_bounded_and_those_that_wait_longest_come_first(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "BATCH", 2)

    async def act() -> None:
        with serve(store) as kms:
            kids = [await make(kms) for _ in range(3)]
            for days, kid in enumerate(kids, 1):
                make_due(store, kid, days * DAY)
            scheduler = Scheduler(kms, (ROTATE,))
            assert await scheduler.turn() is True
            assert [numbers(store, kid) for kid in kids] == [[1], [1, 2], [1, 2]]
            assert await scheduler.turn() is False
            assert [numbers(store, kid) for kid in kids] == [[1, 2]] * 3

    run(act())


def test_the_lease_is_given_back_and_respected(store: Store) -> None:
    async def act() -> None:
        with serve(store) as kms:
            kid = await make(kms)
            make_due(store, kid)
            take = store.database.write(
                lambda c: leases.acquire(c, store.rows, LEASE, "another", datetime.now(UTC), timedelta(seconds=10))
            )
            other = take.result()
            assert other is not None
            assert await Scheduler(kms, (ROTATE,)).turn() is False
            assert numbers(store, kid) == [1]
            store.database.write(lambda c: leases.release(c, store.rows, other, datetime.now(UTC))).result()
            await Scheduler(kms, (ROTATE,)).turn()
            assert numbers(store, kid) == [1, 2]
            make_due(store, kid)
            await Scheduler(kms, (ROTATE,)).turn()
            assert numbers(store, kid) == [1, 2, 3]

    run(act())


def test_who_lost_the_lease_in_the_middle_writes_nothing(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    def take_over() -> None:
        def write(connection: Connection) -> None:
            row = store.rows.find(connection, LEASES, LEASE)
            assert row is not None
            store.rows.update(connection, LEASES, row, {"holder": "another", "token": row["token"] + 1})

        store.database.write(write).result()

    async def act() -> None:
        with serve(store) as kms:
            kids = [await make(kms) for _ in range(2)]
            for kid in kids:
                make_due(store, kid)
            meanwhile(kms, take_over)
            assert await Scheduler(kms, (ROTATE,)).turn() is False
            assert [numbers(store, kid) for kid in kids] == [[1], [1]]
            assert store.database.read(lambda c: c.execute(select(LEASES.c.holder)).scalar()).result() == "another"
            assert "taken over" in caplog.text

    run(act())


def test_what_is_not_due_any_more_is_not_done(store: Store) -> None:
    """Somebody has put the rotation off, or done it, after it was found to be due."""

    async def act() -> None:
        with serve(store) as kms:
            kid = await make(kms)
            make_due(store, kid)
            meanwhile(kms, lambda: make_due(store, kid, -DAY))
            await Scheduler(kms, (ROTATE,)).turn()
            assert numbers(store, kid) == [1]
            assert counted(kms, "rotate", "not_due") == 1

    run(act())


def test_a_key_that_fails_is_put_off_and_holds_up_no_other(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    async def act() -> None:
        with serve(store) as kms:
            kids = [await make(kms) for _ in range(2)]
            for days, kid in zip((2, 1), kids, strict=True):
                make_due(store, kid, days * DAY)
            tried: list[Kid] = []

            async def fail(kms: Kms, kid: Kid, now: datetime, fence: Fence) -> bool:
                tried.append(kid)
                if kid == kids[0].at(None):
                    raise RuntimeError("secret")
                return await ROTATE.act(kms, kid, now, fence)

            scheduler = Scheduler(kms, (Job("rotate", ROTATE.due, fail),))
            await scheduler.turn()
            await scheduler.turn()
            assert [kid.uuid for kid in tried] == [kid.uuid for kid in kids]
            assert numbers(store, kids[1]) == [1, 2]
            assert counted(kms, "rotate", "Internal") == 1
            assert "secret" not in caplog.text
            assert kids[0].uuid not in caplog.text

    run(act())


def test_a_store_that_is_away_puts_nothing_off(store: Store) -> None:
    async def act() -> None:
        with serve(store) as kms:
            kid = await make(kms)
            make_due(store, kid)
            away = [True]

            async def sometimes(kms: Kms, kid: Kid, now: datetime, fence: Fence) -> bool:
                if away:
                    raise StoreUnavailable("away")
                return await ROTATE.act(kms, kid, now, fence)

            scheduler = Scheduler(kms, (Job("rotate", ROTATE.due, sometimes),))
            with pytest.raises(StoreUnavailable):
                await scheduler.turn()
            away.clear()
            await scheduler.turn()
            assert numbers(store, kid) == [1, 2]

    run(act())


def test_it_goes_on_after_a_turn_that_failed(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    async def act() -> None:
        with serve(store) as kms:
            kid = await make(kms)
            make_due(store, kid)
            turns: list[int] = []

            def due(connection: Connection, now: datetime, limit: int) -> list[Kid]:
                turns.append(limit)
                if len(turns) == 1:
                    raise StoreUnavailable("away")
                if len(turns) == 2:
                    raise RuntimeError("secret")
                return ROTATE.due(connection, now, limit)

            running = asyncio.create_task(Scheduler(kms, (Job("rotate", due, ROTATE.act),)).run((0.0, 0.01)))
            async with asyncio.timeout(10):
                while numbers(store, kid) == [1]:  # noqa: ASYNC110 - what is waited for is in the store
                    await asyncio.sleep(0.01)
            running.cancel()
            await asyncio.wait({running}, timeout=5)
            assert "put off: away" in caplog.text
            assert "has failed: RuntimeError" in caplog.text

    run(act())
