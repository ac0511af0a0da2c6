"""The load generator counts what clients wait for, all of it, and is not what limits."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

if not (Path(__file__).parents[2] / "perf" / "load").is_dir():
    pytest.skip("the load generator is not beside the tests", allow_module_level=True)

from perf.load.figures import latency, percentile
from perf.load.generator import Seen, Stream, run
from perf.load.scenarios import Load, plan
from perf.load.service import Service, Watch, serving
from perf.load.wire import Request

CORES = sorted(os.sched_getaffinity(0))[:1]


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with serving(CORES, freshness_ms="10000") as service:
        yield service


def _signs(service: Service, rate: float | None) -> Stream:
    [stream] = plan("sign", service, Load(None, 0.0, 2, 4, 1.0, 1)).streams
    return Stream("a", stream.requests, rate, 2, 16)


def _all(seen: Seen) -> list[float]:
    return [value for values in seen.latencies.values() for value in values]


def test_a_closed_loop_is_answered(service: Service) -> None:
    with Watch(service) as watch:
        seen = run(service.address, [_signs(service, None)], seconds=0.5, warmup=0.1).seen["a"]
    assert set(seen.statuses) == {200}
    assert len(_all(seen)) == seen.statuses[200] > 20
    assert watch.usage.workers_cpu > 0
    assert 20e6 < watch.usage.worker_resident < 200e6


def test_an_open_loop_keeps_its_rate(service: Service) -> None:
    seen = run(service.address, [_signs(service, 100.0)], seconds=2.0, warmup=0.1).seen["a"]
    assert 130 < sum(seen.statuses.values()) < 270  # 200 expected, 5 standard deviations
    assert seen.unsent == 0


def test_a_pause_of_the_server_is_not_left_out(service: Service) -> None:
    """A server that stands still for half a second makes a quarter of two seconds' requests wait, half of them long."""
    [worker] = service.workers()
    stream = _signs(service, 200.0)

    def pause() -> None:
        time.sleep(0.6)
        os.kill(worker, signal.SIGSTOP)
        time.sleep(0.5)
        os.kill(worker, signal.SIGCONT)

    thread = threading.Thread(target=pause)
    thread.start()
    seen = run(service.address, [stream], seconds=2.0, warmup=0.1).seen["a"]
    thread.join()
    late = [value for value in _all(seen) if value > 0.2]
    assert len(late) > 0.08 * len(_all(seen)), "only requests that were under way were counted"
    assert latency(_all(seen))["p99"] > 400


def test_refusals_are_told_apart(service: Service) -> None:
    headers = ((":method", "POST"), (":scheme", "http"), (":path", "/v1/kms/sign"), (":authority", "localhost"))
    unknown = Request("sign", (*headers, ("authorization", "Bearer nobody")), b"{}")
    seen = run(service.address, [Stream("a", [unknown], 50.0, 1, 8)], seconds=0.5, warmup=0.0).seen["a"]
    assert set(seen.statuses) == {401}
    assert not seen.latencies
    assert len(seen.refusals) == seen.statuses[401]


def test_a_lost_connection_counts_and_is_replaced(tmp_path: Path) -> None:
    with serving(CORES) as mortal:
        stream = _signs(mortal, 100.0)
        killer = threading.Timer(0.5, os.kill, (mortal.workers()[0], signal.SIGKILL))
        killer.start()
        seen = run(mortal.address, [stream], seconds=3.0, warmup=0.1).seen["a"]
    assert seen.statuses[200] > 20
    assert max(seen.times) > 1.0, "nothing was answered after the connections were lost"


def test_percentiles() -> None:
    assert percentile([], 0.5) != percentile([], 0.5)
    assert [percentile([1.0, 2.0, 3.0, 4.0], share) for share in (0.25, 0.5, 0.95, 1.0)] == [1, 2, 4, 4]


def test_the_command_writes_figures(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    command = [sys.executable, "-m", "perf.load", "isolation-80", "--seconds", "0.5", "--json", out]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads(out.read_text())
    assert figures["schema"] == "ron-kms/perf/load/1"
    assert set(figures["streams"]) == {"top", "low"}
    assert figures["streams"]["low"]["statuses"]["200"] > 0
    assert "generator" in done.stdout
