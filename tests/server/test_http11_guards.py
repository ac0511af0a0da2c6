"""HTTP/1.1 over real connections: reason phrases, early answers, slow clients, errors in the API's form."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import subprocess
import time

import pytest

from ron_kms.server.guards.limits import Limits
from tests.server.edge import Client, serving
from tests.waiting import until

QUICK = Limits(sweep_seconds=0.05, request_seconds=0.4, response_seconds=0.4, idle_seconds=0.4, linger_seconds=0.2)


def _all(sock: socket.socket) -> bytes:
    data = b""
    try:
        while piece := sock.recv(65536):
            data += piece
    except ConnectionResetError:
        pass
    return data


def test_answers_have_reason_phrases() -> None:
    with serving() as edge:
        client = http.client.HTTPConnection("127.0.0.1", edge.port, timeout=5)
        client.request("POST", "/", b"12345")
        answer = client.getresponse()
        assert (answer.status, answer.reason, answer.read()) == (200, "OK", b"5")
        client.request("GET", "/early")
        answer = client.getresponse()
        assert (answer.status, answer.reason, answer.read()) == (401, "Unauthorized", b"no")
        client.close()


@pytest.mark.skipif(shutil.which("h2load") is None, reason="h2load (nghttp2) is not installed")
def test_more_requests_than_hypercorn_keeps_a_connection_for() -> None:
    with serving() as edge:
        out = subprocess.run(
            ["h2load", "--h1", "-n3000", "-c2", f"http://127.0.0.1:{edge.port}/"],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout
    assert "3000 done, 3000 succeeded, 0 failed, 0 errored, 0 timeout" in out


def test_a_client_answered_early_may_finish_its_body_and_go_on() -> None:
    with serving() as edge, socket.create_connection(("127.0.0.1", edge.port), timeout=5) as sock:
        sock.sendall(b"POST /early HTTP/1.1\r\nhost: x\r\ncontent-length: 300000\r\n\r\n" + bytes(1000))
        assert sock.recv(1000).startswith(b"HTTP/1.1 401 Unauthorized\r\n")
        sock.sendall(bytes(299_000))
        sock.sendall(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        assert _all(sock).startswith(b"HTTP/1.1 200 OK\r\n")


def test_an_endless_body_after_an_answer_ends_the_connection() -> None:
    with (
        serving(Limits(discard_bytes=10_000, sweep_seconds=0.05, linger_seconds=0.2)) as edge,
        socket.create_connection(("127.0.0.1", edge.port), timeout=5) as sock,
    ):
        sock.sendall(b"POST /early HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
        try:
            for _ in range(2000):
                sock.sendall(b"1000\r\n" + bytes(0x1000) + b"\r\n")
        except OSError:
            pass
        assert until(lambda: edge.server.connections == 0)


def test_pipelined_requests_are_answered_in_order() -> None:
    with serving() as edge, socket.create_connection(("127.0.0.1", edge.port), timeout=5) as sock:
        request = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%s"
        sock.sendall(b"".join(request % (n, b"x" * n) for n in range(1, 20)))
        sock.shutdown(socket.SHUT_WR)
        bodies = [part.split(b"\r\n\r\n")[1] for part in _all(sock).split(b"HTTP/1.1 200 OK")[1:]]
        assert [int(body) for body in bodies] == list(range(1, 20))


@pytest.mark.parametrize(
    ("garbage", "status", "code"),
    [
        (b"\x00\x01\x02\r\n\r\n", 400, "BadRequest"),
        (b"GET / HTTP/1.1\r\nhost: x\r\nbad header\r\n\r\n", 400, "BadRequest"),
        (b"GET / HTTP/1.1\r\n\r\n", 400, "BadRequest"),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", 400, "BadRequest"),
        (b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: magic\r\n\r\n", 400, "BadRequest"),
        (b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n", 400, "BadRequest"),
        (b"GET / HTTP/1.1\r\nhost: x\r\nx: " + b"y" * 40_000, 413, "TooLarge"),
    ],
)
def test_what_is_not_http_is_refused_as_the_api_refuses(garbage: bytes, status: int, code: str) -> None:
    with serving() as edge, socket.create_connection(("127.0.0.1", edge.port), timeout=5) as sock:
        sock.sendall(garbage)
        head, body = _all(sock).split(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 %d " % status)
        error = json.loads(body)["error"]
        assert error["code"] == code
        assert set(error) == {"code", "message", "retryable", "hint", "ts", "request_id"}


def test_slow_heads_and_slow_bodies_are_cut_off() -> None:
    with serving(QUICK) as edge:
        for start in (b"GET / HT", b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n"):
            with socket.create_connection(("127.0.0.1", edge.port), timeout=0.05) as sock:
                sock.sendall(start)
                begin = time.monotonic()
                while time.monotonic() - begin < 5:
                    try:
                        sock.sendall(b"x")
                        if sock.recv(100) == b"":
                            break
                    except TimeoutError:
                        continue
                    except OSError:
                        break
                assert time.monotonic() - begin < 2
        assert until(lambda: edge.probe.running == 0)


def test_a_reader_that_stops_is_cut_off() -> None:
    with serving(QUICK) as edge, socket.create_connection(("127.0.0.1", edge.port), timeout=5) as sock:
        sock.sendall(b"GET /big/30000000 HTTP/1.1\r\nhost: x\r\n\r\n")
        assert until(lambda: edge.server.connections == 1)
        assert until(lambda: edge.server.connections == 0)


def test_offers_to_upgrade_are_ignored() -> None:
    upgrades = (
        b"upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAA\r\n",
        b"upgrade: h2c\r\nconnection: upgrade, http2-settings\r\nhttp2-settings: !!!\r\n",
    )
    with serving() as edge:
        for upgrade in upgrades:
            with socket.create_connection(("127.0.0.1", edge.port), timeout=5) as sock:
                sock.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n" + upgrade + b"\r\n")
                assert sock.recv(1000).startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_client_that_half_closes_still_gets_its_answer() -> None:
    with serving() as edge, socket.create_connection(("127.0.0.1", edge.port), timeout=5) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc")
        sock.shutdown(socket.SHUT_WR)
        assert _all(sock).endswith(b"\r\n\r\n3")


def test_expect_100_continue() -> None:
    with serving() as edge, socket.create_connection(("127.0.0.1", edge.port), timeout=5) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\nexpect: 100-continue\r\n\r\n")
        assert sock.recv(1000).startswith(b"HTTP/1.1 100 Continue\r\n")
        sock.sendall(b"abc")
        assert sock.recv(1000).startswith(b"HTTP/1.1 200 OK\r\n")


def test_no_header_tells_what_serves() -> None:
    with serving() as edge, socket.create_connection(("127.0.0.1", edge.port), timeout=5) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        answer = _all(sock).lower()
        assert b"\r\nserver:" not in answer
        assert b"\r\ndate:" in answer


def test_both_protocols_share_the_port() -> None:
    with serving() as edge, Client(edge.port) as client:
        assert client.alive()
        plain = http.client.HTTPConnection("127.0.0.1", edge.port, timeout=5)
        plain.request("GET", "/")
        assert plain.getresponse().status == 200
        plain.close()
