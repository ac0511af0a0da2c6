"""Requests that are on their way at the same time: one call into the core, one settling, each its own answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from ron_kms.custody import core as custody
from ron_kms.engine.queue import SLICE_MICROS
from ron_kms.errors import NotFound, StoreUnavailable
from ron_kms.model import Kid, new_uuid
from ron_kms.service import items
from ron_kms.service.create import CreateRequest, create
from ron_kms.service.kms import Kms
from ron_kms.service.schema import ITEMS_MAX, request_of
from ron_kms.service.settle import settle
from ron_kms.service.sign import SignBatchRequest, sign_batch
from ron_kms.service.work import PART, Batch, Work, waves
from ron_kms.store.bootstrap import Store
from tests.engine.parts import until
from tests.freshness.parts import DIGEST, context, make, run, serve, set_state, sign_with, verifies, wait


@contextmanager
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[list[int], list[list[str]]]]:
    """How many items each call into the core has, and which batches are settled together."""
    calls: list[int] = []
    settled: list[list[str]] = []
    sign_before = custody.sign

    def sign(slots: Sequence[Any], messages: Sequence[bytes]) -> Any:
        calls.append(len(slots))
        return sign_before(slots, messages)

    def settle_watched(batches: Sequence[Batch]) -> Any:
        settled.append([batch.op for batch in batches])
        return settle(batches)

    with monkeypatch.context() as patch:
        patch.setattr(custody, "sign", sign)
        patch.setattr(items, "settle", settle_watched)
        yield calls, settled


def fast(kms: Kms, micros: float = 1.0) -> None:
    """The same cost on every machine."""
    kms.costs["ed25519"] = kms.costs["ed25519"]._replace(private=micros, private_byte=0.0)


def counted(kms: Kms, op: str, result: str) -> float:
    return kms.metrics.registry.get_sample_value("kms_ops_total", {"op": op, "alg": "ed25519", "result": result}) or 0.0


def test_single_signatures_of_many_requests_are_one_call(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    async def act() -> None:
        with serve(store) as kms:
            kids = [await make(kms) for _ in range(3)]
            fast(kms)
            for kid in kids:
                await sign_with(kms, kid)
            with watched(monkeypatch) as (calls, settled):
                answers = await asyncio.gather(*(sign_with(kms, kids[n % 3]) for n in range(32)))
            assert calls == [32]
            assert settled == [["sign"] * 32]
            assert counted(kms, "sign", "ok") == 35
            for n, answer in enumerate(answers):
                assert answer.kid == str(kids[n % 3])
                assert await verifies(kms, kids[n % 3], answer.sigs)

    run(act())


def test_one_requests_error_is_nobody_elses(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    async def act() -> None:
        with serve(store) as kms:
            kids = [await make(kms) for _ in range(3)]
            fast(kms)
            absent = Kid("acme", "audit", new_uuid(), 1)
            set_state(store, kids[1], "disabled")
            await wait(kms.watcher.look_soon())
            order = [kids[0], absent, kids[1], kids[2]]
            results = await asyncio.gather(*(sign_with(kms, kid) for kid in order), return_exceptions=True)
            assert [getattr(result, "code", "ok") for result in results] == ["ok", "NotFound", "KeyDisabled", "ok"]
            bug = RuntimeError("a fault of ours")

            def fail(slots: Sequence[Any], messages: Sequence[bytes]) -> Any:
                if kms.custodian.find(kids[2]) in slots:
                    raise bug
                return sign_before(slots, messages)

            sign_before = custody.sign
            monkeypatch.setattr(custody, "sign", fail)
            order = [kids[0], kids[2], kids[0]]
            results = await asyncio.gather(*(sign_with(kms, kid) for kid in order), return_exceptions=True)
            assert results[1] is bug
            assert [isinstance(results[n], BaseException) for n in (0, 2)] == [False, False]

    run(act())


def test_a_batch_is_cut_into_slices_and_settled_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    async def act() -> None:
        with serve(store) as kms:
            kid = await make(kms)
            fast(kms, 100.0)  # 20 a slice
            request = request_of(SignBatchRequest, {"kid": kid.key, "items": [{"digest": DIGEST}] * 300})
            with watched(monkeypatch) as (calls, settled):
                answer = await sign_batch(kms, context(), request)
            assert len(answer.items) == 300
            assert all(item.kid == str(kid) for item in answer.items)
            assert sum(calls) == 300
            assert max(calls) <= 20
            assert settled == [["sign:batch"]]
            assert counted(kms, "sign:batch", "ok") == 300

    run(act())


def test_a_single_request_overtakes_a_batch(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the order of execution: it is in the core before the batch is prepared, and on the loop."""

    async def act() -> None:
        with serve(store) as kms:
            kid = await make(kms)
            await sign_with(kms, kid)
            fast(kms, 100.0)
            request = request_of(SignBatchRequest, {"kid": kid.key, "items": [{"digest": DIGEST}] * ITEMS_MAX})
            with watched(monkeypatch) as (calls, _):
                batch = asyncio.ensure_future(sign_batch(kms, context(), request))
                await until(lambda: bool(calls))
                await sign_with(kms, kid)
                before = sum(calls)
                assert 1 in calls
                assert not batch.done()
                await batch
            assert before <= 2 * PART
            assert sum(calls) == ITEMS_MAX + 1

    run(act())


def test_a_tenants_flood_of_batches_does_not_hold_up_another(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the order of execution: few of A's items run between B's asking and its answer."""

    async def act() -> None:
        with serve(store) as kms:
            flooding = await make(kms)
            create_b = request_of(
                CreateRequest, {"tenant": "other", "purpose": "audit", "use": "sign", "suite": "ed25519"}
            )
            quiet = Kid.parse((await create(kms, context(), create_b)).kid)
            for kid in (flooding, quiet):
                await sign_with(kms, kid)
            fast(kms, 100.0)
            request = request_of(SignBatchRequest, {"kid": flooding.key, "items": [{"digest": DIGEST}] * ITEMS_MAX})
            slice_items = int(SLICE_MICROS / 100)
            with watched(monkeypatch) as (calls, _):
                flood = [asyncio.ensure_future(sign_batch(kms, context(), request)) for _ in range(4)]
                await until(lambda: kms.queue.waiting_micros > 10 * SLICE_MICROS)
                between = []
                for _ in range(10):
                    before = sum(calls)
                    await sign_with(kms, quiet)
                    between.append(sum(calls) - before)
                # What the thread had begun, and may have begun before the loop had its next turn; a busy machine
                # may keep the loop from it now and then, while the thread goes on.
                assert sorted(between)[len(between) // 2] <= 1 + 3 * slice_items
                assert not any(batch.done() for batch in flood)
                assert kms.queue.wait_micros("other") < SLICE_MICROS
                assert kms.queue.wait_micros("acme", large=True) > SLICE_MICROS
                await asyncio.gather(*flood)
            assert sum(calls) == 4 * ITEMS_MAX + 10

    run(act())


def test_a_client_that_has_gone_stops_its_batch(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    async def act() -> None:
        with serve(store) as kms:
            kid = await make(kms)
            await sign_with(kms, kid)
            fast(kms, 2000.0)  # each item is a slice of its own
            request = request_of(SignBatchRequest, {"kid": kid.key, "items": [{"digest": DIGEST}] * PART})
            with watched(monkeypatch) as (calls, settled):
                batch = asyncio.ensure_future(sign_batch(kms, context(), request))
                await until(lambda: bool(calls))
                batch.cancel()
                await asyncio.wait({batch})
                assert batch.cancelled()
                fast(kms)
                await sign_with(kms, kid)
                await until(lambda: not kms.queue.waiting_micros)
            assert sum(calls) < PART
            assert settled == [["sign"]]  # what nobody waits for is not counted

    run(act())


def test_who_is_answered_after_the_settling_and_not_before(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    async def act() -> None:
        with serve(store) as kms:
            kid = await make(kms)
            durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            ended: list[Batch] = []

            def hold(batches: Sequence[Batch]) -> asyncio.Future[None]:
                ended.extend(batches)
                settle(batches)
                return durable

            monkeypatch.setattr(items, "settle", hold)
            absent = Kid("acme", "audit", new_uuid())
            good, bad = asyncio.ensure_future(sign_with(kms, kid)), asyncio.ensure_future(sign_with(kms, absent))
            await until(lambda: len(ended) == 2)
            await asyncio.sleep(0)
            assert not good.done()
            assert not bad.done()
            assert {batch.op for batch in ended} == {"sign"}
            durable.set_result(None)
            assert (await good).kid == str(kid)
            with pytest.raises(NotFound):
                await bad

            async def lost() -> None:
                failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                failed.set_exception(StoreUnavailable("the log cannot be written"))
                monkeypatch.setattr(items, "settle", lambda batches: failed)
                with pytest.raises(StoreUnavailable):
                    await sign_with(kms, kid)

            await lost()

    run(act())


@pytest.mark.parametrize("keys", [1, 3, 16])
def test_a_wave_names_no_more_keys_than_it_may(keys: int) -> None:
    kids = [Kid("acme", "audit", new_uuid()) for _ in range(17)]
    works: list[Work[bytes]] = []
    for n in range(300):
        works.append(Work(None, 0.0))  # type: ignore[arg-type]
        works[-1].kid = kids[n * n % 17]
    cut = waves(works, keys)
    assert [work for wave in cut for work in wave] == works
    assert all(len({work.kid for work in wave}) <= keys for wave in cut)
    assert len(waves(works, 17)) == 1
    greedy: Callable[[int], bool] = lambda n: len({work.kid for work in (*cut[n], cut[n + 1][0])}) > keys  # noqa: E731
    assert all(greedy(n) for n in range(len(cut) - 1))
