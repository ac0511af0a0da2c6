"""What another process does to the store reaches a running service."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ron_kms._core import SecretKey
from ron_kms.capabilities.caveats import SCOPES
from ron_kms.capabilities.tokens import mint
from ron_kms.model import Kid, new_uuid
from ron_kms.store.bootstrap import Store, open_store
from ron_kms.store.tokens import TokenRoot, insert_token_root, load_token_roots, retire_token_root
from tests.e2e.service import Service
from tests.e2e.wire import Client, digest_of
from tests.freshness.parts import forge, set_state
from tests.waiting import until

DIGEST = digest_of("a document")


@pytest.fixture
def service(data_dir: Path) -> Iterator[Service]:
    with Service(data_dir, freshness_ms=1000) as service:
        yield service


@pytest.fixture
def store(service: Service) -> Iterator[Store]:
    store = open_store(f"sqlite:///{service.data_dir}/ron-kms.db", f"keyfile:{service.data_dir}/root.key")
    yield store
    store.close()


def test_tokens_keys_and_a_forged_record(service: Service, store: Store) -> None:
    sealing = store.keys.derive("token-roots")
    root = TokenRoot(new_uuid(), SecretKey.generate(), datetime.now(UTC), None)
    store.database.write(lambda c: insert_token_root(c, store.rows, sealing, root)).result()
    token = mint(root.id, root.key, scopes=SCOPES)
    with service.client(token) as client, service.client() as administrator:
        assert until(lambda: client.get("keys").status == 200)  # a new root of tokens counts

        first = store.database.read(lambda c: load_token_roots(c, store.rows, sealing)).result()[0].id
        assert administrator.get("keys").status == 200
        store.database.write(lambda c: retire_token_root(c, store.rows, first, datetime.now(UTC))).result()
        assert until(lambda: administrator.get("keys").status == 401)  # a retired one does not
        assert client.get("keys").status == 200

        kid = client.create()
        signed = client.post("sign", kid=kid, digest=DIGEST).good()
        set_state(store, Kid.parse(kid), "disabled")
        assert until(lambda: client.post("sign", kid=kid, digest=DIGEST).status == 409)
        assert client.post("verify", digest=DIGEST, **signed).good()["ok"] is True
        set_state(store, Kid.parse(kid), "enabled")
        assert until(lambda: client.post("sign", kid=kid, digest=DIGEST).status == 200)

        forge(store)
        assert until(lambda: client.post("sign", kid=kid, digest=DIGEST).status == 503)
        answer = client.post("sign", kid=kid, digest=DIGEST)
        assert answer.code == "StoreUnavailable"
        assert "retry-after" in answer.headers
        assert client.post("verify", digest=DIGEST, **signed).good()["ok"] is True
        with Client(service.operator_url) as operator:
            assert until(lambda: "store_intact" in operator.call("GET", "/readyz", token=None).data["missing"])
    assert re.search(r"row \d+ of table changes is missing", service.log.read_text())
    assert service.stop() == 0
