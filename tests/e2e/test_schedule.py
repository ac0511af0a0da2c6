"""A running service does what is due by itself."""

from __future__ import annotations

import re
import time
from pathlib import Path

from ron_kms.model import Kid
from ron_kms.store.bootstrap import open_store
from tests.e2e.service import Service
from tests.e2e.wire import Client, digest_of
from tests.schedule.parts import make_due, numbers


def test_a_due_rotation(data_dir: Path) -> None:
    with Service(data_dir) as service, service.client() as client:
        kid = Kid.parse(client.create())
        store = open_store(f"sqlite:///{data_dir}/ron-kms.db", f"keyfile:{data_dir}/root.key")
        try:
            make_due(store, kid)
            deadline = time.monotonic() + 20
            while numbers(store, kid) == [1]:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        finally:
            store.close()
        key = client.get(f"keys/{kid.key}").good()
        assert [version["kid"] for version in key["versions"]] == [str(kid), str(kid.at(2))]
        assert key["next_rotation"] > key["versions"][1]["created"]
        with Client(service.operator_url) as operator:
            metrics = operator.call("GET", "/metrics", token=None).content.decode()
        assert re.search(r'^kms_scheduled_total\{job="rotate",result="ok"\} 1\.0$', metrics, re.MULTILINE)
        deadline = time.monotonic() + 10
        while client.post("sign", kid=kid.key, digest=digest_of("a document")).good()["kid"] != str(kid.at(2)):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert service.stop() == 0
        assert '"logger": "ron_kms.service.schedule"' in service.log.read_text()
