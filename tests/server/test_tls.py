"""TLS 1.3 with ALPN, and client certificates, with certificates of a real authority."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from pathlib import Path

import h2.settings
import httpx
import pytest

from ron_kms.config import load
from ron_kms.errors import ConfigurationError
from ron_kms.server.guards.limits import Limits
from ron_kms.server.tls import make_context
from tests.server.certificates import Authority
from tests.server.edge import Client
from tests.server.edge import serving as edge_serving
from tests.server.service import DIGEST, create, serving
from tests.waiting import until


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def _context(cert: Path, key: Path, client_ca: Path | None = None) -> ssl.SSLContext:
    flags = {"tls_cert": str(cert), "tls_key": str(key), "tls_client_ca": str(client_ca) if client_ca else None}
    context = make_context(load(flags, {}).settings)
    assert context is not None
    return context


def _trusting(authority: Authority, *alpn: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority.path))
    context.set_alpn_protocols(list(alpn))
    return context


def test_the_service_over_tls_with_client_certificates(tmp_path: Path, authority: Authority) -> None:
    cert, key = authority.issue("server")
    mine = authority.issue("client")
    settings = {"tls_cert": str(cert), "tls_key": str(key), "tls_client_ca": str(authority.path)}
    # With TLS other addresses than loopback need no permission.
    with serving(tmp_path / "data", workers="1", http_addr="0.0.0.0:0", **settings) as service:
        assert service.endpoints["http"].startswith("https://127.0.0.1:")
        trust = _trusting(authority)
        with service.client(verify=trust) as stranger, pytest.raises(httpx.TransportError):
            stranger.get("/keys")
        trust.load_cert_chain(*mine)
        with service.client(verify=trust) as client:
            signed = client.post("/sign", json={"kid": create(client), "digest": DIGEST})
            assert signed.http_version == "HTTP/2"
            assert signed.status_code == 200
        assert service.readyz().json()["snapshot"]["tls"] is True


def test_both_protocols_by_alpn(authority: Authority) -> None:
    with edge_serving(tls=_context(*authority.issue("server"))) as edge:
        with Client(edge.port, tls=_trusting(authority, "h2")) as client:
            assert isinstance(client.sock, ssl.SSLSocket)
            assert (client.sock.version(), client.sock.selected_alpn_protocol()) == ("TLSv1.3", "h2")
            assert client.alive()
            stream = client.request("/big/3000000")
            assert len(client.answer(stream)[1]) == 3_000_000
        plain = http.client.HTTPSConnection("localhost", edge.port, context=_trusting(authority, "http/1.1"), timeout=5)
        plain.request("POST", "/", b"x" * 100_000)
        assert plain.getresponse().read() == b"100000"
        plain.close()


def test_older_tls_is_refused(authority: Authority) -> None:
    with edge_serving(tls=_context(*authority.issue("server"))) as edge:
        old = _trusting(authority, "h2")
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(ssl.SSLError), Client(edge.port, tls=old):
            pass
        with Client(edge.port, tls=_trusting(authority, "h2")) as client:
            assert client.alive()


def test_a_handshake_that_does_not_come_is_given_up(authority: Authority) -> None:
    limits = Limits(handshake_seconds=0.3, sweep_seconds=0.05)
    with (
        edge_serving(limits, _context(*authority.issue("server"))) as edge,
        socket.create_connection(("127.0.0.1", edge.port), timeout=5) as sock,
    ):
        start = time.monotonic()
        assert sock.recv(100) == b""
        assert time.monotonic() - start < 3


def test_plain_text_on_a_tls_port(authority: Authority) -> None:
    with edge_serving(tls=_context(*authority.issue("server"))) as edge:
        with socket.create_connection(("127.0.0.1", edge.port), timeout=5) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            assert b"HTTP" not in sock.recv(100)
        with Client(edge.port, tls=_trusting(authority, "h2")) as client:
            assert client.alive()


def test_a_slow_reader_over_tls_is_cut_off(authority: Authority) -> None:
    limits = Limits(sweep_seconds=0.05, response_seconds=0.4)
    with (
        edge_serving(limits, _context(*authority.issue("server"))) as edge,
        Client(edge.port, tls=_trusting(authority, "h2")) as client,
    ):
        client.h2.increment_flow_control_window(2**31 - 1 - 65_535)
        client.flush()
        stream = client.request("/big/30000000")
        client.h2.increment_flow_control_window(2**31 - 1 - 65_535, stream)
        client.flush()
        assert until(lambda: edge.probe.started == 1)
        assert until(lambda: edge.server.connections == 0)
        assert until(lambda: edge.probe.running == 0)


def test_who_does_not_read_over_tls_does_not_hold_up_the_others(authority: Authority) -> None:
    with (
        edge_serving(Limits(response_seconds=60.0), _context(*authority.issue("server"))) as edge,
        Client(edge.port, tls=_trusting(authority, "h2"), acknowledge=False) as client,
    ):
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 2**31 - 1})
        client.h2.increment_flow_control_window(2**31 - 1 - 65_535)
        with Client(edge.port, tls=_trusting(authority, "h2")) as other:
            for _ in range(100):
                client.request("/big/50000")
                assert other.alive()


def test_what_cannot_be_used_is_named(tmp_path: Path, authority: Authority) -> None:
    cert, key = authority.issue("server")
    _, other = authority.issue("other")
    _, hidden = authority.issue("hidden", passphrase=b"secret")
    for wrong in ((cert, other), (key, key), (cert, tmp_path / "none"), (cert, hidden)):
        with pytest.raises(ConfigurationError, match="tls_cert and tls_key cannot be read or do not belong together"):
            _context(*wrong)
    with pytest.raises(ConfigurationError, match="tls_client_ca"):
        _context(cert, key, key)
