"""The way of one request: token, gate, body, act, answer.

The order is the point. A refusal must cost less than what it refuses, so the token's signature, expiry and scope are
checked first, then whether there is room for one more, and only then the first byte of the body is read; tenant and
prefix are the service's, item by item. A wrong token is nobody's: it takes no place from anyone.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any, Protocol

from ron_kms.api.http.body import Body, ClientGone, Deadlines, Receive, unpack
from ron_kms.api.http.decode import Decoder, refuse_query
from ron_kms.api.http.encode import ENCODE, encoders
from ron_kms.api.http.errors import Reporter, envelope, extra_headers
from ron_kms.api.http.headers import (
    MEDIA_TYPES,
    Format,
    answer_format,
    bearer,
    body_headers,
    entity_tag,
    gather,
    if_match,
    request_id,
    unchanged,
)
from ron_kms.api.http.journal import Journal
from ron_kms.api.http.traffic import Traffic
from ron_kms.engine.gate import Gate
from ron_kms.engine.rates import Rates
from ron_kms.errors import BadRequest, KmsError, Refused, ShuttingDown, Unsupported
from ron_kms.metrics import Metrics
from ron_kms.model import Caller
from ron_kms.service.kms import Kms
from ron_kms.service.operation import Context, Operation
from ron_kms.service.work import PART

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Checker(Protocol):
    """Checks a token's signature, expiry and scope."""

    def check(self, token: str, scope: str, now: float) -> Caller:
        """:raises Unauthenticated, NoCapability: the token is not good, or not for this."""


_LARGE = 16_384
"""Bytes of a body that takes a turn of its own to decode."""

_NO_PARAMETERS: dict[str, str] = {}

_HEADERS: dict[Format, list[tuple[bytes, bytes]]] = {
    name: [
        (b"content-type", media.encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
    ]
    for name, media in MEDIA_TYPES.items()
}

_REVALIDATED = (
    # Whoever has read it may keep it, and asks each time whether it is still so: a state that was changed, such as a
    # key that is compromised, is never overlooked.
    (b"cache-control", b"private, no-cache"),
    (b"vary", b"accept"),
)
_KEPT: dict[Format, list[tuple[bytes, bytes]]] = {
    name: [*(header for header in headers if header[0] != b"cache-control"), *_REVALIDATED]
    for name, headers in _HEADERS.items()
}


class Edge:
    """What all calls of one application share."""

    def __init__(
        self,
        kms: Kms,
        checker: Checker,
        gate: Gate,
        rates: Rates,
        metrics: Metrics,
        *,
        body_bytes: int,
        body_seconds: float,
    ) -> None:
        self.kms = kms
        self.checker = checker
        self.gate = gate
        self.rates = rates
        self.metrics = metrics
        self.body_bytes = body_bytes
        self.deadlines = Deadlines(body_seconds)
        self.traffic = Traffic()
        self.reporter = Reporter()
        self.journal = Journal()

    async def refuse(
        self, scope: Scope, receive: Receive, send: Send, error: KmsError, *extra: tuple[bytes, bytes]
    ) -> None:
        """Answer with an error without looking at the request any further."""
        found = gather(scope["headers"])
        traffic = self.traffic
        traffic.enter()
        try:
            if traffic.state == "draining":
                error, extra = _stopping(), ()
            self.metrics.refused(error.code)
            await Body(receive).drain(self.deadlines)
            await answer_error(scope, send, answer_format(found), request_id(found), error, *extra)
        except ClientGone:
            pass
        finally:
            traffic.leave()

    async def allow(self, receive: Receive, send: Send, methods: bytes) -> None:
        """Answer OPTIONS: which methods a path has."""
        self.traffic.enter()
        try:
            await Body(receive).drain(self.deadlines)
            await send({"type": "http.response.start", "status": 204, "headers": [(b"allow", methods)]})
            await send({"type": "http.response.body", "body": b""})
        except ClientGone:
            pass
        finally:
            self.traffic.leave()


class Call:
    """One operation, as an ASGI application."""

    def __init__(self, edge: Edge, operation: Operation) -> None:
        self._edge = edge
        self._operation = operation
        self._name = operation.name
        self._lane = edge.gate.lane(operation.scope)
        self._decoder = Decoder(operation.request, operation.path)
        self._takes_query = operation.method == "GET"
        self._has_body = not self._takes_query and bool(self._decoder.content.__struct_fields__)
        self._inflight = edge.metrics.inflight(operation.name)
        self._is_batch = "items" in operation.request.__struct_fields__
        self._encode = encoders(operation.response)
        self._may_be_kept = operation.method == "GET" and "etag" in operation.response.__struct_fields__
        self._tells = {"cache_age_ms", "etag"} & set(operation.response.__struct_fields__)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        edge = self._edge
        started = time.perf_counter()
        found = gather(scope["headers"])
        corr_id = request_id(found)
        format_ = answer_format(found)
        body = Body(receive)
        context: Context | None = None
        edge.traffic.enter()
        self._inflight(1)
        try:
            try:
                if edge.traffic.state == "draining":
                    raise _stopping()
                caller = edge.checker.check(bearer(found), self._operation.scope, time.time())
                party = self._lane.enter(caller, large=self._is_batch)
                try:
                    edge.rates.charge(caller, 1, started)
                    tag = if_match(found) if self._operation.if_match else None
                    request = await self._request(scope, found, body)
                    if self._is_batch:
                        self._charge(caller, len(request.items))
                    context = Context(caller, corr_id, if_match=tag)
                    response = await self._operation.act(edge.kms, context, request)
                    if self._is_batch and len(request.items) > PART:
                        await edge.kms.queue.turn()
                    content = self._encode[format_](response)
                finally:
                    self._lane.leave(party)
            except ClientGone:
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is becomes a coded answer, and ours are logged
                refusal = edge.reporter.coded(error, corr_id, self._name)
                self._count(corr_id, context, refusal, time.perf_counter() - started)
                await body.drain(edge.deadlines)
                await answer_error(scope, send, format_, corr_id, refusal)
            else:
                self._count(corr_id, context, None, time.perf_counter() - started)
                extra = self._extra(response) if self._tells else ()
                if self._may_be_kept:
                    await self._answer_kept(scope, send, found, format_, corr_id, content, response, extra)
                else:
                    await answer(scope, send, self._operation.status, format_, corr_id, content, *extra)
        except ClientGone:
            edge.metrics.refused("disconnect")
        finally:
            self._inflight(-1)
            edge.traffic.leave()

    def _charge(self, caller: Caller, items: int) -> None:
        """The rest of a batch, whose first item was paid at the gate."""
        self._edge.metrics.batch(self._name, items)
        if items > 1:
            self._edge.rates.charge(caller, items - 1, time.perf_counter(), paid=1)

    async def _answer_kept(
        self,
        scope: Scope,
        send: Send,
        found: dict[bytes, bytes],
        format_: Format,
        corr_id: str,
        content: bytes,
        response: Any,
        extra: Sequence[tuple[bytes, bytes]],
    ) -> None:
        """What a client may keep; 304 where it has it already."""
        if unchanged(found, response.etag):
            await answer_unchanged(send, corr_id, *extra)
        else:
            await answer(scope, send, self._operation.status, format_, corr_id, content, *extra, headers=_KEPT)

    def _extra(self, response: Any) -> list[tuple[bytes, bytes]]:
        """The headers that come from fields of the answer."""
        extra = []
        if "cache_age_ms" in self._tells and response.cache_age_ms is not None:
            extra.append((b"x-kms-cache-age", b"%d" % response.cache_age_ms))
        if "etag" in self._tells:
            extra.append((b"etag", entity_tag(response.etag)))
        return extra

    def _count(self, corr_id: str, context: Context | None, error: KmsError | None, seconds: float) -> None:
        """``seconds`` end before the answer is sent, so that a client who reads slowly does not count."""
        metrics = self._edge.metrics
        result = "ok" if error is None else error.code
        if context is None:
            metrics.refused(result)
        if isinstance(error, Refused) and error.limit:
            metrics.reject(error.limit)
        alg = "none" if context is None else context.alg
        if context is None or not context.counted:
            metrics.done(self._name, alg, result)
        metrics.answered(self._name, alg, seconds)
        self._edge.journal.tell(self._name, corr_id, context, error, seconds)

    async def _request(self, scope: Scope, found: dict[bytes, bytes], body: Body) -> Any:
        edge = self._edge
        query: bytes = scope["query_string"]
        path: dict[str, str] = scope.get("path_params", _NO_PARAMETERS)
        if not self._takes_query:
            refuse_query(query)
        if not self._has_body:
            if await body.read(None, edge.deadlines, edge.body_bytes):
                raise BadRequest("this call takes no body")
            return self._decoder.parameters(path, query)
        if self._decoder.optional and b"content-type" not in found:
            if await body.read(None, edge.deadlines, edge.body_bytes):
                raise Unsupported("Content-Type must be application/json or application/msgpack")
            return self._decoder.nothing(path)
        headers = body_headers(found)
        content = await body.read(headers.length, edge.deadlines, edge.body_bytes)
        if headers.gzip:
            content = await unpack(content)
        if len(content) > _LARGE:
            await edge.kms.queue.turn()
        return self._decoder.body(headers.format, content, path)


async def answer(
    scope: Scope,
    send: Send,
    status: int,
    format_: Format,
    corr_id: str,
    content: bytes,
    *extra: tuple[bytes, bytes],
    headers: Mapping[Format, list[tuple[bytes, bytes]]] = _HEADERS,
) -> None:
    """One start and one body message; HEAD gets the headers alone."""
    all_headers = [
        *headers[format_],
        (b"content-length", b"%d" % len(content)),
        (b"x-corr-id", corr_id.encode("ascii")),
        *extra,
    ]
    await send({"type": "http.response.start", "status": status, "headers": all_headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else content})


async def answer_unchanged(send: Send, corr_id: str, *extra: tuple[bytes, bytes]) -> None:
    """304: the headers that 200 would have had and that say how it may be kept (RFC 9110 15.4.5)."""
    headers = [*_REVALIDATED, (b"x-corr-id", corr_id.encode("ascii")), *extra]
    await send({"type": "http.response.start", "status": 304, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


async def answer_error(
    scope: Scope, send: Send, format_: Format, corr_id: str, error: KmsError, *extra: tuple[bytes, bytes]
) -> None:
    """The error's envelope, with the headers that belong to it."""
    content = ENCODE[format_](envelope(error, corr_id))
    await answer(scope, send, error.http, format_, corr_id, content, *extra_headers(error), *extra)


def _stopping() -> ShuttingDown:
    return ShuttingDown("this server is stopping")
