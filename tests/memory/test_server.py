"""A running service has secrets in guarded memory only: worker and supervisor, heaps and stacks included."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import httpx

from ron_kms._core import has_aes_gcm
from ron_kms.crypto.suites import names
from tests.memory.search import Searched, search
from tests.memory.stored import Opened, open_store
from tests.server.service import Service, create, serving

SIGNING = names("sign")
WRAPPING = ["x25519", "ml-kem-768", "ml-kem-1024", "hybrid"]
SEALING = ["xchacha20-poly1305"] + ["xaes-256-gcm"] * has_aes_gcm()
DIGEST = base64.b64encode(bytes(32)).decode()
SLOTS = 16


def test_secrets_are_in_guarded_memory_only_and_only_while_they_are_used(tmp_path: Path) -> None:
    with (
        serving(tmp_path / "data", workers="1", key_slots=str(SLOTS), debug_dumpable="true") as service,
        service.client() as client,
    ):
        kids = [create(client, tenant, suite=suite) for tenant in ("acme", "core", "else") for suite in SIGNING]
        secrets = open_store(service.data_dir / "ron-kms.db", service.data_dir / "root.key")
        assert set(secrets.keys) == set(kids)
        own = set(secrets.service) - {"token root seal"}  # derived where it is needed, and wiped

        fresh = look(service, secrets)
        assert fresh.outside() == set()
        assert {one.secret for one in fresh.found} == own

        first, others = kids[: len(kids) - SLOTS], kids[len(kids) - SLOTS :]
        for kid in first:
            assert client.post("/sign", json={"kid": kid, "digest": DIGEST}).is_success
        sign_batch(client, first)
        signed = look(service, secrets)
        assert signed.outside() == set()
        assert {one.secret for one in signed.found} == own | set(first)

        # As many others as there are slots: the first ones are gone, to the last byte.
        sign_batch(client, others)
        create(client, suite="hybrid")
        evicted = look(service, secrets)
        assert evicted.outside() == set()
        assert {one.secret for one in evicted.found} == own | set(others)

        # The supervisor keeps the root for workers to come, and what it reads the store's changes with.
        supervisor = search(service.pid, {**secrets.root, **secrets.service, **secrets.keys}, secrets.tables)
        assert {(one.secret, one.place) for one in supervisor.found} == {
            (name, "guarded") for name in ("root key", "store key", "row key")
        }


def test_keys_that_wrap_and_seal_are_too(tmp_path: Path) -> None:
    with (
        serving(tmp_path / "data", workers="1", key_slots=str(SLOTS), debug_dumpable="true") as service,
        service.client() as client,
    ):
        wrapping = [create(client, use="wrap", suite=suite) for suite in WRAPPING for _ in range(2)]
        sealing = [create(client, use="seal", suite=suite) for suite in SEALING for _ in range(2)]
        secrets = open_store(service.data_dir / "ron-kms.db", service.data_dir / "root.key")
        used = {*wrapping[::2], *sealing[::2]}
        for kid in used & set(wrapping):
            wrapped = post(client, "wrap", kid=kid, size=32)["wrapped"]
            moved = post(client, "rewrap", kid=kid, wrapped=wrapped)["wrapped"]
            post(client, "unwrap", kid=kid, wrapped=moved)
            items = [{"wrapped": wrapped}] * 256
            for verb in ("unwrap:batch", "rewrap:batch"):
                assert not any("error" in item for item in post(client, verb, kid=kid, items=items)["items"])
        for kid in used & set(sealing):
            sealed = post(client, "seal", kid=kid, plaintext=DIGEST)["sealed"]
            post(client, "open", kid=kid, sealed=sealed)
            post(client, "open:batch", kid=kid, items=[{"sealed": sealed}] * 512)
        searched = look(service, secrets)
        assert searched.outside() == set()
        assert {one.secret for one in searched.found} & {*wrapping, *sealing} == used


def post(client: httpx.Client, verb: str, **fields: object) -> Any:
    answer = client.post(f"/{verb}", json=fields)
    assert answer.is_success, answer.text
    return answer.json()


def look(service: Service, secrets: Opened) -> Searched:
    [worker] = service.workers()
    searched = search(worker, {**secrets.root, **secrets.service, **secrets.keys}, secrets.tables)
    assert searched.read > 10_000_000
    return searched


def sign_batch(client: httpx.Client, kids: list[str]) -> None:
    """More than the event loop's thread does by itself, so that crypto threads have their turn too."""
    items = [{"kid": kid, "digest": DIGEST} for kid in kids for _ in range(8)]
    for _ in range(4):
        answer = client.post("/sign:batch", json={"items": items})
        assert answer.is_success
        assert not any("error" in item for item in answer.json()["items"])
