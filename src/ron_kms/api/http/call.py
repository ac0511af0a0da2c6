"""The way of one request: token, gate, body, act, answer.

The order is the point. A refusal must cost less than what it refuses, so the token's signature, expiry and scope are
checked first, then whether there is room for one more, and only then the first byte of the body is read; tenant and
prefix are the service's, item by item. A wrong token is nobody's: it takes no place from anyone.
"""

from __future__ import annotations

import time
from typing import Any, Protocol

from ron_kms.api.http.body import Body, ClientGone, Deadlines, Receive, unpack
from ron_kms.api.http.decode import Decoder, refuse_query
from ron_kms.api.http.encode import encoders
from ron_kms.api.http.errors import Reporter
from ron_kms.api.http.exchange import Exchange, Header, Scope, Send
from ron_kms.api.http.headers import bearer, body_headers, entity_tag, if_match, unchanged
from ron_kms.api.http.journal import Journal
from ron_kms.api.http.memory import SMALL, Memory, Share
from ron_kms.api.http.traffic import Traffic
from ron_kms.engine.gate import Gate
from ron_kms.engine.rates import Rates
from ron_kms.errors import BadRequest, KmsError, Refused, ShuttingDown, Unsupported
from ron_kms.metrics import Metrics
from ron_kms.model import Caller
from ron_kms.service.kms import Kms
from ron_kms.service.operation import Context, File, Operation
from ron_kms.service.work import PART


class Checker(Protocol):
    """Checks a token's signature, expiry and scope."""

    def check(self, token: str, scope: str, now: float) -> Caller:
        """:raises Unauthenticated, NoCapability: the token is not good, or not for this."""


_LARGE = 16_384
"""Bytes of a body that takes a turn of its own to decode."""

_NO_PARAMETERS: dict[str, str] = {}


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
        memory: Memory,
        body_bytes: int,
        body_seconds: float,
    ) -> None:
        self.kms = kms
        self.checker = checker
        self.gate = gate
        self.rates = rates
        self.metrics = metrics
        self.memory = memory
        self.body_bytes = body_bytes
        self.deadlines = Deadlines(body_seconds)
        self.traffic = Traffic()
        self.reporter = Reporter()
        self.journal = Journal()

    async def refuse(self, scope: Scope, receive: Receive, send: Send, error: KmsError, *extra: Header) -> None:
        """Answer with an error without looking at the request any further."""
        exchange = Exchange(scope, receive, send)
        traffic = self.traffic
        traffic.enter()
        try:
            if traffic.state == "draining":
                error, extra = _stopping(), ()
            self.metrics.refused(error.code)
            await exchange.body.drain(self.deadlines)
            await exchange.answer_error(error, *extra)
        finally:
            traffic.leave()

    async def allow(self, receive: Receive, send: Send, methods: bytes) -> None:
        """Answer OPTIONS: which methods a path has."""
        self.traffic.enter()
        try:
            await Body(receive).drain(self.deadlines)
            await send({"type": "http.response.start", "status": 204, "headers": [(b"allow", methods)]})
            await send({"type": "http.response.body", "body": b""})
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
        exchange = Exchange(scope, receive, send)
        edge.traffic.enter()
        self._inflight(1)
        refusal: KmsError | None = None
        try:
            try:
                response, content = await self._act(exchange, started)
            except ClientGone:
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is becomes a coded answer, and ours are logged
                refusal = _bare(edge.reporter.coded(error, exchange.id, self._name))
            if refusal is not None:
                self._count(exchange, refusal, time.perf_counter() - started)
                await exchange.body.drain(edge.deadlines)
                await exchange.answer_error(refusal)
            else:
                self._count(exchange, None, time.perf_counter() - started)
                share = exchange.body.share
                if share is None or len(content) <= SMALL:
                    await self._answer(exchange, response, content)
                else:
                    with share.holding(len(content)):
                        await self._answer(exchange, response, content)
        except ClientGone:
            edge.metrics.refused("disconnect")
            await exchange.answer_error(BadRequest("the body was cut off"))
        finally:
            self._inflight(-1)
            edge.traffic.leave()

    async def _act(self, exchange: Exchange, now: float) -> tuple[Any, bytes]:
        """From the token to the answer, as it is and encoded."""
        edge, operation = self._edge, self._operation
        if edge.traffic.state == "draining":
            raise _stopping()
        caller = edge.checker.check(bearer(exchange.headers), operation.scope, time.time())
        context = exchange.context = Context(caller, exchange.id)
        party = self._lane.enter(caller, large=self._is_batch)
        share = exchange.body.share = Share(edge.memory, party)
        try:
            edge.memory.check(party)
            edge.rates.charge(caller, 1, now)
            if operation.if_match:
                context.if_match = if_match(exchange.headers)
            request = await self._request(exchange)
            if self._is_batch:
                self._charge(caller, len(request.items))
            exchange.acted = True
            response = await operation.act(edge.kms, context, request)
            if self._is_batch and len(request.items) > PART:
                await edge.kms.queue.turn()
            return response, self._encode[exchange.format](response)
        finally:
            share.give_back()
            self._lane.leave(party)

    async def _request(self, exchange: Exchange) -> Any:
        edge, body = self._edge, exchange.body
        query: bytes = exchange.scope["query_string"]
        path: dict[str, str] = exchange.scope.get("path_params", _NO_PARAMETERS)
        if not self._takes_query:
            refuse_query(query)
        if not self._has_body:
            if await body.read(None, edge.deadlines, edge.body_bytes):
                raise BadRequest("this call takes no body")
            return self._decoder.parameters(path, query)
        if self._decoder.optional and b"content-type" not in exchange.headers:
            if await body.read(None, edge.deadlines, edge.body_bytes):
                raise Unsupported("Content-Type must be application/json or application/msgpack")
            return self._decoder.nothing(path)
        headers = body_headers(exchange.headers)
        content = await body.read(headers.length, edge.deadlines, edge.body_bytes)
        if headers.gzip:
            content = await unpack(content, share=body.share)
        if len(content) > _LARGE:
            await edge.kms.queue.turn()
        return self._decoder.body(headers.format, content, path)

    def _charge(self, caller: Caller, items: int) -> None:
        """The rest of a batch, whose first item was paid at the gate."""
        self._edge.metrics.batch(self._name, items)
        if items > 1:
            self._edge.rates.charge(caller, items - 1, time.perf_counter(), paid=1)

    def _count(self, exchange: Exchange, error: KmsError | None, seconds: float) -> None:
        """``seconds`` end before the answer is sent, so that a client who reads slowly does not count."""
        edge, context = self._edge, exchange.context
        result = "ok" if error is None else error.code
        if not exchange.acted:
            edge.metrics.refused(result)
        if isinstance(error, Refused) and error.limit:
            edge.metrics.reject(error.limit)
        alg = "none" if context is None else context.alg
        if context is None or not context.counted:
            edge.metrics.done(self._name, alg, result)
        edge.metrics.answered(self._name, alg, seconds)
        edge.journal.tell(self._name, exchange.id, context, error, seconds)

    async def _answer(self, exchange: Exchange, response: Any, content: bytes) -> None:
        status = self._operation.status
        if isinstance(response, File):
            await exchange.answer_file(response)
            return
        if not self._tells:
            await exchange.answer(status, content)
            return
        extra = []
        if "cache_age_ms" in self._tells and response.cache_age_ms is not None:
            extra.append((b"x-kms-cache-age", b"%d" % response.cache_age_ms))
        if "etag" in self._tells:
            extra.append((b"etag", entity_tag(response.etag)))
        if not self._may_be_kept:
            await exchange.answer(status, content, *extra)
        elif unchanged(exchange.headers, response.etag):
            await exchange.answer_unchanged(*extra)
        else:
            await exchange.answer_kept(status, content, *extra)


def _bare(error: KmsError) -> KmsError:
    """An error without where it came from: those frames hold the body, for as long as the client takes its time."""
    error.__context__ = error.__cause__ = None
    return error.with_traceback(None)


def _stopping() -> ShuttingDown:
    return ShuttingDown("this server is stopping")
