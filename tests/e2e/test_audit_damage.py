"""A service whose audit log was touched: it does nothing private, goes on verifying, and says why; and the way on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.backup.command import done
from tests.e2e.service import Service
from tests.e2e.wire import Client, digest_of
from tests.waiting import until

DIGEST = digest_of("a document")


def metric(service: Service, name: str) -> float:
    with Client(service.operator_url) as operator:
        text = operator.call("GET", "/metrics", token=None).content.decode()
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name))


def missing(service: Service) -> set[str]:
    with Client(service.operator_url) as operator:
        return set(operator.call("GET", "/readyz", token=None).data["missing"])


@pytest.mark.parametrize("lost", ["audit/0", "audit"])
def test_a_log_that_is_lost_and_the_way_on(tmp_path: Path, lost: str) -> None:
    data = tmp_path / "data"
    with Service(data) as service:
        with Client(service.url, service.token) as client:
            kid = client.create()
            signed = client.post("sign", kid=kid, digest=DIGEST).good()
        assert metric(service, "kms_audit_appends_total") >= 2
        assert metric(service, "kms_audit_integrity_failed_total") == 0
        assert missing(service) == set()
        assert until(lambda: "ron-kms is ready." in service.log.read_text())
        service.stop()
        shutil.move(data / lost, tmp_path / "away")
        service.start(ready=False)
        assert until(lambda: missing(service) == {"audit_ready"})
        assert until(lambda: "ron-kms runs and is not ready: audit_ready is missing" in service.log.read_text())
        with Client(service.url, service.token) as client:
            for answer in (
                client.post("sign", kid=kid, digest=DIGEST),
                client.post("rotate", kid=kid.partition("#")[0]),
                client.call("POST", "/v1/kms/keys", {"tenant": "acme", "purpose": "audit", "use": "sign"}),
            ):
                assert (answer.status, answer.code) == (503, "StoreUnavailable")
                assert "retry-after" in answer.headers
            assert client.post("verify", digest=DIGEST, **signed).good()["ok"] is True
        assert metric(service, "kms_audit_integrity_failed_total") >= 1
        service.stop()
        assert "is missing" in service.log.read_text()
        if lost == "audit":
            shutil.rmtree(data / lost)
        shutil.move(tmp_path / "away", data / lost)  # too late: the store remembers
        assert "is missing" in done(data, "audit", "accept-gap")
        service.start()
        with Client(service.url, service.token) as client:
            client.post("sign", kid=kid, digest=DIGEST).good()
        assert metric(service, "kms_audit_appends_total") >= 2  # accept-gap and sign
