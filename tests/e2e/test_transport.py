"""HTTP/1.1 and HTTP/2, plain and over TLS, one worker and two."""

from __future__ import annotations

import re
import shutil
import ssl
import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.counts import count
from tests.e2e.service import Service
from tests.e2e.wire import JSON, MSGPACK, Client, digest_of

DIGEST = digest_of("a document")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, signed by itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "ron-kms tests")])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(built.public_bytes(serialization.Encoding.PEM))
    private = serialization.PrivateFormat.PKCS8
    pem = key.private_bytes(serialization.Encoding.PEM, private, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(pem)
    (folder / "key.pem").chmod(0o600)
    return folder / "cert.pem", folder / "key.pem"


def use(client: Client) -> str:
    """The whole flow, and the HTTP version that it ran over."""
    kid = client.create()
    signed = client.post("sign", kid=kid, digest=DIGEST)
    assert client.post("verify", kid=kid, digest=DIGEST, sigs=signed.good()["sigs"]).good()["ok"] is True
    return signed.http_version


@pytest.mark.parametrize("media", [JSON, MSGPACK])
@pytest.mark.parametrize(("http2", "version"), [(True, "HTTP/2"), (False, "HTTP/1.1")])
def test_plain_text(service: Service, media: str, http2: bool, version: str) -> None:
    with service.client(media=media, http2=http2) as client:
        assert use(client) == version
        assert client.call("POST", "/v1/kms/sign", bytes(100_000), token=None).status == 401
        assert use(client) == version


def test_tls(data_dir: Path, certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    with Service(data_dir, tls_cert=cert, tls_key=key) as service:
        assert service.url.startswith("https://")
        context = ssl.create_default_context(cafile=str(cert))
        with service.client(verify=context) as client:
            assert use(client) == "HTTP/2"
        with service.client(verify=ssl.create_default_context(cafile=str(cert)), http2=False) as client:
            assert use(client) == "HTTP/1.1"
        with httpx.Client(http1=False, http2=True) as plain, pytest.raises(httpx.TransportError):
            plain.get(service.url.replace("https", "http"))


def test_two_workers_are_one_service(two_workers: Service) -> None:
    with two_workers.client() as client:
        kid = client.create("ed25519+ml-dsa-65")

    def work(at: int) -> bool:
        with two_workers.client(media=(JSON, MSGPACK)[at % 2]) as client:
            signed = client.post("sign", kid=kid, digest=digest_of(str(at))).good()
        with two_workers.client(media=(JSON, MSGPACK)[at % 2]) as client:
            ok: bool = client.post("verify", kid=kid, digest=digest_of(str(at)), sigs=signed["sigs"]).good()["ok"]
            return ok

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(40)))


def test_metrics_are_summed_over_the_workers(two_workers: Service) -> None:
    def signed() -> float:
        with Client(two_workers.operator_url, http2=False) as operator:
            text = operator.call("GET", "/metrics", token=None).content.decode()
        found = re.search(r'^kms_ops_total\{alg="ed25519",op="sign:batch",result="ok"\} (\S+)$', text, re.MULTILINE)
        return float(found[1]) if found else 0

    before = signed()
    for _ in range(12):
        with two_workers.client() as client:
            client.post("sign:batch", kid=client.create(), items=[{"digest": DIGEST}] * 7).good()
    assert signed() == before + 84


@pytest.mark.skipif(shutil.which("h2load") is None, reason="there is no h2load here")
def test_every_request_is_answered(two_workers: Service, tmp_path: Path) -> None:
    with two_workers.client() as client:
        body = tmp_path / "body.json"
        body.write_bytes(client.encode({"kid": client.create(), "digest": DIGEST}))
    requests = count(5000, 20_000)
    command = ["h2load", f"-n{requests}", "-c8", "-m16", "-d", str(body), f"{two_workers.url}/v1/kms/sign"]
    headers = ["-H", f"authorization: Bearer {two_workers.token}", "-H", "content-type: application/json"]
    report = subprocess.run([*command, *headers], check=True, capture_output=True, text=True).stdout
    assert f"{requests} succeeded, 0 failed, 0 errored, 0 timeout" in report
    assert f"status codes: {requests} 2xx, 0 3xx, 0 4xx, 0 5xx" in report


def test_the_documents_need_no_token(service: Service) -> None:
    with service.client() as client:
        spec = client.call("GET", "/openapi.json", token=None).good()
        assert {"/v1/kms/sign", "/v1/kms/verify:batch"} <= set(spec["paths"])
        page = client.call("GET", "/docs", token=None)
        assert page.status == 200
        assert page.headers["content-type"].startswith("text/html")
