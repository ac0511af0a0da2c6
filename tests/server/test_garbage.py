"""Sessions that are nearly right, thousands of them: nothing of them stays, and others are served."""

from __future__ import annotations

import contextlib
import random
import socket
import struct

import pytest
from hpack import Encoder

from ron_kms.server.guards.limits import Limits
from tests.counts import count
from tests.server.edge import Client, serving
from tests.waiting import until

LIMITS = Limits(sweep_seconds=0.05, request_seconds=0.5, response_seconds=0.5, idle_seconds=0.5, linger_seconds=0.2)
SETTINGS, PING, RESET, PRIORITY, WINDOW, GOAWAY, CONTINUATION, DATA, HEADERS = 4, 6, 3, 2, 8, 7, 9, 0, 1
KINDS = [HEADERS] * 6 + [DATA] * 4 + [RESET, WINDOW, SETTINGS, PING, PRIORITY, CONTINUATION, GOAWAY, 99]


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


class Sessions:
    """What clients send who have nearly understood the protocols."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def bytes(self, *sizes: int) -> bytes:
        return self.random.randbytes(self.random.choice(sizes))

    def damaged(self, data: bytes, chance: float) -> bytes:
        if self.random.random() >= chance:
            return data
        changed = bytearray(data)
        changed[self.random.randrange(len(changed))] ^= 1 << self.random.randrange(8)
        return bytes(changed)

    def http2(self) -> bytes:
        encoder, stream, pick = Encoder(), 1, self.random.choice
        out = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", _frame(SETTINGS, 0, 0, b"")]
        for _ in range(self.random.randrange(1, 60)):
            kind = pick(KINDS)
            last = max(0, stream - 2)
            if kind == HEADERS:
                out.append(_frame(HEADERS, pick([4, 5, 12, 0x24, 1, 0]), stream, encoder.encode(self._headers())))
                stream += pick([2, 2, 2, 2, 1, 4])
            elif kind == DATA:
                out.append(_frame(DATA, pick([0, 1, 8]), pick([last, stream, 1, 0]), self.bytes(0, 1, 100, 5000)))
            elif kind in {RESET, WINDOW}:
                out.append(_frame(kind, 0, pick([last, 1, stream + 8]), struct.pack(">I", pick([0, 1, 8, 2**31 - 1]))))
            elif kind == SETTINGS:
                value = pick([0, 1, 100, 16384, 65535, 2**31 - 1, 2**32 - 1])
                out.append(_frame(SETTINGS, pick([0, 0, 1]), 0, struct.pack(">HI", self.random.randrange(1, 9), value)))
            elif kind == PRIORITY:
                out.append(_frame(PRIORITY, 0, max(1, last), self.bytes(5)))
            elif kind == GOAWAY:
                out.append(_frame(GOAWAY, 0, 0, bytes(8)))
            else:
                out.append(_frame(kind, pick([0, 1, 4]), pick([0, max(1, last)]), self.bytes(8, 8, 20)))
        return self.damaged(b"".join(out), 0.1)

    def _headers(self) -> list[tuple[str, str]]:
        pick = self.random.choice
        path = pick(["/", "/never", "/early", "/big/100000", "/break", "*", "", "/%ff%00", "//x"])
        headers = [(":method", pick(["GET", "POST", "CONNECT", "PRI", "g\xe9t"])), (":path", path)]
        headers += [(":scheme", "http"), (":authority", "x")]
        if self.random.random() < 0.2:
            names = ["x-a", "content-length", "te", "connection", "transfer-encoding", "host", "UPPER", ":path"]
            headers.append((pick(names), pick(["1", "a" * 3000, "chunked", "", "\x00", "-1"])))
        if self.random.random() < 0.1:
            headers.pop(self.random.randrange(len(headers)))
        return headers

    def http11(self) -> bytes:
        requests = [
            b"GET / HTTP/1.1\r\nhost: x\r\n\r\n",
            b"POST /early HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n" + bytes(50),
            b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n",
            b"GET /break HTTP/1.1\r\nhost: x\r\n\r\n",
            b"HEAD /big/1000 HTTP/1.1\r\nhost: x\r\n\r\n",
            b"GET /never HTTP/1.0\r\n\r\n",
            b"OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n",
            b"CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n",
            b"GET / HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
            b"POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\nabc",
        ]
        return self.damaged(b"".join(self.random.choices(requests, k=self.random.randrange(1, 8))), 0.4)

    def play(self, port: int) -> None:
        data = self.http2() if self.random.random() < 0.7 else self.http11()
        with socket.create_connection(("127.0.0.1", port), timeout=2) as sock, contextlib.suppress(OSError):
            while data:
                size = self.random.choice([1, 9, 50, 1000, 100_000])
                sock.sendall(data[:size])
                data = data[size:]
            sock.settimeout(self.random.choice([0.001, 0.02]))
            sock.recv(65536)
            if self.random.random() < 0.5:
                sock.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("seed", range(2))
def test_sessions_that_are_nearly_right(seed: int) -> None:
    sessions = Sessions(seed)
    with serving(LIMITS) as edge:
        for number in range(count(400, 8_000)):
            sessions.play(edge.port)
            if number % 100 == 0:
                with Client(edge.port) as other:
                    assert other.alive()
        # "/never" never answers: its connections end by their deadline, all others before.
        assert until(lambda: edge.server.connections == 0, 10)
        assert until(lambda: edge.probe.running == 0)


def test_an_application_that_goes_on_for_nobody_is_ended() -> None:
    with serving(LIMITS) as edge:
        with Client(edge.port) as client:
            client.request("/never")
            assert until(lambda: edge.probe.running == 1)
        with socket.create_connection(("127.0.0.1", edge.port), timeout=5) as sock:
            sock.sendall(b"GET /never HTTP/1.1\r\nhost: x\r\n\r\n")
            assert until(lambda: edge.probe.running == 2)
        assert until(lambda: edge.server.connections == 0)
        assert until(lambda: edge.probe.running == 0)


def test_connect_over_http11_is_refused() -> None:
    with serving(LIMITS) as edge, socket.create_connection(("127.0.0.1", edge.port), timeout=5) as sock:
        sock.sendall(b"CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n")
        assert sock.recv(1000).startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert until(lambda: edge.server.connections == 0)


def test_a_client_that_leaves_while_nobody_reads() -> None:
    with serving(LIMITS) as edge:
        with socket.create_connection(("127.0.0.1", edge.port), timeout=5) as sock:
            sock.sendall(b"GET /never HTTP/1.1\r\nhost: x\r\n\r\n" * 3)  # the second waits for the first
            assert until(lambda: edge.probe.running == 1)
        assert until(lambda: edge.server.connections == 0)
        assert until(lambda: edge.probe.running == 0)
