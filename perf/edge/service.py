"""The application over a store and a log of its own, and a client that calls it as a server would."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from perf.edge.cells import Audit
from ron_kms.api.http.app import create_app
from ron_kms.audit.registry import Node, open_trail
from ron_kms.engine.gate import Gate, Limits
from ron_kms.keys.directory import Bounds
from ron_kms.metrics import Metrics
from ron_kms.server.data_dir import DataDirectory
from ron_kms.server.tokens import first_token
from ron_kms.server.worker import _wait
from ron_kms.service import audit as recording
from ron_kms.service import settle
from ron_kms.service.kms import AuditSettings, Kms
from ron_kms.service.pipeline import OPERATIONS
from ron_kms.service.start import start
from ron_kms.service.work import Batch
from ron_kms.store.bootstrap import attach, prepare

App = Callable[[MutableMapping[str, Any], Any, Any], Awaitable[None]]
Send = Callable[[Any], Awaitable[None]]


class Client:
    """Calls the application as a server would, with one token."""

    def __init__(self, app: App, token: str) -> None:
        self._app = app
        self._bearer = b"Bearer " + token.encode()

    async def post(self, path: str, fields: dict[str, Any]) -> Any:
        """:raises RuntimeError: it was refused."""
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        await self.request(path, msgspec.json.encode(fields), send)
        if sent[0]["status"] >= 300:
            raise RuntimeError(f"{path} was answered with {sent[0]['status']}")
        return msgspec.json.decode(sent[1]["body"])

    async def request(self, path: str, body: bytes, send: Send) -> None:
        """One request, whose messages ``send`` gets."""
        message = {"type": "http.request", "body": body, "more_body": False}

        async def receive() -> Any:
            return message

        headers = [
            (b"authorization", self._bearer),
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
        ]
        scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers}
        await self._app(scope, receive, send)


class Service(NamedTuple):
    client: Client
    kms: Kms


@contextmanager
def service(folder: Path, audit: Audit, *, cached: int | None = None) -> Iterator[Service]:
    """
    :param cached: how many versions of keys the cache has at most; by default as many as a service's.
    """
    folder.mkdir()
    url = f"sqlite:///{folder}/keys.db"
    store = attach(url, prepare(url, f"keyfile:{folder}/root.key", None))
    with DataDirectory(folder / "data") as directory:
        path = first_token(store, directory)
        if path is None:
            raise RuntimeError("the store is not new")
        token = path.read_text().strip()
    metrics = Metrics()
    trail = None if audit == "off" else open_trail(store, Node.at(folder / "audit"), "bench", metrics.audit)
    auditing = AuditSettings("written" if audit == "written" else "durable")
    cache = Bounds() if cached is None else Bounds(entries=cached)
    with start(store, metrics=metrics, wait=_wait, threads=1, cache=cache, audit=trail, auditing=auditing) as kms:
        # On a busy machine a batch waits for longer than a service would let it.
        gate = Gate(Limits(max_wait_ms=60_000), kms.queue)
        app = create_app(OPERATIONS, kms, kms.issuer.checker, gate=gate, metrics=metrics)
        yield Service(Client(app, token), kms)


@contextmanager
def unrecorded(*silent: Kms) -> Iterator[None]:
    """Have nothing recorded of what these do."""

    def record(kms: Kms, batches: Sequence[Batch]) -> asyncio.Future[None] | None:
        return None if any(kms is one for one in silent) else recording.record(kms, batches)

    setattr(settle, "record", record)  # noqa: B010 - it is there by import only
    try:
        yield
    finally:
        setattr(settle, "record", recording.record)  # noqa: B010
