"""The load generator counts what clients wait for, all of it, and is not what limits."""

from __future__ import annotations

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

from perf import record
from perf.detail import distributions, series
from perf.load.figures import latency
from perf.load.generator import Seen, Stream, run
from perf.load.scenarios import sign_requests
from perf.load.seen import percentile
from perf.load.service import Service, Watch, serving
from perf.load.wire import Request

CORES = sorted(os.sched_getaffinity(0))[:1]


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with serving(CORES, freshness_ms="10000") as service:
        yield service


def _signs(service: Service, rate: float | None) -> Stream:
    return Stream("a", sign_requests(service, service.tenant("a"), "ed25519"), rate, 2, 16)


def _all(seen: Seen) -> list[float]:
    return [value for values in seen.latencies.values() for value in values]


def test_a_closed_loop_is_answered(service: Service) -> None:
    with Watch(service) as watch:
        seen = run(service.address, [_signs(service, None)], seconds=0.5, warmup=0.1).seen["a"]
    assert set(seen.statuses) == {200}
    assert len(_all(seen)) == seen.statuses[200] > 20
    assert watch.usage.workers_cpu > 0
    assert 20e6 < watch.usage.worker_resident < 200e6
    assert watch.usage.samples[-1].workers_cpu > watch.usage.samples[0].workers_cpu


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
    assert len(seen.refusals) == seen.statuses[401] == seen.codes["Unauthenticated"]


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


def test_what_finds_no_room_is_dropped_where_that_is_asked_for(service: Service) -> None:
    requests = _signs(service, None).requests
    seen = run(service.address, [Stream("a", requests, 50_000.0, 1, 4, drops=True)], seconds=0.3, warmup=0.0).seen["a"]
    assert seen.unsent > 5_000
    assert 0 < seen.statuses[200] < seen.unsent
    assert latency(_all(seen))["p50"] < 200, "they waited for room"


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "perf.load", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)


def test_a_mix_leaves_a_record(tmp_path: Path) -> None:
    out = tmp_path / "steady.json"
    done = _run("run", "--mix", "steady", "--rate", "200", "--duration", "1.2", "--rounds", "3", "--json", str(out))
    assert done.returncode == 0, done.stderr
    made = record.load(out)
    assert (made.suite, made.name, made.role) == ("load", "steady", "result")
    assert made.setting["transport"] == "http2"
    assert {len(measure.rounds) for measure in made.measures} == {3}
    found = {(measure.kind, measure.of): measure.rounds for measure in made.measures}
    assert set(found[("errors", "")]) == {0.0}
    assert min(found[("floor", "")]) > 1
    assert min(found[("cpu", "")]) > min(found[("floor", "")])
    assert min(found[("p95", "sign ed25519")]) > 0
    assert {one.of for one in distributions(made)} >= {"sign ed25519", "verify ed25519", "wrap x25519"}
    assert {one.name for one in series(made)} >= {"processor", "resident", "files", "rate", "p95"}
    assert made.detail["clients"]["all"]["statuses"]["200"] > 50
    assert made.detail["counters"]["kms_audit_appends_total"] > 0
    assert "sign ed25519" in done.stdout


def test_two_tenants_have_a_skew(tmp_path: Path) -> None:
    out = tmp_path / "isolation.json"
    done = _run("run", "--mix", "isolation-80", "--duration", "0.6", "--rounds", "2", "--json", str(out))
    assert done.returncode == 0, done.stderr
    [skew] = [measure.rounds for measure in record.load(out).measures if measure.kind == "skew"]
    assert min(skew) >= 1


@pytest.mark.parametrize("asked", [("--transport", "grpc"), ("--profile", "hsm")])
def test_what_has_not_come_is_said(asked: tuple[str, str]) -> None:
    done = _run("run", "--mix", "steady", *asked)
    assert (done.returncode, done.stderr.strip()) == (2, f"{asked[0].removeprefix('--')} {asked[1]}: not yet")
