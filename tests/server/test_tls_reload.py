"""Certificates are replaced without a restart, on both servers, and what cannot be used changes nothing."""

from __future__ import annotations

import contextlib
import signal
import socket
import ssl
import threading
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL

from ron_kms.config import Address, load
from ron_kms.errors import ConfigurationError
from ron_kms.server.serving import key_exchange
from ron_kms.server.tls import make_context
from ron_kms.server.tls_groups import X25519, X25519MLKEM768, offers
from tests.server.certificates import Authority
from tests.server.edge import serving as edge_serving
from tests.server.service import DIGEST, Service, create, serving
from tests.waiting import until

SECP256R1 = 23
REFUSED = "the settings were not reloaded: those before stay in force"


def _address(service: Service) -> Address:
    url = httpx.URL(service.endpoints["http"])
    return Address(url.host, url.port or 0)


def _served(service: Service) -> str:
    """The name in the certificate that a new handshake is answered with."""
    pem = ssl.get_server_certificate(tuple(_address(service)))
    (name,) = x509.load_pem_x509_certificate(pem.encode()).subject
    return str(name.value)


def _put(pair: tuple[Path, Path], place: tuple[Path, Path]) -> None:
    for source, target in zip(pair, place, strict=True):
        source.replace(target)


def _told(service: Service, message: str) -> int:
    return [line["msg"] for line in service.log()].count(message)


def _hang_up(service: Service, message: str) -> None:
    before = _told(service, message)
    service.process.send_signal(signal.SIGHUP)
    assert until(lambda: _told(service, message) > before)


def _trust(authority: Authority, mine: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority.path))
    context.load_cert_chain(*mine)
    return context


def _sign(client: httpx.Client, kid: str) -> int:
    return client.post("/sign", json={"kid": kid, "digest": DIGEST}).status_code


@pytest.mark.parametrize("server", ["hypercorn", "granian"])
def test_other_certificates_for_new_connections(tmp_path: Path, server: str) -> None:
    folders = tmp_path / "one", tmp_path / "two"
    for folder in folders:
        folder.mkdir()
    authority, other = map(Authority, folders)
    place = tmp_path / "live.pem", tmp_path / "live.key"
    clients = tmp_path / "clients.pem"
    _put(authority.issue("first"), place)
    clients.write_bytes(authority.path.read_bytes())
    mine = authority.issue("client")
    settings = {"tls_cert": str(place[0]), "tls_key": str(place[1]), "tls_client_ca": str(clients)}
    with serving(tmp_path / "data", workers="1", server=server, **settings) as service:
        (worker,) = service.workers()
        with service.client(verify=_trust(authority, mine)) as client:
            kid = create(client)
            assert _served(service) == "first"
            _key_exchange_is_told_as_it_is(service, mine)

            _put(authority.issue("second"), place)
            _hang_up(service, "settings reloaded")
            assert until(lambda: _served(service) == "second")
            # A connection from before, or where Granian has closed it a new one.
            assert until(lambda: _tried(client, kid) == 200)

            # Neither half of another pair, nor what only one of the two TLS libraries can use.
            authority.issue("third")[0].replace(place[0])
            _hang_up(service, REFUSED)
            assert "config_loaded" in service.readyz().json()["degraded"]
            if server == "granian":
                _put(authority.issue("fourth", curve=ec.SECP521R1()), place)
                _hang_up(service, REFUSED)
            place[0].unlink()
            _hang_up(service, REFUSED)
            assert _served(service) == "second"

            # Another authority of clients: those of the old one come in no longer.
            _put(authority.issue("fifth"), place)
            clients.write_bytes(other.path.read_bytes())
            _hang_up(service, "settings reloaded")
            assert until(lambda: _served(service) == "fifth")
        with service.client(verify=_trust(authority, mine)) as stranger, pytest.raises(httpx.TransportError):
            stranger.get("/keys")
        with service.client(verify=_trust(authority, other.issue("client"))) as client:
            assert _sign(client, kid) == 200
        assert service.workers() == [worker], "nothing was restarted"


def _tried(client: httpx.Client, kid: str) -> int | None:
    try:
        return _sign(client, kid)
    except Exception:  # noqa: BLE001 - httpx lets errors of h2 through
        return None


def _key_exchange_is_told_as_it_is(service: Service, mine: tuple[Path, Path]) -> None:
    told = service.readyz().json()["snapshot"]["tls_pq"]
    version = httpx.get(f"{service.endpoints['operator']}/version").json()
    assert version["x25519mlkem768"] == ("in force" if told else "not in force")
    assert offers(_address(service), X25519)
    assert offers(_address(service), X25519MLKEM768) is told
    # A client that has both, and prefers the hybrid one.
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.use_certificate_chain_file(str(mine[0]))
    context.use_privatekey_file(str(mine[1]))
    with _connected(_address(service)) as sock:
        connection = SSL.Connection(context, sock)
        connection.set_connect_state()
        connection.do_handshake()
        assert (connection.get_group_name() == "X25519MLKEM768") is told
    if version["server"] == "granian":
        assert not told, "Granian's rustls has it now: docs/operating.md says that it has not"


def _connected(address: Address) -> socket.socket:
    sock = socket.create_connection(tuple(address), timeout=10)
    sock.settimeout(None)  # what pyOpenSSL needs to wait
    return sock


def test_the_question_is_understood_by_a_server_that_has_it(tmp_path: Path) -> None:
    cert, key = Authority(tmp_path).issue("server")
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.use_certificate_chain_file(str(cert))
    context.use_privatekey_file(str(key))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = Address(*listener.getsockname())

        def serve() -> None:
            for _ in range(3):
                sock, _ = listener.accept()
                with sock, contextlib.suppress(SSL.Error):
                    connection = SSL.Connection(context, sock)
                    connection.set_accept_state()
                    connection.do_handshake()

        thread = threading.Thread(target=serve)
        thread.start()
        assert [offers(address, group) for group in (X25519MLKEM768, X25519, 0x4242)] == [True, True, False]
        thread.join(10)


def test_whoever_does_not_speak_tls_offers_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.recv(1000)
                sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        assert not offers(Address(*listener.getsockname()), X25519)
        thread.join(10)


def test_require_starts_where_it_can_be_had_only(tmp_path: Path) -> None:
    cert, key = Authority(tmp_path).issue("server")
    settings = {"tls_cert": str(cert), "tls_key": str(key), "tls_pq": "require"}
    service = Service(tmp_path / "data", workers="1", server="granian", **settings)
    assert until(lambda: service.process.poll() is not None, 30)
    assert service.process.wait(10) == 1
    assert "X25519MLKEM768 cannot be had of Granian's rustls" in service.err.read_text()


def test_openssl_has_it_or_not_and_off_leaves_x25519(tmp_path: Path) -> None:
    cert, key = Authority(tmp_path).issue("server")
    flags = {"tls_cert": str(cert), "tls_key": str(key)}
    settings = load({**flags, "tls_pq": "require"}, {}).settings
    with edge_serving(tls=make_context(settings)) as edge:
        address = Address("127.0.0.1", edge.port)
        if ssl.OPENSSL_VERSION_INFO >= (3, 5):
            assert key_exchange(settings, address)
        else:
            with pytest.raises(ConfigurationError, match="cannot be had of Python's OpenSSL"):
                key_exchange(settings, address)
    settings = load({**flags, "tls_pq": "off"}, {}).settings
    with edge_serving(tls=make_context(settings)) as edge:
        address = Address("127.0.0.1", edge.port)
        assert not key_exchange(settings, address)
        assert [offers(address, group) for group in (X25519, SECP256R1)] == [True, False]
