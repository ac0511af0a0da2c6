"""A running service does what is due by itself."""

from __future__ import annotations

import re

from ron_kms.model import Kid
from ron_kms.store.bootstrap import open_store
from tests.e2e.service import Service
from tests.e2e.wire import Client, digest_of
from tests.schedule.parts import make_due, numbers
from tests.waiting import until


def test_a_due_rotation(service: Service, admin: Client) -> None:
    kid = Kid.parse(admin.create())
    store = open_store(f"sqlite:///{service.data_dir}/ron-kms.db", f"keyfile:{service.data_dir}/root.key")
    try:
        make_due(store, kid)
        assert until(lambda: numbers(store, kid) == [1, 2])
    finally:
        store.close()
    key = admin.get(f"keys/{kid.key}").good()
    assert [version["kid"] for version in key["versions"]] == [str(kid), str(kid.at(2))]
    assert key["next_rotation"] > key["versions"][1]["created"]
    assert until(
        lambda: bool(admin.post("sign", kid=kid.key, digest=digest_of("a document")).good()["kid"] == str(kid.at(2)))
    )
    with Client(service.operator_url) as operator:

        def counted() -> bool:
            metrics = operator.call("GET", "/metrics", token=None).content.decode()
            counter = r'^kms_scheduled_total\{job="rotate",result="ok"\} [1-9]'
            return re.search(counter, metrics, re.MULTILINE) is not None

        assert until(counted)
    assert until(lambda: '"logger": "ron_kms.service.schedule"' in service.log.read_text())
