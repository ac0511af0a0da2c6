"""Stacks are read, weighed and told apart; the probe inside a worker tells how late its loop is, and who allocates."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

if not (Path(__file__).parents[2] / "perf" / "profiles").is_dir():
    pytest.skip("the profiles are not beside the tests", allow_module_level=True)

from perf.profiles import heap, spy, threads
from perf.profiles.probing import Probe
from perf.profiles.run import SCENARIOS, profile
from perf.profiles.stacks import WITHOUT_PYTHON, Stack, awake, by_part, part, pruned, weighted
from perf.report.flame import standalone
from tests.perf.test_report import Page

LOOP = """
import asyncio, sys, time

async def main():
    for number in range(400):
        if number == 20:
            time.sleep(0.2)
        kept = [object() for _ in range(100)]
        await asyncio.sleep(0.005)

with asyncio.Runner() as runner:
    runner.run(main())
"""


def test_the_probe_sees_a_loop_that_stands_still(tmp_path: Path) -> None:
    probe = Probe(tmp_path)
    command = [*probe.under(), sys.executable, "-c", LOOP, "ron_kms.server.worker"]
    with subprocess.Popen(command) as process:
        with probe.sending():
            time.sleep(0.7)
        probe.track()
        time.sleep(0.3)
        found = heap.read(probe.rest(), 10)
        told = probe.close()
        assert process.wait(30) == 0
    assert len(told["loop"]) > 20
    assert max(told["loop"]) > 100, "the pause was not seen"
    assert found.allocations > 0
    assert found.places


def test_the_probe_is_still_without_being_asked(tmp_path: Path) -> None:
    folder = str(Path(spy.__file__).with_name("probe"))
    command = [sys.executable, "-c", "import asyncio, sitecustomize; print(asyncio.Runner.run.__module__)"]
    environment = {**os.environ, "PYTHONPATH": folder, "RON_KMS_PROBE": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "asyncio.runners"


def test_a_speedscope_file_is_summed_up(tmp_path: Path) -> None:
    frames = [
        {"name": "thread (12): MainThread", "file": None},
        {"name": "App.__call__", "file": "/x/src/ron_kms/api/http/app.py", "line": 3},
        {"name": "App.__call__", "file": "/x/src/ron_kms/api/http/app.py", "line": 9},
        {"name": "0x7f01", "file": "/usr/lib/x86_64-linux-gnu/libsodium.so.23"},
    ]
    profiles = [
        {"name": 'Thread 12 "MainThread"', "samples": [[0, 1], [0, 2], [0, 2, 3]]},
        {"name": 'Thread 13 ""', "samples": [[]]},
    ]
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"shared": {"frames": frames}, "profiles": profiles}))
    app = "App.__call__ (ron_kms/api/http/app.py)"
    assert spy.stacks(path) == [
        Stack("MainThread", (app,), 2),
        Stack("MainThread", (app, "[libsodium.so.23] (libsodium.so.23)"), 1),
        Stack(WITHOUT_PYTHON, (), 1),
    ]
    assert spy.collapsed(spy.stacks(path)).splitlines()[0] == f"MainThread;{app} 2"


def test_samples_are_weighed_by_what_the_kernel_counted() -> None:
    app, sign = "f (ron_kms/api/http/app.py)", "sign (ron_kms/custody/core.py)"
    stacks = [Stack("a", (app,), 3), Stack("a", (app, sign), 1), Stack("waits", (app,), 90), Stack("b", (), 9)]
    found = weighted(stacks, {"a": 20.0, "waits": 0.0, "b": 6.0})
    assert by_part(found) == {"cryptography": 5.0, "edge": 15.0, "audit": 0.0, "server": 6.0, "other": 0.0}
    assert sum(one.weight for one in found) == 26.0


def test_a_thread_that_waited_for_a_processor_did_not_work() -> None:
    app, loop = "f (ron_kms/api/http/app.py)", "Runner.run (asyncio/runners.py)"
    stacks = [Stack("a", (loop, app), 30), Stack("a", (loop,), 70), Stack("b", (loop,), 5)]
    assert awake(stacks, {"a": 40.0}) == [
        Stack("a", (loop, app), 30),
        Stack("a", (loop,), 10.0),
        Stack("b", (loop,), 5.0),
    ]
    assert awake(stacks, {"a": 10.0})[1].weight == 0
    assert awake(stacks, {"a": 500.0})[1].weight == 70


@pytest.mark.parametrize(
    ("frame", "of"),
    [
        ("sign (ron_kms/custody/core.py)", "cryptography"),
        ("[_core.abi3.so] (ron_kms/_core.abi3.so)", "cryptography"),
        ("sync (ron_kms/audit/journal.py)", "audit"),
        ("record (ron_kms/service/audit.py)", "audit"),
        ("take (ron_kms/engine/gate.py)", "edge"),
        ("send (hypercorn/protocol/h2.py)", "server"),
        ("handle (ron_kms/server/guards/http2.py)", "server"),
        ("run (threading.py)", "other"),
    ],
)
def test_frames_belong_to_a_part(frame: str, of: str) -> None:
    assert part(("main (x.py)", frame)) == of
    assert part((frame, "wait (threading.py)")) == of


def test_what_a_thread_waits_for() -> None:
    deep = ("run (a.py)", "work (a.py)")
    assert threads.state((*deep, "pthread_cond_timedwait (libc.so.6)", "[libc.so.6] (libc.so.6)")) == threads.LOCK
    assert threads.state((*deep, "os_fdatasync (libpython3.11.so)", "fdatasync (libc.so.6)")) == threads.DISK
    assert threads.state((*deep, "epoll_pwait (libc.so.6)")) == threads.IDLE
    assert threads.state(deep) == threads.RUNS


def test_threads_are_counted() -> None:
    before = threads.taken(os.getpid(), {os.getpid(): "main"})
    while time.thread_time() < 0.02:
        pass
    after = threads.taken(os.getpid(), {os.getpid(): "main"})
    found = {one.name: one for one in threads.between(before, after, 10, {})}
    assert found["main"].cpu >= 0


def test_pruning_keeps_the_weight() -> None:
    stacks = [Stack("a", ("f", "g", str(number)), 1) for number in range(2000)]
    kept = pruned([*stacks, Stack("a", ("f",), 2000)])
    assert kept == [Stack("a", ("f",), 2000.0), Stack("a", ("f", "g"), 2000.0)] or kept == [
        Stack("a", ("f", "g"), 2000.0),
        Stack("a", ("f",), 2000.0),
    ]
    text = standalone(kept, "a & b <c>")
    page = Page(text)
    assert page.elements["rect"] == 3
    assert 'xmlns="http://www.w3.org/2000/svg"' in text


@pytest.mark.skipif("RON_KMS_TEST_LONG" not in os.environ, reason="takes half a minute; RON_KMS_TEST_LONG=1 runs it")
@pytest.mark.parametrize("server", ["granian", "hypercorn"])
def test_a_profile_of_a_service(tmp_path: Path, server: str) -> None:
    made = profile(next(iter(SCENARIOS)), server, min(os.sched_getaffinity(0)), 1.0, tmp_path, "again")
    costs = {one.of: one.rounds[0] for one in made.measures if one.kind == "cpu"}
    assert costs[""] == pytest.approx(sum(cost for of, cost in costs.items() if of), rel=0.05)
    assert all((tmp_path / name).exists() for name in made.detail["files"])
