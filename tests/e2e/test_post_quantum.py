"""A tenant's way to post-quantum on a real service of two workers: the wire, ``ron-kms pq``, and the way back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.service import Service
from tests.e2e.wire import Client, narrowed
from tests.server.certificates import Authority
from tests.waiting import until

COMMAND = Path(sys.executable).with_name("ron-kms")
DIGEST = "E5rDicao8w/G1ngXjluE8fLAw8FJge9WaaMSgbxfoeA="


def pq(service: Service, *arguments: str, succeeds: bool = True) -> str:
    """``ron-kms pq`` in a process of its own; what it prints, or where it fails what it says."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("KMS_")}
    done = subprocess.run(
        [COMMAND, "pq", *arguments],
        env={**clean, "KMS_DATA_DIR": str(service.data_dir)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode == 0) == succeeds, done.stdout + done.stderr
    return done.stdout if succeeds else done.stderr


def readyz(service: Service) -> Any:
    with Client(service.operator_url, None) as client:
        return client.call("GET", "/readyz", token=None).data


def metrics(service: Service) -> str:
    with Client(service.operator_url, None) as client:
        return client.call("GET", "/metrics", token=None).content.decode()


def reason(client: Client, signed: Any, count: int | None = None, **policy: Any) -> Any:
    fields = {"kid": signed["kid"], "sigs": signed["sigs"][:count], "digest": DIGEST, **policy}
    return client.post("verify", **fields).good()["details"].get("reason")


def test_step_by_step_and_back(two_workers: Service) -> None:
    """Two connections may meet two workers: what one is told, both follow within a second."""
    service = two_workers
    with service.client() as client, service.client() as other:
        kids = [client.create(tenant="moving") for _ in range(5)]
        old = [client.post("sign", kid=kid, digest=DIGEST).good() for kid in kids]
        for signed in old:
            assert reason(client, signed) is None
            assert reason(other, signed) is None
        assert "default of this service" in pq(service, "show", "--tenant", "moving")

        def counted() -> bool:
            with service.client() as anew:  # which may meet either worker
                seen = anew.get("policy/moving/plan").good()["summary"]["seen"]
            return {sighting["kid"]: sighting["count"] for sighting in seen} == dict.fromkeys(kids, 2)

        assert until(lambda: all(counted() for _ in range(8))), "what every worker has verified is in the plan"
        plan = json.loads(pq(service, "plan", "--tenant", "moving", "--json"))
        assert sorted(kid for change in plan["changes"] for kid in change["refused"]) == sorted(kids)
        assert {seen["kid"]: seen["count"] for seen in plan["summary"]["seen"]} == dict.fromkeys(kids, 2)
        text = pq(service, "plan", "--tenant", "moving", "--all")
        assert all(kid in text for kid in kids)
        assert "no post-quantum track" in text

        done = pq(service, "advance", "--tenant", "moving", "--yes")
        assert "phase 2 (hybrid, and)" in done.splitlines()[-1]
        assert until(lambda: reason(client, old[0]) == reason(other, old[0]) == "pq_policy")

        def rotated() -> dict[str, Any]:
            return client.post("sign", kid=kids[0].partition("#")[0], digest=DIGEST).good()

        assert until(lambda: len(rotated()["sigs"]) == 2), "the share was rotated"
        fresh = rotated()
        for each in (client, other):
            assert reason(each, fresh) is None
            assert reason(each, fresh, 1) == "pq_stripped"
            looser = each.post("verify", kid=fresh["kid"], sigs=fresh["sigs"], digest=DIGEST, policy={"mode": "or"})
            assert (looser.status, looser.code) == (403, "PolicyRefused")
        assert readyz(service)["degraded"] == [], "what was named takes nothing back"
        assert 'kms_pq_mode{tenant="moving"} 2.0' in metrics(service)
        assert 'kms_pq_rollout_percent{tenant="moving"} 100.0' in metrics(service)

        late = client.post("sign", kid=client.create(tenant="moving"), digest=DIGEST).good()
        assert reason(client, late) == "pq_policy"
        assert until(lambda: reason(client, late) is reason(other, late) is None)
        assert until(lambda: readyz(service)["degraded"] == ["pq_policy_ok"])
        assert readyz(service)["ready"]
        shown = pq(service, "show", "--tenant", "moving")
        assert "rolled back" in shown
        assert late["kid"] in shown
        assert "kms_pq_rollbacks_total 1.0" in metrics(service)
        assert 'kms_reject_total{reason="pq_stripped"}' in metrics(service)
        assert "was rolled back" in service.log.read_text()

        pq(service, "advance", "--tenant", "moving", "--yes")
        assert until(lambda: readyz(service)["degraded"] == [])
        done = pq(service, "advance", "--tenant", "moving", "--yes")
        assert "phase 3 (pq_only)" in done.splitlines()[-1]

        def tracks() -> list[str]:
            last = client.post("sign", kid=kids[0].partition("#")[0], digest=DIGEST).good()
            return [sig["alg"] for sig in last["sigs"]]

        assert until(lambda: tracks() == ["ml-dsa-65"])
        assert until(lambda: reason(client, fresh) is reason(other, fresh) is None)
        assert "no step left" in pq(service, "advance", "--tenant", "moving", "--yes")


def test_advance_asks_first_and_takes_shares(two_workers: Service) -> None:
    service = two_workers
    with service.client() as client:
        pq(service, "set", "--tenant", "shares", "--phase", "0")
        assert until(lambda: client.get("policy/shares").good()["phase"] == 0)
        kids = [client.create(tenant="shares") for _ in range(12)]
        pq(service, "advance", "--tenant", "shares", succeeds=False)
        assert client.get("policy/shares").good()["phase"] == 0
        suites = []
        for percent in ("30", "60", "100"):
            pq(service, "advance", "--tenant", "shares", "--percent", percent, "--yes")
            found = [client.get(f"keys/{kid.partition('#')[0]}").good()["versions"][-1]["suite"] for kid in kids]
            suites.append(found.count("ed25519+ml-dsa-65"))
        assert suites == sorted(suites)
        assert suites[-1] == 12
        assert client.get("policy/shares").good()["phase"] == 1


def test_who_may_set_a_policy(service: Service) -> None:
    with service.client() as admin:
        read = admin.get("policy/mine")
        body = {"phase": 2}
        path = "/v1/kms/policy/mine"
        assert read.headers["etag"] == '"0-1-100"'
        assert admin.call("PUT", path, body).status == 400, "without If-Match"
        assert admin.call("PUT", path, body, headers={"if-match": '"7"'}).code == "PreconditionFailed"
        assert admin.call("PUT", path, {"phase": 4}, headers={"if-match": "*"}).status == 400
        put = admin.call("PUT", path, body, headers={"if-match": read.headers["etag"]})
        assert put.good()["mode"] == "and"
        assert put.headers["etag"] == '"1"'
        for caveat, status in (
            ("scope = kms:policy", 200),
            ("tenant = mine", 200),
            ("tenant = other", 403),
            ("prefix = mine/tests", 403),
            ("scope = kms:admin", 403),
        ):
            token = narrowed(service.token, caveat)
            for answer in (
                admin.call("GET", path, token=token),
                admin.call("GET", f"{path}/plan", token=token),
                admin.call("PUT", path, body, token=token, headers={"if-match": "*"}),
            ):
                assert answer.status == status, caveat


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["show", "--tenant", "NO"], "tenant"),
        (["show", "--tenant", "x", "--url", "http://127.0.0.1:1"], "no service answers"),
        (["show", "--tenant", "x", "--data-dir", "/nonexistent"], "no service runs on the data folder"),
        (["show", "--tenant", "x", "--token-file", "/nonexistent"], "cannot be read"),
        (["show", "--tenant", "x", "--url", "nonsense"], "URL"),
        (["show", "--tenant", "x", "--cert", "c.pem"], "--key"),
        (["set", "--tenant", "x", "--phase", "4"], "0<=x<=3"),
        (["plan", "--tenant", "x", "--percent", "0"], "1<=x<=100"),
    ],
)
def test_faults_are_told_in_words(service: Service, arguments: list[str], says: str) -> None:
    assert says in pq(service, *arguments, succeeds=False)


def test_over_tls_with_a_client_certificate(data_dir: Path, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    cert, key = authority.issue("server")
    own = [str(path) for path in authority.issue("client")]
    with Service(data_dir, tls_cert=cert, tls_key=key, tls_client_ca=authority.path) as service:
        trusting = ["--ca", str(authority.path), "--cert", own[0], "--key", own[1]]
        assert "phase 1" in pq(service, "show", "--tenant", "acme", *trusting)
        assert "cannot be trusted" in pq(service, "show", "--tenant", "acme", succeeds=False)
        refused = pq(service, "show", "--tenant", "acme", "--ca", str(authority.path), succeeds=False)
        assert refused.startswith("ron-kms: ")
        missing = pq(service, "show", "--tenant", "acme", "--ca", "/nonexistent.pem", succeeds=False)
        assert missing.startswith("ron-kms: ")


def test_an_interrupted_advance_goes_on_where_it_was(service: Service) -> None:
    with service.client() as client:
        pq(service, "set", "--tenant", "again", "--phase", "0")
        kids = [client.create(tenant="again").partition("#")[0] for _ in range(6)]
        for kid in kids[:3]:  # as far as it had come
            client.post("rotate", kid=kid, suite="hybrid").good()
        pq(service, "advance", "--tenant", "again", "--yes")
        assert [client.get(f"keys/{kid}").good()["newest"] for kid in kids] == [2] * 6, "none is rotated twice"
        assert client.get("policy/again").good()["phase"] == 1
