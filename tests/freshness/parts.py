"""What another process would do to a store, and a service that a test drives by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from sqlalchemy import delete

from ron_kms.metrics import Metrics
from ron_kms.model import Caller, Kid, new_uuid
from ron_kms.service.create import CreateRequest, create
from ron_kms.service.kms import Kms
from ron_kms.service.operation import Context
from ron_kms.service.schema import TrackSignature, request_of
from ron_kms.service.sign import SignAnswer, SignBatchAnswer, SignBatchRequest, SignRequest, sign, sign_batch
from ron_kms.service.start import start
from ron_kms.service.unwrap import UnwrapAnswer, UnwrapRequest, unwrap
from ron_kms.service.verify import VerifyRequest, verify
from ron_kms.service.wrap import WrapRequest, wrap
from ron_kms.store import changes
from ron_kms.store.bootstrap import Store
from ron_kms.store.schema import CHANGES, KEY_VERSIONS

T = TypeVar("T")
DIGEST = b"d" * 32


async def wait(future: Future[Any]) -> Any:
    return await asyncio.wrap_future(future)


def serve(store: Store, *, bound_ms: int = 60_000) -> Kms:
    """As a worker has it: refusing, not waiting, where it is not fresh."""
    return start(store, metrics=Metrics(), wait=wait, threads=1, freshness_ms=bound_ms)


def run(act: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(act)


def context() -> Context:
    return Context(caller=Caller("test", frozenset()), request_id=new_uuid())


async def make(kms: Kms, suite: str = "ed25519") -> Kid:
    fields = {"tenant": "acme", "purpose": "audit", "use": "sign", "suite": suite}
    return Kid.parse((await create(kms, context(), request_of(CreateRequest, fields))).kid)


async def sign_with(kms: Kms, kid: Kid) -> SignAnswer:
    return await sign(kms, context(), request_of(SignRequest, {"kid": kid.key, "digest": DIGEST}))


async def sign_with_each(kms: Kms, kids: list[Kid]) -> SignBatchAnswer:
    items = [{"kid": kid.key, "digest": DIGEST} for kid in kids]
    return await sign_batch(kms, context(), request_of(SignBatchRequest, {"items": items}))


async def verifies(kms: Kms, kid: Kid, sigs: list[TrackSignature]) -> bool:
    fields = {"kid": str(kid), "sigs": sigs, "digest": DIGEST}
    return (await verify(kms, context(), request_of(VerifyRequest, fields))).ok


async def wrapped_for(kms: Kms, kid: Kid) -> bytes:
    fields = {"kid": kid.key, "plaintext": DIGEST}
    return (await wrap(kms, context(), request_of(WrapRequest, fields))).wrapped


async def unwrap_with(kms: Kms, kid: Kid, wrapped: bytes) -> UnwrapAnswer:
    return await unwrap(kms, context(), request_of(UnwrapRequest, {"kid": kid.key, "wrapped": wrapped}))


def set_state(store: Store, kid: Kid, state: str) -> int:
    """Commit a version's new state as another process would; returns the change's number."""

    def write(connection: Any) -> int:
        row = store.rows.find(connection, KEY_VERSIONS, kid.uuid, kid.version)
        assert row is not None
        store.rows.update(connection, KEY_VERSIONS, row, {"state": state})
        return changes.record(connection, store.rows, "key", kid.key)

    return store.database.write(write).result()


def touch(store: Store, kid: Kid) -> int:
    """A change to the key that leaves its versions as they are."""
    return store.database.write(lambda c: changes.record(c, store.rows, "key", kid.key)).result()


def forge(store: Store) -> None:
    """Take the newest change out of the store."""

    def write(connection: Any) -> None:
        n = changes.latest(connection, store.rows)
        connection.execute(delete(CHANGES).where(CHANGES.c.n == n))

    store.database.write(write).result()
