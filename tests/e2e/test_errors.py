"""Every error code that can occur so far, from a running service, in both formats."""

from __future__ import annotations

import re
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.service import Service
from tests.e2e.wire import Answer, Client, digest_of

DIGEST = digest_of("a document")
ABSENT = "acme/tests/01932c07-209c-7e1b-8f31-2f1c4c0d5f1a"
MAKE = {"tenant": "acme", "purpose": "tests", "use": "sign"}


def check(answer: Answer, code: str, status: int) -> None:
    error = answer.data["error"]
    assert (answer.status, error["code"]) == (status, code), error
    assert set(error) == {"code", "message", "retryable", "hint", "ts", "request_id"}
    assert error["request_id"] == answer.headers["x-corr-id"]
    assert error["message"]
    assert error["hint"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", error["ts"])
    assert error["retryable"] is (status == 503)
    assert ("retry-after" in answer.headers) == (status == 503)


@pytest.mark.parametrize(
    ("verb", "fields", "code"),
    [
        ("keys", {}, "BadRequest"),
        ("keys", {**MAKE, "tenant": "Acme"}, "BadRequest"),
        ("keys", {**MAKE, "tenant": "acme\n"}, "BadRequest"),
        ("keys", {**MAKE, "tenant": ""}, "BadRequest"),
        ("keys", {**MAKE, "tenant": "a" * 64}, "BadRequest"),
        ("keys", {**MAKE, "purpose": "a/b"}, "BadRequest"),
        ("keys", {**MAKE, "op_id": "1"}, "BadRequest"),
        ("keys", {**MAKE, "op_id": "11111111-2222-4333-8444-555555555555\n"}, "BadRequest"),
        ("keys", {**MAKE, "use": "guess"}, "BadRequest"),
        ("keys", {**MAKE, "use": "wrap", "suite": "ed25519"}, "Unsupported"),
        ("keys", {**MAKE, "suite": "rsa"}, "Unsupported"),
        ("sign", {"kid": ABSENT + "#v0", "digest": DIGEST}, "BadRequest"),
        ("sign", {"kid": ABSENT + "\n", "digest": DIGEST}, "BadRequest"),
        ("sign", {"kid": ABSENT.upper(), "digest": DIGEST}, "BadRequest"),
        ("sign", {"kid": ABSENT, "digest": DIGEST[:-1]}, "BadRequest"),
        ("sign", {"kid": ABSENT, "digest": DIGEST, "policy": {}}, "BadRequest"),
        ("sign", {"kid": ABSENT, "message": bytes(65_537)}, "BadRequest"),
        ("sign", {"kid": ABSENT, "digest": DIGEST}, "NotFound"),
        ("sign", {"kid": ABSENT + "#v1", "digest": DIGEST}, "NotFound"),
        ("verify", {"kid": ABSENT + "#v1", "digest": DIGEST, "sigs": []}, "NotFound"),
        ("verify", {"kid": ABSENT, "digest": DIGEST, "sigs": []}, "BadRequest"),
        (
            "verify",
            {"kid": ABSENT + "#v1", "digest": DIGEST, "sigs": [{"alg": "x", "signature": b""}] * 9},
            "BadRequest",
        ),
        ("verify:batch", {"items": [{}]}, "BadRequest"),
        ("sign:batch", {"items": [{}] * 1025}, "TooLarge"),
    ],
)
def test_refused_requests(client: Client, verb: str, fields: dict[str, Any], code: str) -> None:
    check(client.post(verb, **fields), code, {"NotFound": 404, "TooLarge": 413}.get(code, 400))


def test_one_key_has_no_other_versions(client: Client) -> None:
    kid = client.create()
    check(client.post("sign", kid=kid[:-1] + "2", digest=DIGEST), "NotFound", 404)
    check(client.post("verify", kid=kid[:-1] + "999999999", digest=DIGEST, sigs=[]), "NotFound", 404)


def test_neither_or_both_of_digest_and_message(client: Client) -> None:
    kid = client.create(raw_messages=True)
    for fields in ({}, {"digest": DIGEST, "message": b"x"}):
        check(client.post("sign", kid=kid, **fields), "BadRequest", 400)
        check(client.post("verify", kid=kid, sigs=[], **fields), "BadRequest", 400)


@pytest.mark.parametrize(
    ("path", "code", "status"),
    [
        (f"keys/{ABSENT}", "NotFound", 404),
        ("keys/acme/tests/not-a-uuid", "BadRequest", 400),
        ("keys/Acme/tests/01932c07-209c-7e1b-8f31-2f1c4c0d5f1a", "BadRequest", 400),
        ("keys?limit=0", "BadRequest", 400),
        ("keys?limit=1001", "BadRequest", 400),
        ("keys?limit=1&limit=2", "BadRequest", 400),
        ("keys?colour=red", "BadRequest", 400),
        ("keys?after=x", "BadRequest", 400),
        ("nothing", "NotFound", 404),
        ("keys/acme", "NotFound", 404),
    ],
)
def test_refused_reads(client: Client, path: str, code: str, status: int) -> None:
    check(client.get(path), code, status)


def test_a_conflict(client: Client) -> None:
    op_id = f"11111111-2222-4333-8444-{time.time_ns() % 10**12:012d}"
    client.post("keys", **MAKE, suite="ed25519", op_id=op_id).good(201)
    check(client.post("keys", **MAKE, suite="ml-dsa-44", op_id=op_id), "Conflict", 409)


def test_bodies_beyond_the_cap_and_connections_that_live_on(client: Client) -> None:
    kid = client.create()
    for body in (bytes((1 << 20) + 1), bytes(1_900_000)):
        check(client.call("POST", "/v1/kms/sign", body), "TooLarge", 413)
        check(client.call("POST", "/v1/kms/sign", body, token=None), "Unauthenticated", 401)
        assert client.post("sign", kid=kid, digest=DIGEST).status == 200


def test_methods(client: Client) -> None:
    answer = client.call("PUT", "/v1/kms/sign", {})
    check(answer, "BadRequest", 400)
    assert answer.headers["allow"] == "OPTIONS, POST"
    assert client.call("OPTIONS", "/v1/kms/keys").headers["allow"] == "GET, HEAD, OPTIONS, POST"
    head = client.call("HEAD", "/v1/kms/keys")
    assert (head.status, head.content) == (200, b"")


def test_a_store_that_is_locked_and_one_that_was_edited(data_dir: Path) -> None:
    with Service(data_dir) as service, service.client() as client:
        kid, victim = client.create(), client.create()
        store = sqlite3.connect(data_dir / "ron-kms.db", isolation_level=None, timeout=5)
        store.execute("BEGIN IMMEDIATE")
        started = time.monotonic()
        check(client.post("keys", **MAKE), "StoreUnavailable", 503)
        assert time.monotonic() - started < 15
        assert client.post("sign", kid=kid, digest=DIGEST).status == 200, "what is in memory works on"
        store.execute("ROLLBACK")
        assert client.post("keys", **MAKE).status == 201
        changed = store.execute(
            "UPDATE keys SET purpose = purpose, raw_messages = 1 WHERE uuid = ?", (victim.split("/")[2][:36],)
        )
        assert changed.rowcount == 1
        store.close()
        answer = client.get(f"keys/{victim[:-3]}")
        check(answer, "StoreCorrupt", 500)
        assert "keys" in answer.data["error"]["message"]
        assert client.get(f"keys/{kid[:-3]}").status == 200
