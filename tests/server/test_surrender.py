"""A worker that has lost a part of itself ends as by SIGTERM, or is ended; nothing of the exception's text is told."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest

WORKER = """
import asyncio, signal, sys, threading
from ron_kms.server import logs
from ron_kms.server.surrender import Surrender

def fails(): raise ValueError("a secret")
async def fails_later(): fails()
def without_memory(): raise MemoryError("a secret")
async def lose(how, surrender):
    loop = asyncio.get_running_loop()
    if how == "thread":
        threading.Thread(target=fails, name="a-part").start()
    elif how == "task":
        asyncio.create_task(fails_later()).add_done_callback(surrender.task_ended)
    elif how == "cancelled":
        task = asyncio.create_task(asyncio.sleep(60))
        task.add_done_callback(surrender.task_ended)
        loop.call_later(0.1, task.cancel)
    else:
        for _ in range(100):
            loop.call_soon(without_memory if how == "memory" else fails)

async def main(how, deaf):
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    surrender = Surrender(lambda: 0.5)
    loop.set_exception_handler(surrender.callback_failed)
    threading.excepthook = surrender.thread_failed
    loop.add_signal_handler(signal.SIGTERM, (lambda: None) if deaf else ended.set)
    await lose(how, surrender)
    try:
        async with asyncio.timeout(2):
            await ended.wait()
        print("ended")
    except TimeoutError:
        print("goes on")
    signal.setitimer(signal.ITIMER_REAL, 0)

logs.configure("info")
asyncio.run(main(sys.argv[1], sys.argv[2:] == ["deaf"]))
"""


def _worker(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WORKER, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("how", ["thread", "task", "memory"])
def test_a_lost_part_ends_the_worker(how: str) -> None:
    done = _worker(how)
    assert (done.returncode, done.stdout) == (0, "ended\n"), done.stderr
    assert "a secret" not in done.stderr
    assert all(json.loads(line)["level"] in {"critical", "error"} for line in done.stderr.splitlines())


@pytest.mark.parametrize("how", ["callback", "cancelled"])
def test_what_is_no_loss_does_not(how: str) -> None:
    assert _worker(how).stdout == "goes on\n"


def test_a_loop_that_does_not_hear_is_ended_by_the_kernel() -> None:
    done = _worker("memory", "deaf")
    assert (done.returncode, done.stdout) == (-signal.SIGALRM, "")
