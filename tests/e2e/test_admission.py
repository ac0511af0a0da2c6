"""Fair shares and rates over real connections: who floods is refused before its body is decoded, and alone."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

import pytest

from tests.e2e.service import Service
from tests.e2e.wire import JSON, Client, digest_of, narrowed
from tests.waiting import until

CAP = 4
DIGEST = digest_of("a document")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One worker with a small cap; a tenant's floor is one request, and another one is kept for whoever comes next."""
    with Service(tmp_path_factory.mktemp("small") / "data", max_inflight_sign=CAP) as service:
        yield service


def metric(service: Service, name: str) -> float:
    with Client(service.operator_url) as client:
        lines = client.call("GET", "/metrics", token=None).content.decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


def until_in_flight(service: Service, count: int) -> None:
    assert until(lambda: metric(service, 'kms_inflight{op="sign"}') == count)


@contextlib.contextmanager
def in_flight(service: Service, client: Client, kid: str, count: int) -> Iterator[None]:
    """Requests of one client that were let in and whose bodies do not end before this does."""
    go = threading.Event()
    body = client.encode({"kid": kid, "digest": DIGEST})
    statuses: list[int] = []

    def slowly() -> Iterator[bytes]:
        yield body[:10]
        go.wait(20)
        yield body[10:]

    def ask() -> None:
        with service.client(client.token) as own:
            headers = {"content-type": JSON}
            statuses.append(own.call("POST", "/v1/kms/sign", slowly(), headers=headers).status)

    threads = [threading.Thread(target=ask) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        until_in_flight(service, count)
        yield
    finally:
        go.set()
        for thread in threads:
            thread.join()
    assert statuses == [200] * count, "who was let in is answered"


def test_a_flood_is_refused_before_its_body_is_decoded_and_hurts_nobody_else(small: Service) -> None:
    red, blue = (small.client(narrowed(small.token, f"tenant = {name}")) for name in ("red", "blue"))
    with red, blue:
        reds, blues = red.create(tenant="red"), blue.create(tenant="blue")
        with in_flight(small, red, reds, CAP - 1):
            refused = red.call("POST", "/v1/kms/sign", b"not even JSON", headers={"content-type": JSON})
            assert (refused.status, refused.code) == (429, "Backpressure")
            assert refused.headers["retry-after"] == "1"
            for _ in range(3):
                assert blue.post("sign", kid=blues, digest=DIGEST).status == 200
            # Other classes of operations have places of their own.
            assert red.get(f"keys/{reds[:-3]}").status == 200
            # A token that is good for nothing is refused for what it is.
            assert red.call("POST", "/v1/kms/sign", {}, token="nobody's").status == 401
        assert red.post("sign", kid=reds, digest=DIGEST).status == 200
    assert metric(small, 'kms_reject_total{reason="max_inflight"}') == 1
    assert metric(small, 'rejected_total{reason="Backpressure"}') == 1


def test_a_rate_is_not_escaped_by_narrowing_and_its_wait_is_honest(small: Service) -> None:
    token = narrowed(small.token, "rate = 1")
    with small.client(token) as client, small.client() as admin:
        kid = admin.create()
        batch = client.post("sign:batch", kid=kid, items=[{"digest": DIGEST}] * 3)
        assert all("sigs" in item for item in batch.good()["items"])
        for caveats in ((), ("rate = 1",), ("rate = 5",), ("prefix = acme",), ("scope = kms:sign",)):
            refused = client.call("POST", "/v1/kms/sign", {}, token=narrowed(token, *caveats) if caveats else token)
            assert (refused.status, refused.code) == (429, "RateLimited")
        assert admin.post("sign", kid=kid, digest=DIGEST).status == 200, "the token that it came from has no rate"
        time.sleep(int(refused.headers["retry-after"]))
        assert client.post("sign", kid=kid, digest=DIGEST).status == 200
