"""An operation that could not be recorded is counted as what it was answered with."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from ron_kms.audit.registry import Node, open_trail
from ron_kms.errors import StoreUnavailable
from ron_kms.metrics import Metrics
from ron_kms.model import Caller
from ron_kms.service.create import CreateRequest, create
from ron_kms.service.operation import Context
from ron_kms.service.sign import SignRequest, sign
from ron_kms.service.start import start
from ron_kms.store.bootstrap import open_store

OWNER = Caller("owner", frozenset())


async def _wait(future: Future[Any]) -> Any:
    return await asyncio.wrap_future(future)


def counted(metrics: Metrics) -> dict[tuple[str, str], float]:
    return {
        (sample.labels["op"], sample.labels["result"]): sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == "kms_ops_total"
    }


def test_what_was_computed_and_not_recorded_is_counted_as_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(f"sqlite:///{tmp_path}/keys.db", f"keyfile:{tmp_path}/root.key")
    metrics = Metrics()
    trail = open_trail(store, Node.at(tmp_path / "audit"), "0", metrics.audit)

    async def run() -> None:
        with start(store, metrics=metrics, wait=_wait, threads=1, audit=trail) as kms:
            made = await create(kms, Context(OWNER, "r"), CreateRequest(tenant="a", purpose="b", use="sign"))
            request = SignRequest(kid=made.kid, digest=bytes(32))
            await sign(kms, Context(OWNER, "r"), request)
            lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            lost.set_exception(StoreUnavailable("the audit log takes nothing"))
            monkeypatch.setattr(trail, "append_async", lambda *_: lost)  # as when the disk fails after the core has run
            with pytest.raises(StoreUnavailable, match="audit log"):
                await sign(kms, Context(OWNER, "r"), request)
            monkeypatch.undo()

    asyncio.run(run())
    assert counted(metrics) == {("sign", "ok"): 1, ("sign", "StoreUnavailable"): 1}
