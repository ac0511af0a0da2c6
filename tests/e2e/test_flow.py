"""From a new key to a signature that someone else verifies, over the wire."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from datetime import datetime
from typing import Any

import pytest

from tests.e2e.service import Service
from tests.e2e.wire import JSON, MSGPACK, Client, digest_of, holds, signed_bytes

SUITES = {
    "ed25519": ["ed25519"],
    "ml-dsa-44": ["ml-dsa-44"],
    "ml-dsa-65": ["ml-dsa-65"],
    "ml-dsa-87": ["ml-dsa-87"],
    "ed25519+ml-dsa-65": ["ed25519", "ml-dsa-65"],
}
DIGEST = digest_of("a document")


def publics(client: Client, kid: str) -> dict[str, bytes]:
    """The public keys of a version, as GET tells them."""
    key = client.get(f"keys/{kid.partition('#')[0]}").good()
    [version] = [version for version in key["versions"] if version["kid"] == kid]
    return {track["alg"]: client.bytes_of(track["public_key"]) for track in version["public"]}


@pytest.mark.parametrize("suite", SUITES)
def test_create_sign_verify(client: Client, suite: str) -> None:
    made = client.post("keys", tenant="acme", purpose="flow", use="sign", suite=suite).good(201)
    assert made["suite"] == suite
    assert [track["alg"] for track in made["public"]] == SUITES[suite]
    assert publics(client, made["kid"]) == {
        track["alg"]: client.bytes_of(track["public_key"]) for track in made["public"]
    }

    signed = client.post("sign", kid=made["kid"], digest=DIGEST).good()
    assert signed["kid"] == made["kid"]
    assert [signature["alg"] for signature in signed["sigs"]] == SUITES[suite]
    for signature in signed["sigs"]:
        public = publics(client, made["kid"])[signature["alg"]]
        assert holds(signature["alg"], public, client.bytes_of(signature["signature"]), signed_bytes(suite, DIGEST))

    verified = client.post("verify", kid=made["kid"], digest=DIGEST, sigs=signed["sigs"])
    assert verified.good()["ok"] is True
    assert verified.data["details"]["checked"] == SUITES[suite]
    assert int(verified.headers["x-kms-cache-age"]) == verified.data["cache_age_ms"]

    forged = client.post("verify", kid=made["kid"], digest=digest_of("another"), sigs=signed["sigs"]).good()
    assert (forged["ok"], forged["details"]["reason"]) == (False, "bad_signature")


def test_the_default_suite_is_hybrid_and_a_kid_without_version_signs(client: Client) -> None:
    made = client.post("keys", tenant="acme", purpose="flow", use="sign").good(201)
    assert made["suite"] == "ed25519+ml-dsa-65"
    bare = made["kid"].partition("#")[0]
    assert client.post("sign", kid=bare, digest=DIGEST).good()["kid"] == made["kid"] == f"{bare}#v1"
    assert client.post("verify", kid=bare, digest=DIGEST, sigs=[]).code == "BadRequest"


def test_raw_messages(client: Client) -> None:
    kid = client.create("ed25519", raw_messages=True)
    signed = client.post("sign", kid=kid, message=b"any bytes").good()
    [signature] = signed["sigs"]
    assert holds("ed25519", publics(client, kid)["ed25519"], client.bytes_of(signature["signature"]), b"any bytes")
    assert client.post("verify", kid=kid, message=b"any bytes", sigs=signed["sigs"]).good()["ok"] is True
    assert client.post("sign", kid=kid, message=b"ron-kms-b3-v1").code == "BadRequest"
    assert client.post("sign", kid=client.create("ed25519"), message=b"any bytes").code == "Unsupported"


@pytest.mark.parametrize("damage", ["flipped", "short", "long", "empty", "other track", "none"])
def test_bad_signatures_are_answers(client: Client, damage: str) -> None:
    kid = client.create("ed25519")
    [signature] = client.post("sign", kid=kid, digest=DIGEST).good()["sigs"]
    good = client.bytes_of(signature["signature"])
    bad = {"flipped": bytes([good[0] ^ 1]) + good[1:], "short": good[:-1], "long": good + b"x", "empty": b""}
    sigs: list[dict[str, Any]] = [{"alg": "ed25519", "signature": bad.get(damage, good)}]
    if damage == "other track":
        sigs[0]["alg"] = "ml-dsa-65"
    elif damage == "none":
        sigs = []
    answer = client.post("verify", kid=kid, digest=DIGEST, sigs=sigs).good()
    assert answer["ok"] is False
    assert answer["details"]["reason"] == ("missing_track" if damage in ("other track", "none") else "bad_signature")


def test_batches_keep_order_and_one_bad_item_spoils_no_other(client: Client) -> None:
    keys = [client.create(suite) for suite in ("ed25519", "ml-dsa-65", "ed25519+ml-dsa-65")]
    absent = keys[0][:-8] + "00000#v1"
    digests = [digest_of(f"document {at}") for at in range(12)]
    items: list[dict[str, Any]] = [{"kid": keys[at % 3], "digest": digest} for at, digest in enumerate(digests)]
    items[4] = {"kid": absent, "digest": digests[4]}
    del items[7]["kid"]  # the batch's own counts
    items[9] = {"kid": keys[0]}
    results = client.post("sign:batch", kid=keys[2], items=items).good()["items"]
    assert [result["error"]["code"] if "error" in result else "" for result in results] == [
        {4: "NotFound", 9: "BadRequest"}.get(at, "") for at in range(12)
    ]
    suites = {keys[0]: "ed25519", keys[1]: "ml-dsa-65", keys[2]: "ed25519+ml-dsa-65"}
    checks = []
    for at, result in enumerate(results):
        if "error" in result:
            continue
        assert result["kid"] == (keys[2] if at == 7 else keys[at % 3])
        for signature in result["sigs"]:
            public = publics(client, result["kid"])[signature["alg"]]
            message = signed_bytes(suites[result["kid"]], digests[at])
            assert holds(signature["alg"], public, client.bytes_of(signature["signature"]), message)
        checks.append({"kid": result["kid"], "digest": digests[at], "sigs": result["sigs"]})
    checks[3]["digest"] = digest_of("another")
    checks[5]["kid"] = absent
    verified = client.post("verify:batch", items=checks).good()["items"]
    assert [item.get("ok") for item in verified] == [{3: False, 5: None}.get(at, True) for at in range(len(checks))]
    assert verified[5]["error"]["code"] == "NotFound"


def test_a_full_batch(client: Client) -> None:
    kid = client.create("ed25519")
    items = [{"digest": digest_of(str(at))} for at in range(1024)]
    results = client.post("sign:batch", kid=kid, items=items).good()["items"]
    checks = [{**item, "sigs": result["sigs"]} for item, result in zip(items, results, strict=True)]
    assert all(item["ok"] for item in client.post("verify:batch", kid=kid, items=checks).good()["items"])
    assert client.post("sign:batch", kid=kid, items=[]).good() == {"items": []}
    assert client.post("sign:batch", kid=kid, items=[*items, items[0]]).code == "TooLarge"


def test_list_and_get(client: Client) -> None:
    purpose = f"listed-{client.media[12:]}"
    kids = sorted(client.create("ed25519", purpose=purpose, labels={"n": str(at)})[:-3] for at in range(5))
    first = client.get("keys", prefix=f"acme/{purpose}", limit="2").good()
    second = client.get("keys", prefix=f"acme/{purpose}", limit="3", after=first["next"]).good()
    third = client.get("keys", prefix=f"acme/{purpose}", after=second["next"]).good() if "next" in second else {}
    listed = [*first["keys"], *second["keys"], *third.get("keys", [])]
    assert [key["kid"] for key in listed] == kids
    assert sorted(key["labels"]["n"] for key in listed) == list("01234")
    assert "next" not in third
    assert client.get("keys", prefix=f"acme/{purpose[:-1]}").good()["keys"] == [], "prefixes are whole segments"
    key = client.get(f"keys/{kids[0]}").good()
    assert (key["kid"], key["use"], key["newest"]) == (kids[0], "sign", 1)
    assert datetime.fromisoformat(key["created"]).tzinfo is not None
    assert [version["state"] for version in key["versions"]] == ["enabled"]


def test_formats_may_be_mixed(service: Service, admin: Client) -> None:
    kid = admin.create("ed25519")
    with service.client(media=MSGPACK) as packed:
        answer = packed.call("POST", "/v1/kms/sign", {"kid": kid, "digest": DIGEST}, headers={"accept": JSON})
        assert (answer.headers["content-type"], answer.good()["kid"]) == (JSON, kid)
    text = base64.b64encode(DIGEST).decode()
    answer = admin.call("POST", "/v1/kms/sign", {"kid": kid, "digest": text}, headers={"accept": MSGPACK})
    assert (answer.headers["content-type"], answer.good()["kid"]) == (MSGPACK, kid)


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
@pytest.mark.parametrize("version", ["--http2-prior-knowledge", "--http1.1"])
def test_curl(service: Service, version: str) -> None:
    def curl(verb: str, **fields: Any) -> Any:
        command = ["curl", "-sS", "--fail-with-body", version, "-d", json.dumps(fields), f"{service.url}/v1/kms/{verb}"]
        headers = ["-H", f"Authorization: Bearer {service.token}", "-H", "Content-Type: application/json"]
        return json.loads(subprocess.run([*command, *headers], check=True, capture_output=True).stdout)

    digest = base64.b64encode(DIGEST).decode()
    kid = curl("keys", tenant="acme", purpose="curl", use="sign")["kid"]
    sigs = curl("sign", kid=kid, digest=digest)["sigs"]
    assert curl("verify", kid=kid, digest=digest, sigs=sigs)["ok"] is True
