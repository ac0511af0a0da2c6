"""A running service has secrets in guarded memory only: worker and supervisor, heaps and stacks included."""

from __future__ import annotations

import base64
from pathlib import Path

import httpx

from ron_kms.crypto.suites import names
from tests.memory.search import Searched, search
from tests.memory.stored import Opened, open_store
from tests.server.service import Service, create, serving

SIGNING = names("sign")
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
        own = {name for name in secrets.service if name != "token root seal"}

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

        # The supervisor keeps the root for workers to come, and nothing else.
        supervisor = search(service.pid, {**secrets.root, **secrets.service, **secrets.keys}, secrets.tables)
        assert {(one.secret, one.place) for one in supervisor.found} == {("root key", "guarded")}


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
