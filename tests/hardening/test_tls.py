"""TLS attacked: handshakes that never end, no TLS at all, and a client that does not read."""

from __future__ import annotations

import os
import socket
import ssl
import struct
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.counts import LONG, SERVER, count
from tests.hardening.beside import MARK, unharmed
from tests.hardening.raw import HEADERS, PREFACE, WINDOW_UPDATE, Raw, block, frame, request, settings
from tests.hardening.target import BOTH, WIDE
from tests.server.certificates import Authority
from tests.server.service import Service, serving

SERVERS = ("hypercorn", "granian") if LONG else (SERVER,)
HANDSHAKE = 10.0
"""Seconds that Hypercorn gives it; Granian closes what is idle."""
HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, dict[str, str]]:
    authority = Authority(tmp_path_factory.mktemp("authority"))
    cert, key = authority.issue("server")
    trusting = ssl.create_default_context(cafile=str(authority.path))
    trusting.set_alpn_protocols(["h2"])
    return trusting, {"tls_cert": str(cert), "tls_key": str(key)}


@pytest.fixture(scope="module", params=SERVERS)
def service(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    context: tuple[ssl.SSLContext, dict[str, str]],
) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp(request.param) / "data"
    limits = {"idle_seconds": "2", "request_seconds": "1", "response_seconds": "2"}
    with serving(folder, workers="1", server=request.param, **context[1], **limits) as service:
        yield service


def _port(service: Service) -> int:
    return httpx.URL(service.endpoints["http"]).port or 0


def test_handshakes_that_never_end(service: Service, context: tuple[ssl.SSLContext, dict[str, str]]) -> None:
    with unharmed(service, megabytes=32, verify=context[0]):
        begun = [Raw(_port(service)) for _ in range(count(60, 400))]
        beginnings = (b"", HELLO, HELLO[:3], b"GET / HTTP/1.1\r\nx: " + MARK.encode(), os.urandom(200), PREFACE)
        for k, one in enumerate(begun):
            one.send(beginnings[k % len(beginnings)])
        time.sleep(1.0)
        if LONG:
            assert all(one.ended(HANDSHAKE + 10) for one in begun)
        for one in begun:
            one.close()


def test_who_does_not_read(service: Service, context: tuple[ssl.SSLContext, dict[str, str]]) -> None:
    with unharmed(service, megabytes=32, verify=context[0]), socket.socket() as plain:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        plain.connect(("127.0.0.1", _port(service)))
        with context[0].wrap_socket(plain, server_hostname="localhost") as sock:
            sock.settimeout(0.5)
            sock.sendall(PREFACE + settings(_4=2**31 - 1) + frame(WINDOW_UPDATE, 0, 0, WIDE))
            coded = block(request("GET", "/openapi.json"))
            try:
                for k in range(100):
                    sock.sendall(frame(HEADERS, BOTH, 2 * k + 1, coded))
                    time.sleep(0.01)
            except OSError:  # cut off, or nobody takes what it sends
                pass
            finally:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
