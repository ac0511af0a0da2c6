"""The operator's port: ``/healthz``, ``/readyz``, ``/metrics``, ``/version``. It is served by the supervisor, asks no
worker anything and touches no store."""

from __future__ import annotations

import asyncio
import contextlib
import platform
from collections.abc import Awaitable, Callable, MutableMapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import msgspec
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from ron_kms import _core
from ron_kms.api.http.errors import envelope
from ron_kms.errors import BadRequest, KmsError, NotFound
from ron_kms.model import new_uuid
from ron_kms.server.exposition import Exposition
from ron_kms.server.readiness import Front, Readiness
from ron_kms.store import sqlite as engine

Reply = tuple[int, bytes, bytes]
"""Status, content type, body."""

_JSON = b"application/json"


class Operator:
    """The ASGI application.

    :param readiness: judges the service now.
    :param exposition: makes the page of metrics.
    :param front: what the API is served by, now.
    """

    def __init__(self, readiness: Callable[[], Readiness], exposition: Exposition, front: Callable[[], Front]) -> None:
        self._readiness = readiness
        self._metrics = exposition
        self._versions_here = versions()
        self._front = front
        self._pages: dict[str, Callable[[], Awaitable[Reply]]] = {
            "/healthz": self._healthz,
            "/readyz": self._readyz,
            "/metrics": self._exposition,
            "/version": self._versions,
        }

    async def __call__(
        self, scope: MutableMapping[str, Any], _receive: Any, send: Callable[[Any], Awaitable[None]]
    ) -> None:
        page = self._pages.get(scope["path"])
        if page is None:
            status, kind, body = _refusal(NotFound("there is nothing at this path"))
        elif scope["method"] not in {"GET", "HEAD"}:
            status, kind, body = _refusal(BadRequest("this path has no such method", hint="Use GET."))
        else:
            status, kind, body = await page()
        headers = [(b"content-type", kind), (b"content-length", b"%d" % len(body)), (b"cache-control", b"no-store")]
        if status == 503:
            headers.append((b"retry-after", b"1"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _healthz(self) -> Reply:
        return 200, _JSON, b'{"ok":true}'

    async def _readyz(self) -> Reply:
        readiness = self._readiness()
        return 200 if readiness.ready else 503, _JSON, msgspec.json.encode(readiness)

    async def _versions(self) -> Reply:
        front = self._front()
        pq = "in force" if front.pq else "not in force"
        return 200, _JSON, msgspec.json.encode({**self._versions_here, "server": front.server, "x25519mlkem768": pq})

    async def _exposition(self) -> Reply:
        body = await asyncio.to_thread(self._metrics.text, self._metrics.collect())
        return 200, CONTENT_TYPE_PLAIN_0_0_4.encode("ascii"), body


def versions() -> dict[str, str]:
    """What is installed here, by name; what is an extra, where it is."""
    extras = {}
    with contextlib.suppress(PackageNotFoundError):
        extras["granian"] = version("granian")
    return {
        "ron_kms": version("ron-kms"),
        "liboqs": _core.liboqs_version(),
        "libsodium": _core.sodium_version(),
        "sqlite": engine.sqlite.sqlite_version,  # type: ignore[attr-defined]
        "python": platform.python_version(),
        "hypercorn": version("hypercorn"),
        **extras,
    }


def _refusal(error: KmsError) -> Reply:
    return error.http, _JSON, msgspec.json.encode(envelope(error, new_uuid()))
