"""The audit log over the wire: whoever has the service's word only can check it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from ron_kms.audit.checkpoint import verify
from ron_kms.audit.note import NoteKey
from ron_kms.audit.record import decode
from ron_kms.audit.tiles import decode_bundle, path
from ron_kms.audit.tree import leaf_hash, merkle_root
from tests.e2e.service import Service
from tests.e2e.wire import Answer, Client, digest_of, narrowed

DIGEST = digest_of("a document")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Service(tmp_path_factory.mktemp("audit") / "data", workers=2) as service:
        yield service


@pytest.fixture
def client(service: Service) -> Iterator[Client]:
    with Client(service.url, service.token) as client:
        yield client


def get(client: Client, path: str) -> Answer:
    return client.call("GET", f"/v1/kms/audit{path}")


def logs(client: Client) -> list[Any]:
    found: list[Any] = get(client, "").good()["logs"]
    return found


def test_each_worker_has_a_log_that_any_worker_serves(service: Service, client: Client) -> None:
    kid = client.create()
    for _ in range(20):
        with Client(service.url, service.token) as other:
            other.post("sign", kid=kid, digest=DIGEST).good()
    client.post("rotate", kid=kid.partition("#")[0]).good()
    deadline = time.monotonic() + 30
    while True:
        found = {log["slot"]: log for log in logs(client)}
        assert set(found) == {"0", "1"}
        checkpoints = {slot: get(client, f"/{log['origin']}/checkpoint") for slot, log in found.items()}
        heads = {
            slot: verify(answer.content, [NoteKey.parse(key) for key in found[slot]["keys"]])
            for slot, answer in checkpoints.items()
        }
        if sum(head.checkpoint.size for head in heads.values()) >= 22:
            break
        assert time.monotonic() < deadline
        time.sleep(0.2)
    operations: list[str] = []
    for slot, head in heads.items():
        origin, size, root = head.checkpoint
        assert len(head.signed) == 2
        assert origin == found[slot]["origin"]
        assert checkpoints[slot].headers["cache-control"] == "no-cache"
        if not size:
            continue
        bundle = get(client, f"/{origin}/{path('entries', 0, size)}")
        tile = get(client, f"/{origin}/{path(0, 0, size)}")
        assert bundle.headers["content-type"] == "application/octet-stream"
        assert "immutable" in tile.headers["cache-control"]
        records = decode_bundle(bundle.content, size)
        assert tile.content == b"".join(map(leaf_hash, records))
        assert merkle_root(records) == root
        operations += [decode(record).operation for record in records]
    assert operations.count("sign") == 20
    assert {"create", "rotate"} <= set(operations)


@pytest.mark.parametrize(
    "part",
    [
        "lock",
        "journal/00000000000000000000",
        "tile/0/001",
        "tile/0/000.p/300",
        "tile/entries/../../../../root.key",
        "..%2f..%2f..%2froot.key",
        "%2e%2e/0/checkpoint",
        "checkpoint/",
        "/checkpoint",
        "checkpoint%00",
        "",
    ],
)
def test_nothing_else_is_given_out(client: Client, part: str) -> None:
    origin = logs(client)[0]["origin"]
    assert get(client, f"/{origin}/{part}").status in (400, 404)
    for other in ("elsewhere/here/0", origin.replace("/", "/x", 1), f"{origin}9", "../../0", f"{origin}/../.."):
        assert get(client, f"/{other}/checkpoint").status in (400, 404)


@pytest.mark.parametrize("caveat", ["tenant = acme", "prefix = acme/audit", "scope = kms:sign"])
def test_only_for_tokens_that_may_know_of_all_tenants(service: Service, client: Client, caveat: str) -> None:
    token = narrowed(service.token, caveat)
    origin = logs(client)[0]["origin"]
    for place in ("", f"/{origin}/checkpoint"):
        refused = client.call("GET", f"/v1/kms/audit{place}", token=token)
        assert (refused.status, refused.code) == (403, "NoCapability")
