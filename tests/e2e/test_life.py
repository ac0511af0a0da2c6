"""The life of a key over the wire, in both formats, by tokens that may do it and by some that may not."""

from __future__ import annotations

import time
from typing import Any
from uuid import uuid4

from tests.e2e.service import Service
from tests.e2e.wire import Answer, Client, digest_of, narrowed

DIGEST = digest_of("payload")


def change(client: Client, method: str, path: str, body: Any = None, etag: str | None = None) -> Answer:
    return client.call(method, f"/v1/kms/keys/{path}", body, headers={"if-match": etag} if etag is not None else {})


def test_a_whole_life(client: Client) -> None:
    kid = client.create(labels={"a": "b"})
    key, op_id = kid.partition("#")[0], str(uuid4())
    signed = client.post("sign", kid=key, digest=DIGEST).good()
    rotated = change(client, "POST", f"{key}/rotate", {"suite": "hybrid", "op_id": op_id})
    assert rotated.good() == {"kid": f"{key}#v2", "previous": f"{key}#v1"}
    assert change(client, "POST", f"{key}/rotate", {"suite": "hybrid", "op_id": op_id}).good() == rotated.data
    assert client.post("rotate", kid=key, suite="ed25519").code == "PolicyRefused"

    found = client.get(f"keys/{key}")
    assert found.good()["newest"] == 2
    etag = found.headers["etag"]
    assert etag == f'"{found.data["etag"]}"'
    updated = change(client, "PATCH", key, {"min_verify_version": 1, "labels": {"c": "d"}}, etag)
    assert updated.good()["labels"] == {"c": "d"}
    stale = change(client, "PATCH", key, {"labels": {}}, etag)
    assert (stale.status, stale.code) == (412, "PreconditionFailed")
    missing = change(client, "PATCH", key, {"labels": {}})
    assert (missing.status, missing.code) == (400, "BadRequest")

    etag = updated.headers["etag"]
    disabled = change(client, "PATCH", f"{key}/versions/2", {"state": "disabled"}, etag)
    assert disabled.good()["state"] == "disabled"
    refused = client.post("sign", kid=key, digest=DIGEST)
    assert (refused.status, refused.code) == (409, "KeyDisabled")
    change(client, "PATCH", f"{key}/versions/2", {"state": "enabled"}, disabled.headers["etag"]).good()

    gone = change(client, "DELETE", f"{key}/versions/1", {"window_seconds": 7 * 86400})
    assert (gone.good()["state"], "destroy_at" in gone.data) == ("pending-destruction", True)
    assert change(client, "DELETE", key).good()["state"] == "pending-destruction"
    assert change(client, "POST", f"{key}/versions/1/restore").code == "Conflict"
    assert change(client, "POST", f"{key}/restore").good()["state"] == "enabled"
    assert [version["state"] for version in client.get(f"keys/{key}").good()["versions"]] == ["enabled"] * 2

    change(client, "PATCH", f"{key}/versions/1", {"state": "compromised"}, "*").good()
    verified = client.post("verify", kid=signed["kid"], digest=DIGEST, sigs=signed["sigs"]).good()
    assert (verified["ok"], verified["details"]["reason"]) == (False, "compromised")


def test_each_verb_has_its_scope(service: Service) -> None:
    calls: dict[str, list[tuple[str, str, Any]]] = {
        "kms:rotate": [("POST", "/rotate", None)],
        "kms:admin": [("PATCH", "", {"labels": {}}), ("PATCH", "/versions/1", {"state": "enabled"})],
        "kms:destroy": [
            ("DELETE", "/versions/1", None),
            ("POST", "/versions/1/restore", None),
            ("DELETE", "", None),
            ("POST", "/restore", None),
        ],
    }
    with service.client() as admin:
        key = admin.create().partition("#")[0]
    for scope, verbs in calls.items():
        others = " ".join(sorted({"kms:read", "kms:sign", *calls} - {scope}))
        for allowed in (False, True):
            token = narrowed(service.token, f"scope = {scope if allowed else others}")
            with service.client(token) as client:
                for method, path, body in verbs:
                    answer = change(client, method, f"{key}{path}", body, "*")
                    assert answer.status == 200 if allowed else answer.code == "NoCapability"


def test_two_workers_know_of_a_change_within_a_second(two_workers: Service) -> None:
    with two_workers.client() as client:
        key = client.create().partition("#")[0]
    clients = [two_workers.client() for _ in range(6)]
    try:
        for client in clients:
            client.post("sign", kid=key, digest=DIGEST).good()
        change(clients[0], "PATCH", f"{key}/versions/1", {"state": "disabled"}, "*").good()
        time.sleep(1.0)
        assert {client.post("sign", kid=key, digest=DIGEST).code for client in clients} == {"KeyDisabled"}
        change(clients[0], "POST", f"{key}/rotate").good()
        time.sleep(1.0)
        assert {client.post("sign", kid=key, digest=DIGEST).good()["kid"] for client in clients} == {f"{key}#v2"}
    finally:
        for client in clients:
            client.__exit__()
