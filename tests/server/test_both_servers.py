"""The same service on each server: what a client asks and is refused, limits of connections, and the stop under load.

The whole of ``tests/e2e`` runs on Granian too in ``make test-long``.
"""

from __future__ import annotations

import gzip
import http.client
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import h2.exceptions
import h2.settings
import httpx
import msgspec
import psutil
import pytest
from h2.errors import ErrorCodes

from ron_kms.config import load
from ron_kms.errors import ConfigurationError
from ron_kms.server.granian import installed
from ron_kms.server.serving import check_server
from tests.counts import count
from tests.e2e.wire import narrowed
from tests.server.edge import Client
from tests.server.service import DIGEST, Service, create, serving
from tests.waiting import until

SERVERS = ("hypercorn", "granian")
STREAMS = 128


@pytest.fixture(scope="module", params=SERVERS)
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp(request.param) / "data"
    limits = {"idle_seconds": "1", "request_seconds": "1", "response_seconds": "1"}
    with serving(folder, workers="1", server=request.param, **limits) as service:
        yield service


def _port(service: Service) -> int:
    return httpx.URL(service.endpoints["http"]).port or 0


def test_it_says_what_it_is(service: Service) -> None:
    snapshot = service.readyz().json()["snapshot"]
    versions = httpx.get(f"{service.endpoints['operator']}/version").json()
    assert snapshot["server"] == versions["server"]
    assert versions["granian"] == installed.VERSION


@pytest.mark.parametrize("http2", [True, False])
def test_a_key_signs_and_what_it_signed_holds(service: Service, http2: bool) -> None:
    with service.client(http1=not http2, http2=http2) as client:
        kid = create(client)
        signed = client.post("/sign", json={"kid": kid, "digest": DIGEST}).json()
        assert client.post("/verify", json={"digest": DIGEST, **signed}).json()["ok"] is True
        batch = client.post("/sign:batch", json={"kid": kid, "items": [{"digest": DIGEST}] * 50}).json()
        assert len([item["sigs"] for item in batch["items"]]) == 50
        packed = msgspec.msgpack.encode({"kid": kid, "digest": bytes(32)})
        headers = {"content-type": "application/msgpack", "accept": "application/msgpack"}
        answer = client.post("/sign", content=packed, headers=headers)
        assert len(msgspec.msgpack.decode(answer.content)["sigs"]) == 2
        headers = {"content-type": "application/json", "content-encoding": "gzip"}
        body = gzip.compress(json.dumps({"kid": kid, "digest": DIGEST}).encode())
        assert client.post("/sign", content=body, headers=headers).status_code == 200
        assert client.head("/keys").status_code == 200


def test_refusals(service: Service) -> None:
    with service.client() as client:
        kid = create(client, suite="ed25519")
        absent = kid.split("#")[0][:-4] + "0000"
        for answer, status, code in (
            (client.get("/keys", headers={"authorization": "Bearer x"}), 401, "Unauthenticated"),
            (client.get("/nothing"), 404, "NotFound"),
            (client.post("/sign", json={"kid": absent, "digest": DIGEST}), 404, "NotFound"),
            (
                client.post("/sign", content=bytes(2 << 20), headers={"content-type": "application/json"}),
                413,
                "TooLarge",
            ),
            (client.post("/sign", content=b"{", headers={"content-type": "application/json"}), 400, "BadRequest"),
            (client.put("/sign", json={}), 400, "BadRequest"),
        ):
            assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
        # The connection has outlived them all.
        assert client.post("/sign", json={"kid": kid, "digest": DIGEST}).status_code == 200


def test_a_slow_body_and_a_silent_connection_are_given_up(service: Service) -> None:
    port = _port(service)
    with socket.create_connection(("127.0.0.1", port), timeout=20) as silent, Client(port) as client:
        stream = client.h2.get_next_available_stream_id()
        headers = [(":method", "POST"), (":path", "/v1/kms/sign"), (":scheme", "http"), (":authority", "localhost")]
        headers += [("authorization", f"Bearer {service.token}"), ("content-type", "application/json")]
        client.h2.send_headers(stream, headers)
        client.h2.send_data(stream, b"{")
        client.flush()
        answer = client.answer(stream, 20)
        assert answer[0] == 400
        assert b"did not arrive" in answer[1]
        # After the answer it has no request, and is closed for being idle.
        assert client.wait_closed(20)
        assert silent.recv(1) == b""


def test_a_head_that_does_not_come(service: Service) -> None:
    with socket.create_connection(("127.0.0.1", _port(service)), timeout=20) as sock:
        sock.sendall(b"GET /v1/kms/keys HTTP/1.1\r\nhost: x\r\n")
        received = b""
        while data := sock.recv(1000):
            received += data
        assert not received.startswith(b"HTTP/1.1 2")


def test_a_long_head_is_refused(service: Service) -> None:
    long = {"x-long": "y" * 60_000}
    plain = http.client.HTTPConnection("127.0.0.1", _port(service), timeout=10)
    plain.request("GET", "/v1/kms/keys", headers=long)
    assert plain.getresponse().status in {413, 431}
    plain.close()
    with Client(_port(service)) as client:
        stream = client.h2.get_next_available_stream_id()
        head = [(":method", "GET"), (":path", "/v1/kms/keys"), (":scheme", "http"), (":authority", "localhost")]
        client.h2.send_headers(stream, [*head, *long.items()], end_stream=True)
        client.flush()
        status = client.answer(stream)[0]
        assert status is None or status in {413, 431}


def test_streams_are_bounded(service: Service) -> None:
    with Client(_port(service)) as client:
        client.read()
        settings = client.h2.remote_settings
        assert (settings.max_concurrent_streams, settings.max_header_list_size) == (STREAMS, 16 * 1024)
        # A client that does not care: what is too much is refused alone, and may be tried again (RFC 9113, 8.7).
        client.h2.remote_settings = h2.settings.Settings(client=False)
        streams = [client.request("/v1/kms/sign", b"{", end=False, flush=False) for _ in range(STREAMS + 20)]
        client.flush()
        refused = [client.answer(stream)[3] for stream in streams[STREAMS:]]
        assert refused == [ErrorCodes.REFUSED_STREAM] * 20
        assert all(client.answers.get(stream, [None])[0] in {None, 401} for stream in streams[:STREAMS])


@pytest.mark.parametrize("server", SERVERS)
def test_answers_that_nobody_reads_are_bounded(tmp_path: Path, server: str) -> None:
    """A tenant that asks and does not read is let in no more, and others are; once it has gone it may come again."""
    with serving(tmp_path / "data", workers="1", server=server, body_memory=str(32 << 20)) as service:
        _ask_without_reading(service)


def _ask_without_reading(service: Service) -> None:
    token = narrowed(service.token, "tenant = acme")
    with service.client() as admin, Client(_port(service), acknowledge=False) as client:
        kid = create(admin, suite="ml-dsa-87")
        body = json.dumps({"kid": kid, "items": [{"digest": DIGEST}] * 250}).encode()
        headers = [(":method", "POST"), (":path", "/v1/kms/sign:batch"), (":scheme", "http"), (":authority", "x")]
        headers += [("authorization", f"Bearer {token}"), ("content-type", "application/json")]
        statuses = []
        for _ in range(16):
            stream = client.h2.get_next_available_stream_id()
            client.h2.send_headers(stream, headers)
            client.h2.send_data(stream, body, end_stream=True)
            client.flush()
            assert until(lambda stream=stream: client.read(0.1) and client.answers.get(stream, [None])[0])
            statuses.append(client.answers[stream][0])
        # One of them is 1.6 MB, and one tenant may have half of 32 MiB.
        assert statuses == [200] * statuses.index(429) + [429] * (16 - statuses.index(429))
        assert 8 <= statuses.index(429) <= 12
        assert admin.post("/sign", json={"kid": kid, "digest": DIGEST}).status_code == 200
        client.sock.close()
        again = {"authorization": f"Bearer {token}"}
        assert until(lambda: admin.post("/sign", json={"kid": kid, "digest": DIGEST}, headers=again).status_code == 200)


def test_connections_are_counted(service: Service) -> None:
    def connections() -> int:
        return int(service.readyz().json()["snapshot"]["workers"][0]["connections"])

    assert until(lambda: connections() == 0)
    with Client(_port(service)) as client:
        # It asks, so that it does not count as idle.
        assert until(lambda: client.answer(client.request("/"))[0] == 404 and connections() == 1)
    assert until(lambda: connections() == 0)


@pytest.mark.parametrize("server", SERVERS)
def test_a_stop_under_load_loses_no_answer(tmp_path: Path, server: str) -> None:
    """Whoever was answered has a whole answer; the others got a clean 503 or a closed connection."""
    outcomes: list[int | str] = []
    stopping = threading.Event()

    def work(service: Service, kid: str, http2: bool) -> None:
        while not stopping.is_set() or outcomes[-1] == 200:
            try:
                with service.client(http1=not http2, http2=http2) as client:
                    while True:
                        answer = client.post("/sign", json={"kid": kid, "digest": DIGEST})
                        assert answer.status_code in {200, 503}
                        fields = answer.json()
                        assert (
                            fields["error"]["code"] == "ShuttingDown" if answer.status_code == 503 else fields["sigs"]
                        )
                        outcomes.append(answer.status_code)
                        if answer.status_code == 503:
                            return
            except (httpx.TransportError, h2.exceptions.ProtocolError):
                outcomes.append("closed" if stopping.is_set() else "lost")
                return

    with serving(tmp_path / "data", workers=str(count(1, 2)), server=server) as service:
        with service.client() as client:
            kid = create(client, suite="ed25519")
        threads = [threading.Thread(target=work, args=(service, kid, at % 2 == 0)) for at in range(count(4, 16))]
        for thread in threads:
            thread.start()
        assert until(lambda: outcomes.count(200) > count(100, 5000), 60)
        stopping.set()
        assert service.stop() == 0
        for thread in threads:
            thread.join(20)
            assert not thread.is_alive()
    assert set(outcomes) <= {200, 503, "closed"}


def _broken(sock: socket.socket) -> bool:
    try:
        sock.sendall(b" ")
    except OSError:
        return True
    return False


def test_a_client_that_does_not_read_is_cut_off(service: Service) -> None:
    with service.client() as client:
        kid = create(client)
    body = json.dumps({"kid": kid, "items": [{"digest": DIGEST}] * 1024}).encode()
    with socket.create_connection(("127.0.0.1", _port(service)), timeout=20) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        head = f"POST /v1/kms/sign:batch HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {service.token}\r\n"
        head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        sock.sendall(head.encode() + body)
        assert until(lambda: _broken(sock), 20)


def test_a_killed_worker_is_replaced_on_its_socket(service: Service) -> None:
    (before,) = service.workers()
    psutil.Process(before).kill()
    # Who connects meanwhile waits for the next worker.
    with service.client(timeout=20) as client:
        create(client)
    assert until(lambda: service.readyz().status_code == 200)
    assert service.workers() != [before]


def test_another_version_of_granian_is_refused_at_start(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load({"server": "granian"}, {}).settings
    check_server(settings)
    monkeypatch.setattr(installed, "version", lambda name: "0.1")
    with pytest.raises(ConfigurationError, match="needed in version") as caught:
        check_server(settings)
    assert "ron-kms[granian]" in caught.value.hint
