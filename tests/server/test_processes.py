"""The supervisor and its workers: what dies is replaced or takes all with it, and nothing is left behind."""

from __future__ import annotations

import os
import signal
import stat
import threading
import time
from pathlib import Path

import httpx
import psutil
import pytest

from tests.server.edge import Client
from tests.server.service import DIGEST, Service, create, gone, serving
from tests.waiting import until


@pytest.mark.parametrize("workers", [1, 2])
def test_the_whole_way(tmp_path: Path, workers: int) -> None:
    data_dir = tmp_path / "data"
    with serving(data_dir, workers=str(workers)) as service:
        assert len(service.workers()) == workers
        with service.client() as client:
            kid = create(client)
        # Other connections may come to other workers, which know the key from the store.
        for _ in range(6):
            with service.client() as client:
                signed = client.post("/sign", json={"kid": kid, "digest": DIGEST}).json()
                answer = client.post("/verify", json={"digest": DIGEST, **signed}).json()
                assert answer["ok"] is True
        token = service.token
        for process in [psutil.Process(service.pid), *psutil.Process(service.pid).children()]:
            assert process.memory_info().rss < 100 * 2**20
            assert process.rlimit(psutil.RLIMIT_CORE) == (0, 0)
        assert service.stop() == 0
        for name in ("admin.token", "root.key", "ron-kms.db", "lock"):
            assert stat.S_IMODE((data_dir / name).stat().st_mode) == 0o600
        assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700
        assert not (data_dir / "endpoints.json").exists()
        written = service.out.read_text() + service.err.read_text()
        assert token not in written
        assert kid.split("#")[0] not in written
        assert {line["msg"] for line in service.log()} == {"a worker serves", "ready", "stopping"}
        starts = [line for line in service.log() if line["msg"] == "a worker serves"]
        assert [line["settings"]["workers"] for line in starts] == [workers] * workers
        assert starts[0]["versions"]["liboqs"]
    with serving(data_dir, workers=str(workers)) as service:
        assert service.token == token
        with service.client() as client:
            assert client.post("/verify", json={"digest": DIGEST, **signed}).json()["ok"] is True


def test_the_operators_port(tmp_path: Path) -> None:
    with (
        serving(tmp_path / "data", workers="2") as service,
        httpx.Client(base_url=service.endpoints["operator"]) as get,
    ):
        assert get.get("/healthz").json() == {"ok": True}
        ready = get.get("/readyz")
        assert ready.status_code == 200
        assert set(ready.json()) == {"ready", "missing", "degraded", "retry_after", "snapshot"}
        versions = get.get("/version").json()
        assert {"ron_kms", "liboqs", "libsodium", "sqlite", "python", "hypercorn"} <= set(versions)
        assert versions["server"] == ready.json()["snapshot"]["server"]
        for answer, status, code in (
            (get.get("/nothing"), 404, "NotFound"),
            (get.post("/readyz"), 400, "BadRequest"),
        ):
            assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
        with service.client() as client:
            create(client, suite="ed25519")
        metrics = get.get("/metrics")
        assert metrics.headers["content-type"].startswith("text/plain")
        assert 'kms_ops_total{alg="ed25519",op="create",result="ok"} 1.0' in metrics.text


def test_a_worker_killed_under_load_is_replaced(tmp_path: Path) -> None:
    with serving(tmp_path / "data", workers="2") as service:
        with service.client() as client:
            kid = create(client, suite="ed25519")
        stop = threading.Event()
        outcomes: list[object] = []

        def load() -> None:
            while not stop.is_set():
                try:
                    with service.client() as client:
                        for _ in range(20):
                            outcomes.append(client.post("/sign", json={"kid": kid, "digest": DIGEST}).status_code)
                            if stop.is_set():
                                break
                except httpx.TransportError as error:
                    outcomes.append(error)

        threads = [threading.Thread(target=load) for _ in range(4)]
        for thread in threads:
            thread.start()
        assert until(lambda: len(outcomes) > 50)
        before = service.workers()
        os.kill(before[0], signal.SIGKILL)
        try:
            assert until(lambda: service.readyz().status_code == 503)
            assert until(lambda: service.readyz().status_code == 200)
            seen = len(outcomes)
            assert until(lambda: len(outcomes) > seen + 200)
        finally:
            stop.set()
            for thread in threads:
                thread.join(20)
        workers = service.readyz().json()["snapshot"]["workers"]
        assert workers[0]["pid"] not in before
        assert workers[0]["restarts"] == 1
        assert workers[1]["pid"] == before[1]
        lost = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
        assert len(lost) <= 4, "only what was in flight in the dead worker is lost"
        assert {outcome for outcome in outcomes if isinstance(outcome, int)} == {200}
        counted = httpx.get(f"{service.endpoints['operator']}/metrics").text
        signed = 'kms_ops_total{alg="ed25519",op="sign",result="ok"}'
        (line,) = [line for line in counted.splitlines() if line.startswith(signed)]
        assert float(line.split()[-1]) >= outcomes.count(200), "a restart forgets nothing"
        assert [entry["msg"] for entry in service.log()].count("a worker died and is replaced") == 1


def test_a_worker_told_to_end_is_replaced(tmp_path: Path) -> None:
    with serving(tmp_path / "data", workers="1") as service:
        (before,) = service.workers()
        os.kill(before, signal.SIGTERM)
        assert until(lambda: service.readyz().status_code == 200 and service.workers() != [before])
        with service.client() as client:
            create(client)


def test_workers_leave_with_a_killed_supervisor_and_the_next_start_is_clean(tmp_path: Path) -> None:
    with serving(tmp_path / "data", workers="2") as service:
        workers = [psutil.Process(pid) for pid in service.workers()]
        workers[1].suspend()  # not even a stopped one stays
        service.process.kill()
        service.process.wait(5)
        assert until(lambda: all(gone(worker) for worker in workers), 2)
    with serving(tmp_path / "data", workers="2") as service, service.client() as client:
        create(client)


def test_a_stopped_worker_makes_the_service_not_ready(tmp_path: Path) -> None:
    with serving(tmp_path / "data", workers="2") as service:
        worker = service.workers()[1]
        os.kill(worker, signal.SIGSTOP)
        try:
            start = time.monotonic()
            assert until(lambda: service.readyz().status_code == 503, 6)
            assert time.monotonic() - start > 1.0
            answer = service.readyz().json()
            assert "store_ready" in answer["missing"]
            assert [state["ready"] for state in answer["snapshot"]["workers"]] == [True, False]
        finally:
            os.kill(worker, signal.SIGCONT)
        assert until(lambda: service.readyz().status_code == 200, 6)
        assert service.workers()[1] == worker
        os.kill(worker, signal.SIGSTOP)  # stopping the service wakes it
        assert service.stop() == 0


def _client(service: Service) -> Client:
    return Client(httpx.URL(service.endpoints["http"]).port or 0)


def _sign_half(client: Client, token: str, kid: str, body: bytes) -> int:
    stream = client.h2.get_next_available_stream_id()
    headers = [(":method", "POST"), (":path", "/v1/kms/sign"), (":scheme", "http"), (":authority", "localhost")]
    headers += [("authorization", f"Bearer {token}"), ("content-type", "application/json")]
    client.h2.send_headers(stream, headers)
    client.h2.send_data(stream, body)
    client.flush()
    return stream


def _inflight(service: Service) -> int:
    return int(service.readyz().json()["snapshot"]["workers"][0]["inflight"])


def test_stopping_finishes_what_is_in_flight_and_refuses_the_rest(tmp_path: Path) -> None:
    with serving(tmp_path / "data", workers="1") as service:
        with service.client() as client:
            kid = create(client)
        body = b'{"kid": "%s", "digest": "%s"}' % (kid.encode(), DIGEST.encode())
        with _client(service) as client:
            half = _sign_half(client, service.token, kid, body[:20])
            assert until(lambda: _inflight(service) == 1)
            service.process.terminate()
            time.sleep(0.5)
            late = client.request("/v1/kms/keys")
            assert client.answer(late)[0] == 503
            assert b"ShuttingDown" in client.answers[late][1]
            client.h2.send_data(half, body[20:], end_stream=True)
            client.flush()
            answer = client.answer(half)
            assert answer[0] == 200
            assert b'"sigs"' in answer[1]
            assert client.wait_closed()
            assert client.goaway == 0
        assert service.process.wait(10) == 0


def test_stopping_has_an_end(tmp_path: Path) -> None:
    with serving(tmp_path / "data", workers="1", drain_seconds="1") as service, _client(service) as client:
        _sign_half(client, service.token, "", b"{")
        assert until(lambda: _inflight(service) == 1)
        start = time.monotonic()
        assert service.stop() == 0
        assert 0.9 < time.monotonic() - start < 8


def test_a_second_signal_hastens(tmp_path: Path) -> None:
    with serving(tmp_path / "data", workers="1", drain_seconds="60") as service, _client(service) as client:
        _sign_half(client, service.token, "", b"{")
        assert until(lambda: _inflight(service) == 1)
        service.process.terminate()
        time.sleep(0.5)
        assert service.process.poll() is None
        start = time.monotonic()
        assert service.stop() == 0
        assert time.monotonic() - start < 8


def test_ctrl_c_stops_too(tmp_path: Path) -> None:
    with serving(tmp_path / "data", workers="2") as service:
        os.killpg(service.pid, signal.SIGINT)  # as a terminal does it, to the whole foreground group
        assert service.process.wait(10) == 0
        assert "Traceback" not in service.err.read_text()


def test_stopping_before_it_is_ready(tmp_path: Path) -> None:
    for delay in (0.3, 0.8, 1.2):
        service = Service(tmp_path / f"data-{delay}", workers="2")
        time.sleep(delay)
        assert service.stop() in (0, -signal.SIGTERM)
        assert "Traceback" not in service.err.read_text()
    assert not [p for p in psutil.process_iter(["cmdline"]) if str(tmp_path) in " ".join(p.info["cmdline"] or [])]
