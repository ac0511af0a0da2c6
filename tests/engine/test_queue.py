"""Where cryptography runs: small work at once, large work on threads, the event loop going on meanwhile."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

import pytest

from ron_kms._core import SignatureScheme, generate, sign
from ron_kms.engine.queue import INLINE_MICROS, CryptoQueue


def run(queue: CryptoQueue, micros: float, work: Callable[[], object] = threading.current_thread) -> object:
    return asyncio.run(queue.run(micros, work))


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
    act = queue.run(1e9, threading.current_thread)
    with pytest.raises(StopIteration) as end:
        act.send(None)
    assert end.value.value is threading.current_thread()
    queue.close()


def test_what_the_work_raises_arrives() -> None:
    queue = CryptoQueue(1)
    for micros in (0.0, 1e6):
        with pytest.raises(ZeroDivisionError):
            run(queue, micros, lambda: 1 / 0)
    assert run(queue, 1e6, lambda: "still works") == "still works"
    queue.close()


def test_the_loop_turns_while_a_batch_signs() -> None:
    slots = generate(SignatureScheme(("ML-DSA-87",))) * 1024
    messages = [b"message"] * 1024

    async def main() -> tuple[int, int]:
        queue = CryptoQueue(1)
        turns = 0
        signing = asyncio.ensure_future(queue.run(1e6, lambda: sign(slots, messages)))
        while not signing.done():
            turns += 1
            await asyncio.sleep(0.001)
        queue.close()
        return turns, len(signing.result())

    turns, signed = asyncio.run(main())
    assert signed == 1024
    assert turns > 5  # a batch takes some 100 ms


def test_as_many_at_a_time_as_there_are_threads() -> None:
    running, most = 0, 0
    lock = threading.Lock()

    def work() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.02)
        with lock:
            running -= 1

    async def main() -> None:
        queue = CryptoQueue(2)
        await asyncio.gather(*(queue.run(1e6, work) for _ in range(6)))
        queue.close()

    asyncio.run(main())
    assert most == 2


def test_close_lets_running_work_end() -> None:
    async def main() -> bool:
        queue = CryptoQueue(1)
        ended = threading.Event()

        def work() -> None:
            time.sleep(0.05)
            ended.set()

        job = asyncio.ensure_future(queue.run(1e6, work))
        await asyncio.sleep(0.01)
        queue.close()
        await job
        return ended.is_set()

    assert asyncio.run(main())
