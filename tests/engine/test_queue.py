"""Batch while busy: small work at once, large work on threads, what waits together runs together."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from ron_kms._core import SignatureScheme, generate, sign
from ron_kms.engine.queue import INLINE_MICROS, SLICE_MICROS, WAITING_MICROS, CryptoQueue
from ron_kms.errors import Backpressure, ShuttingDown
from tests.engine.parts import Job, Telling, until

LARGE = SLICE_MICROS


def run(queue: CryptoQueue, micros: float, work: Callable[[], object] = threading.current_thread) -> object:
    return asyncio.run(queue.run("acme", micros, work))


def test_cheap_work_runs_where_it_was_asked_for() -> None:
    queue = CryptoQueue(2)
    for micros in (0.0, 1.0, INLINE_MICROS):
        assert run(queue, micros) is threading.current_thread()
    queue.close()


def test_dear_work_runs_on_a_crypto_thread() -> None:
    queue = CryptoQueue(2)
    thread = run(queue, INLINE_MICROS + 1)
    assert isinstance(thread, threading.Thread)
    assert thread.name.startswith("crypto")
    queue.close()
    assert not thread.is_alive()


def test_without_threads_everything_runs_at_once_and_without_a_loop() -> None:
    queue = CryptoQueue(0)
    act = queue.run("acme", 1e9, threading.current_thread)
    with pytest.raises(StopIteration) as end:
        act.send(None)
    assert end.value.value is threading.current_thread()
    queue.close()


def test_what_the_work_raises_arrives() -> None:
    queue = CryptoQueue(1)
    for micros in (0.0, LARGE):
        with pytest.raises(ZeroDivisionError):
            run(queue, micros, lambda: 1 / 0)
    assert run(queue, LARGE, lambda: "still works") == "still works"
    queue.close()


def test_what_is_asked_for_in_one_turn_runs_in_one_call() -> None:
    async def main() -> None:
        queue, group, other = CryptoQueue(1), Telling(), Telling()
        jobs = [queue.submit("acme", 10.0, group, Job(str(n))) for n in range(10)]
        jobs.append(queue.submit("acme", 10.0, other, Job("other")))
        await asyncio.gather(*jobs)
        assert [call.names for call in group.calls] == [tuple("0123456789")]
        assert group.settled == [tuple("0123456789")]
        assert [call.names for call in other.calls] == [("other",)]
        assert {call.thread for call in (*group.calls, *other.calls)} == {threading.current_thread()}
        queue.close()

    asyncio.run(main())


def test_a_flush_does_its_share_and_hands_over_the_rest() -> None:
    async def main() -> None:
        queue, group = CryptoQueue(1), Telling()
        await asyncio.gather(*(queue.submit("acme", 50.0, group, Job(str(n))) for n in range(10)))
        here = threading.current_thread()
        by_place = {call.thread is here: call.names for call in group.calls}
        assert by_place == {True: tuple("0123"), False: tuple("456789")}
        queue.close()

    asyncio.run(main())


def test_what_comes_while_threads_are_busy_is_the_next_batch() -> None:
    async def main() -> None:
        queue, group = CryptoQueue(1), Telling()
        first = Job("first", hold=threading.Event())
        jobs = [queue.submit("acme", LARGE, group, first)]
        await asyncio.to_thread(first.begun.wait, 10)
        for n in range(6):
            jobs.append(queue.submit("acme", 300.0, group, Job(str(n))))
            await asyncio.sleep(0)
        assert group.order == ["first"]
        assert first.hold is not None
        first.hold.set()
        await asyncio.gather(*jobs)
        assert [call.names for call in group.calls] == [("first",), tuple("012345")]
        queue.close()

    asyncio.run(main())


def test_small_jobs_overtake_large_ones_and_starve_them_not() -> None:
    async def main() -> None:
        queue, group = CryptoQueue(1), Telling()
        first = Job("first", hold=threading.Event())
        jobs = [queue.submit("acme", LARGE, group, first)]
        await asyncio.to_thread(first.begun.wait, 10)
        jobs += [queue.submit("acme", LARGE, group, Job(f"large {n}")) for n in range(3)]
        jobs += [queue.submit("acme", INLINE_MICROS, group, Job(f"small {n}")) for n in range(22)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert group.order == ["first", "small 0"]  # at once, on the loop
        assert queue.wait_micros("other") <= 2 * INLINE_MICROS
        assert first.hold is not None
        first.hold.set()
        await asyncio.gather(*jobs)
        small = [f"small {n}" for n in range(22)]
        assert group.order == ["first", *small[:11], "large 0", *small[11:21], "large 1", small[21], "large 2"]
        queue.close()

    asyncio.run(main())


def test_a_flood_of_slices_does_not_delay_anothers_single_jobs() -> None:
    """By the order of execution: whatever A has waiting, B's job is the next to run."""

    async def main() -> None:
        queue, group = CryptoQueue(2), Telling()
        holds = [Job(f"busy {n}", hold=threading.Event()) for n in range(2)]
        jobs = [queue.submit("a", LARGE, group, job) for job in holds]
        await asyncio.to_thread(lambda: [job.begun.wait(10) for job in holds])
        jobs += [queue.submit("a", LARGE, group, Job("a")) for _ in range(500)]
        for n in range(20):
            single = queue.submit("b", 16.0, group, Job(f"b {n}"))
            await single
            assert group.order[-1] == f"b {n}"
        assert len(group.order) == 22
        dear = [queue.submit("b", LARGE, group, Job("b dear")) for _ in range(3)]
        for job in holds:
            assert job.hold is not None
            job.hold.set()
        await asyncio.gather(*dear)
        # Slices take turns by tenant: three of B's among at most as many of A's, and what the threads had begun.
        order = list(group.order)
        order = order[: len(order) - order[::-1].index("b dear")]
        assert order.count("b dear") == 3
        assert order.count("a") <= 3 + 2 * 2
        await asyncio.gather(*jobs)
        queue.close()

    asyncio.run(main())


def test_one_that_fails_spoils_no_other() -> None:
    async def main() -> None:
        for micros in (10.0, LARGE / 4):
            queue, group = CryptoQueue(1), Telling()
            jobs = [queue.submit("acme", micros, group, Job(str(n), fails=n == 1)) for n in range(3)]
            results = await asyncio.gather(*jobs, return_exceptions=True)
            assert [type(result) for result in results] == [type(None), ZeroDivisionError, type(None)]
            assert group.settled == [("0", "2")]
            queue.close()

    asyncio.run(main())


def test_answers_wait_for_what_settles_them() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        for outcome in ("done", "failed", "given up"):
            settled: asyncio.Future[None] = loop.create_future()
            queue, group = CryptoQueue(1), Telling(lambda settled=settled: settled)  # type: ignore[misc]
            jobs = [asyncio.ensure_future(queue.submit("acme", 10.0, group, Job(str(n)))) for n in range(2)]
            await until(lambda group=group: bool(group.settled))  # type: ignore[misc]
            await asyncio.sleep(0)
            assert not any(job.done() for job in jobs)
            if outcome == "done":
                settled.set_result(None)
            elif outcome == "failed":
                settled.set_exception(OSError("full"))
            else:
                settled.cancel()
            results = await asyncio.gather(*jobs, return_exceptions=True)
            assert [result is None for result in results] == [outcome == "done"] * 2
            queue.close()

    asyncio.run(main())


def test_who_has_gone_costs_nothing_and_breaks_nothing() -> None:
    async def main() -> None:
        queue, group = CryptoQueue(1), Telling()
        first = Job("first", hold=threading.Event())
        running = asyncio.ensure_future(queue.submit("acme", LARGE, group, first))
        await asyncio.to_thread(first.begun.wait, 10)
        waiting = [asyncio.ensure_future(queue.submit("acme", LARGE, group, Job(str(n)))) for n in range(3)]
        small = [asyncio.ensure_future(queue.submit("acme", 10.0, group, Job(f"small {n}"))) for n in range(2)]
        for gone in (running, waiting[0], waiting[2], small[0]):
            gone.cancel()
        assert first.hold is not None
        first.hold.set()
        await asyncio.gather(waiting[1], small[1])
        assert sorted(group.order) == ["1", "first", "small 1"]
        assert queue.waiting_micros == 0.0
        queue.close()

    asyncio.run(main())


def test_more_than_the_bound_is_not_taken_on() -> None:
    async def main() -> None:
        depths: list[tuple[int, int]] = []
        queue, group = CryptoQueue(1, lambda *depth: depths.append(depth)), Telling()
        first = Job("first", hold=threading.Event())
        jobs = [queue.submit("acme", LARGE, group, first)]
        await asyncio.to_thread(first.begun.wait, 10)
        while queue.waiting_micros <= WAITING_MICROS:
            jobs.append(queue.submit("acme", WAITING_MICROS / 8, group, Job("waits")))
        with pytest.raises(Backpressure) as refused:
            queue.submit("acme", LARGE, group, Job("too much"))
        assert refused.value.retry_after
        assert queue.wait_micros("acme", large=True) == queue.wait_micros(None, large=True) == queue.waiting_micros
        assert queue.wait_micros("other", large=True) == LARGE
        jobs.append(queue.submit("other", LARGE, group, Job("another tenant's is")))
        await queue.submit("acme", 10.0, group, Job("small ones are"))
        assert depths == [(0, 10)]
        assert first.hold is not None
        first.hold.set()
        await asyncio.gather(*jobs)
        await asyncio.sleep(0)
        assert depths[-1] == (0, 0)
        queue.close()

    asyncio.run(main())


def test_the_loop_turns_while_a_batch_signs() -> None:
    slots = generate(SignatureScheme(("ML-DSA-87",))) * 1024
    messages = [b"message"] * 1024

    async def main() -> tuple[int, int]:
        queue = CryptoQueue(1)
        turns = 0
        signing = asyncio.ensure_future(queue.run("acme", LARGE, lambda: sign(slots, messages)))
        while not signing.done():
            turns += 1
            await asyncio.sleep(0.001)
        queue.close()
        return turns, len(signing.result())

    turns, signed = asyncio.run(main())
    assert signed == 1024
    assert turns > 5  # a batch takes some 100 ms


def test_as_many_at_a_time_as_there_are_threads() -> None:
    meeting, lock = threading.Barrier(2), threading.Lock()
    running: list[int] = []
    most = 0

    def work(n: int) -> None:
        nonlocal most
        with lock:
            running.append(n)
            most = max(most, len(running))
        meeting.wait(10)  # two by two: each needs another one beside it to go on
        with lock:
            running.remove(n)

    async def main() -> None:
        queue = CryptoQueue(2)
        await asyncio.gather(*(queue.run("acme", LARGE, lambda n=n: work(n)) for n in range(6)))  # type: ignore[misc]
        queue.close()

    asyncio.run(main())
    assert most == 2


def test_close_does_what_waits_and_takes_no_more() -> None:
    async def main() -> None:
        queue, group = CryptoQueue(2), Telling()
        first = Job("first", hold=threading.Event())
        jobs = [queue.submit("acme", LARGE, group, first)]
        await asyncio.to_thread(first.begun.wait, 10)
        jobs += [queue.submit("acme", LARGE, group, Job(str(n))) for n in range(5)]
        jobs.append(queue.submit("acme", 10.0, group, Job("small")))
        assert first.hold is not None
        first.hold.set()
        queue.close()
        assert sorted(group.order) == ["0", "1", "2", "3", "4", "first", "small"]
        await asyncio.gather(*jobs)
        for micros in (10.0, LARGE):
            with pytest.raises(ShuttingDown):
                queue.submit("acme", micros, group, Job("late"))

    asyncio.run(main())


def test_close_after_the_loop_has_ended() -> None:
    queue, group = CryptoQueue(1), Telling()
    first = Job("first", hold=threading.Event())

    async def main() -> None:
        queue.submit("acme", LARGE, group, first)
        queue.submit("acme", LARGE, group, Job("second"))
        await asyncio.to_thread(first.begun.wait, 10)

    asyncio.run(main())
    assert first.hold is not None
    first.hold.set()
    queue.close()
    assert group.order[0] == "first"
