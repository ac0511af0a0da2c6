"""The load generator counts what clients wait for, all of it, and is not what limits."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

if not (Path(__file__).parents[2] / "perf" / "load").is_dir():
    pytest.skip("the load generator is not beside the tests", allow_module_level=True)

from perf import record
from perf.detail import distributions, series
from perf.load import profiles, scenarios, transports
from perf.load.commands import deltas
from perf.load.commands import latency as latencies
from perf.load.commands.mix import lengths
from perf.load.commands.show import show
from perf.load.commands.trivial import Served
from perf.load.figures import latency, to_record
from perf.load.generator import Seen, Stream, run
from perf.load.later import NotYet
from perf.load.mixes import Load, Mix, prepare
from perf.load.rounds import Round, take, target_of
from perf.load.scenarios import sign_requests
from perf.load.seen import percentile
from perf.load.service import Service, Watch, serving
from perf.load.table import table
from perf.load.targets import REFERENCES, ours
from perf.load.trivial import application
from perf.load.turns import Turn, find_capacities, measure, to_records
from perf.load.verdicts import verdicts
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


@pytest.mark.skipif(shutil.which("h2load") is None, reason="there is no h2load")
def test_the_generator_loads_as_much_as_another(service: Service) -> None:
    """Where the service is what limits, it answers as many requests of ours as of h2load."""
    tenant = service.tenant("a")
    headers = {"authorization": f"Bearer {tenant.token}", "content-type": "application/json"}
    [request, *_] = _signs(service, None).requests
    served = Served("ours", service.address, service.workers(), request, headers)
    for _ in range(8):
        served.round(1.0, 2, 8)
        if max(served.own) > 0.7 * max(served.rates):
            break
    else:
        raise AssertionError((served.own, served.rates))
    assert not served.bad
    assert min(served.cpu) > 0


def test_the_trivial_application_signs() -> None:
    body = json.dumps({"kid": "a", "digest": base64.b64encode(bytes(32)).decode()}).encode()
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(application()({"type": "http"}, receive, send))
    assert sent[0]["status"] == 200
    assert len(base64.b64decode(json.loads(sent[1]["body"])["sigs"][0]["signature"])) == 64


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
        seen = run(mortal.address, [stream], seconds=2.5, warmup=0.1).seen["a"]
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
    told = CliRunner().invoke(show, [str(tmp_path)])
    assert told.exit_code == 0, told.output
    assert "| steady | hypercorn | durable | classical | sign ed25519 |" in told.output


def _begun(name: str) -> record.Record:
    return record.begin("load", name, "result", {"server": "hypercorn", "audit": "durable"})


def _answered(service: Service, mix: Mix, seconds: float) -> Round:
    """A round in which every kind of client has had an answer: on a busy machine it may take some."""
    for _ in range(20):
        one = take(service, mix.streams(200.0), seconds, 0.0)
        if all(seen.latencies for seen in one.outcome.seen.values()):
            return one
    raise AssertionError([dict(seen.statuses) for seen in one.outcome.seen.values()])


@pytest.mark.parametrize("name", ["burst", "isolation-80", "batch"])
def test_mixes_are_answered(name: str, service: Service) -> None:
    load = Load(connections=2, depth=4, seconds=0.4, batch=16)
    mix = prepare(name, service, load)
    one = _answered(service, mix, load.seconds)
    made = to_record(_begun(name), [one], "", 200.0)
    found = {(measure.kind, measure.of): measure.rounds for measure in made.measures}
    assert found[("errors", "")] == (0.0,)
    assert found[("rate", "")][0] > 0
    assert ("skew" in {measure.kind for measure in made.measures}) is name.startswith("isolation")
    assert set(made.detail["clients"]) == {stream.name for stream in one.streams}
    assert name in table(made)


def test_a_flood_of_rotations_and_what_comes_after(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenarios, "ROTATED", 32)
    mix = prepare("rotate", service, Load(seconds=1.0, rotate_rate=4.0))
    one = _answered(service, mix, 1.0)
    assert list(one.outcome.seen) == ["flood", "flood's rotations", "steady", "steady's rotations"]
    [flood, *_, steady] = to_record(_begun("rotate"), [one], "", 100.0).detail["clients"].values()
    assert flood["spans"][0][1] == steady["spans"][0][0]


def test_a_calibration_finds_out_what_a_service_can_do(service: Service) -> None:
    turn = Turn("sign", service, _signs(service, None).requests)
    find_capacities([turn], 2, 16, 0.5)
    assert turn.capacity > 20
    paced = Mix((), lambda target: [Stream("a", turn.requests, target, 1, 8)])
    assert target_of(service, paced, 50.0) == 50


def _in_turns(turns: list[Turn], name: str) -> list[record.Record]:
    for turn in turns:
        turn.capacity = 100.0
    measure(turns, [100.0] * len(turns), 0.3, 1, 2)
    return to_records(turns, _begun(name), "")


def test_hybrid_by_classical(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenarios, "KEYS", 2)
    monkeypatch.setattr(scenarios, "BODIES", 2)
    turns = deltas.cells(service)
    made = _in_turns(turns, "deltas")
    assert len({one.run for one in made}) == 1
    assert "verify, and" in deltas.table(made)
    assert turns[1].payload - turns[0].payload > 3309 * 4 / 3


def test_latency_beside_what_is_asked_for(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenarios, "KEYS", 2)
    monkeypatch.setattr(scenarios, "BODIES", 2)
    monkeypatch.setattr(latencies, "MISSING_KEYS", 2)
    turns = latencies.cells(service, service)
    told = latencies.table(turns, _in_turns(turns, "latency"))
    assert {turn.of for turn in turns} == set(REFERENCES)
    assert told.count("met") + told.count("missed") == 2 * len(turns)


@pytest.mark.parametrize(
    ("name", "setting", "kind", "of", "value", "met"),
    [
        ("isolation-80", {}, "skew", "", 1.19, True),
        ("isolation-80", {}, "skew", "", 1.21, False),
        ("flood", {}, "p95", "sign ed25519, singles", 20.1, False),
        ("burst", {"server": "granian", "depth": 8}, "p99", "sign ed25519, burst", 19.9, True),
        ("sign", {"server": "granian", "depth": 1}, "rate", "", 4_499.0, False),
        ("sign", {"server": "granian", "depth": 8}, "rate", "", 9_001.0, True),
        ("batch", {"batch": 256}, "rate", "", 0.61e6 / 13, True),
        ("batch", {"batch": 256, "server": "granian"}, "rate", "", 0.69e6 / 13, False),
    ],
)
def test_what_is_asked_of_a_mix(
    name: str, setting: dict[str, record.Value], kind: str, of: str, value: float, met: bool
) -> None:
    made = _begun(name)
    whole = {
        "errors": 0.0,
        "shed": 0.0,
        "pq_policy": 0.0,
        "all_resident": 160.0,
        "resident": 80.0,
        "floor": 13.0,
        "files": 50,
    }
    made = msgspec.structs.replace(
        made,
        setting=made.setting | {"suite": "classical", "connections": 8} | setting,
        measures=(
            *(record.Measure(one, "", (many,)) for one, many in whole.items()),
            record.Measure("floor", "", (13.0,)),
            record.Measure(kind, of, (value,)),
        ),
        detail={"files_limit": 1024},
    )
    *general, own = verdicts(made)
    assert own.met is met
    assert all(one.met for one in general)
    assert str(own).endswith("met" if met else "missed")


def test_a_durable_signature_may_wait_for_syncs() -> None:
    assert ours("sign ed25519", "granian", "durable", 0.2) == pytest.approx(1.6)
    assert ours("sign ed25519", "granian", "written", 0.2) == 1.0
    assert ours("sign ed25519", "hypercorn", "durable", 0.2) == 3.5
    assert ours("wrap ml-kem-768", "hypercorn", "durable", 0.2) == 2.0


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (("steady", None, None, None), (1.0, 10)),
        (("steady", 300.0, None, None), (30.0, 10)),
        (("burst", None, None, None), (6.0, 3)),
        (("burst", None, None, 300.0), (300.0, 1)),
        (("burst", 1800.0, None, 300.0), (300.0, 6)),
        (("rotate", 20.0, 2, None), (10.0, 2)),
    ],
)
def test_lengths(asked: tuple[str, float | None, int | None, float | None], expected: tuple[float, int]) -> None:
    assert lengths(*asked) == expected


def test_what_has_not_come_is_said() -> None:
    done = _run("run", "--mix", "steady", "--transport", "grpc")
    assert (done.returncode, done.stderr.strip()) == (2, "transport grpc: not yet")
    with pytest.raises(NotYet, match="profile hsm: not yet"):
        profiles.settings("hsm")
    with pytest.raises(LookupError, match="there is none; there are http2"):
        transports.find("pigeon")
