"""The ASGI application: the table of operations as paths, and the documents that describe it.

It runs unchanged on Hypercorn and Granian. Most requests go to a fixed path, whose call one look-up in a dict finds;
paths with parameters and everything else go through Starlette's router.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.routing import Route, Router
from starlette.types import ASGIApp, Lifespan

from ron_kms.api.http.body import MAX_BYTES, Receive
from ron_kms.api.http.call import Call, Checker, Edge
from ron_kms.api.http.docs import document, page
from ron_kms.api.http.exchange import Scope, Send
from ron_kms.api.http.memory import DEFAULT, Memory
from ron_kms.api.http.openapi import describe
from ron_kms.engine.gate import Gate, Limits
from ron_kms.engine.rates import RateLimits, Rates
from ron_kms.errors import BadRequest, NotFound
from ron_kms.metrics import Metrics
from ron_kms.service.kms import Kms
from ron_kms.service.operation import Operation


def create_app(
    operations: Sequence[Operation],
    kms: Kms,
    checker: Checker,
    *,
    gate: Gate | None = None,
    rates: Rates | None = None,
    metrics: Metrics | None = None,
    lifespan: Lifespan[Any] | None = None,
    body_bytes: int = MAX_BYTES,
    body_seconds: float = 10.0,
    body_memory: int = DEFAULT,
) -> App:
    """The application for a table of operations.

    :param kms: handed to every operation's ``act`` as it is.
    :param checker: checks tokens before bodies are read.
    :param gate: lets requests in; one with the default limits and the queue of ``kms`` by default.
    :param rates: operations a second; only those that tokens name by default.
    :param metrics: what to count into; a set of its own by default.
    :param lifespan: runs at the worker's start and stop, as Starlette defines it.
    :param body_bytes: the most bytes of a body on the wire.
    :param body_seconds: how long a body may take to arrive.
    :param body_memory: bytes that all bodies together may take, of requests and answers.
    """
    edge = Edge(
        kms,
        checker,
        gate or Gate(Limits(), kms.queue),
        rates or Rates(RateLimits()),
        metrics or Metrics(),
        memory=Memory(body_memory),
        body_bytes=body_bytes,
        body_seconds=body_seconds,
    )
    return App(edge, operations, lifespan)


class Resource:
    """One path: its calls by method."""

    def __init__(self, edge: Edge, methods: Mapping[str, ASGIApp]) -> None:
        self._edge = edge
        self._methods = dict(methods)
        if "GET" in methods:
            self._methods["HEAD"] = methods["GET"]
        self._allow = ", ".join(sorted((*self._methods, "OPTIONS"))).encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = self._methods.get(scope["method"])
        if call is not None:
            await call(scope, receive, send)
        elif scope["method"] == "OPTIONS":
            await self._edge.allow(receive, send, self._allow)
        else:
            error = BadRequest("this path has no such method", hint="The Allow header lists those it has.")
            await self._edge.refuse(scope, receive, send, error, (b"allow", self._allow))


class App(Router):
    """See :func:`create_app`."""

    def __init__(self, edge: Edge, operations: Sequence[Operation], lifespan: Lifespan[Any] | None) -> None:
        self._edge = edge
        self.traffic = edge.traffic
        self.deadlines = edge.deadlines
        self.memory = edge.memory
        self.gate = edge.gate
        self.rates = edge.rates
        paths: dict[str, dict[str, ASGIApp]] = {}
        for operation in operations:
            methods = paths.setdefault(operation.path, {})
            if operation.method in methods:
                raise ValueError(f"{operation.method} {operation.path} is in the table twice")
            methods[operation.method] = Call(edge, operation)
        paths["/openapi.json"] = {"GET": document(edge, describe(operations, edge.body_bytes))}
        paths["/docs"] = {"GET": page(edge)}
        self._fixed = {
            (method, path): call
            for path, methods in paths.items()
            if "{" not in path
            for method, call in methods.items()
        }
        super().__init__(
            # What is behind a path's last parameter ``part`` may have slashes.
            routes=[
                Route(path.replace("{part}", "{part:path}"), Resource(edge, methods)) for path, methods in paths.items()
            ],
            redirect_slashes=False,
            default=self._nothing_here,
            lifespan=lifespan,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            call = self._fixed.get((scope["method"], scope["path"]))
            if call is not None:
                await call(scope, receive, send)
                return
        await super().__call__(scope, receive, send)

    async def _nothing_here(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._edge.refuse(scope, receive, send, NotFound("there is nothing at this path"))
        else:
            await self.not_found(scope, receive, send)
