"""OpenTelemetry traces: a span for a request and one for each floor that it goes through.

The parts of a worker are wrapped when it is put together, and only where traces are asked for: without, nothing on a
request's way knows of them. Spans carry names, sizes and outcomes, never a kid, a token or anything of a payload.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from concurrent.futures import Future
from importlib.metadata import version
from typing import Any, TypeVar, cast

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from ron_kms.api.http.call import Checker
from ron_kms.engine.queue import CryptoQueue
from ron_kms.errors import KmsError
from ron_kms.model import Caller
from ron_kms.server.asgi import App, Receive, Scope, Send
from ron_kms.service.kms import Kms
from ron_kms.service.operation import Context, Operation
from ron_kms.store.bootstrap import Store
from ron_kms.store.database import Database

_FLUSH_MILLIS = 500

T = TypeVar("T")


class Traces:
    """Sends spans to a collector, from a thread of its own, in batches; what it cannot take is dropped.

    :param url: of the collector, OTLP over HTTP, such as ``http://127.0.0.1:4318/v1/traces``.
    :param percent: the share of traces that begin here and are kept; one that a caller has begun is kept where the
        caller keeps it (W3C ``traceparent``).
    :param slot: the worker's number.
    """

    def __init__(self, url: str, percent: float, slot: int) -> None:
        resource = {"service.name": "ron-kms", "service.version": version("ron-kms"), "service.instance.id": str(slot)}
        self._provider = TracerProvider(
            resource=Resource.create(resource), sampler=ParentBased(TraceIdRatioBased(percent / 100))
        )
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(url, timeout=5)))
        self._tracer = self._provider.get_tracer("ron-kms", version("ron-kms"))

    def app(self, app: App) -> App:
        """With a span for each request; its name is the operation's, once that is known."""

        async def traced(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            parent = TraceContextTextMapPropagator().extract(_carrier(scope["headers"]))
            with self._tracer.start_as_current_span("request", parent, SpanKind.SERVER) as span:
                span.set_attribute("http.request.method", scope["method"])

                async def sent(message: MutableMapping[str, Any]) -> None:
                    if message["type"] == "http.response.start":
                        span.set_attribute("http.response.status_code", message["status"])
                        if message["status"] >= 500:
                            span.set_status(Status(StatusCode.ERROR))
                    await send(message)

                await app(scope, receive, sent)

        return traced

    def checker(self, checker: Checker) -> Checker:
        """With a span for each token that is checked."""
        return _TracedChecker(checker, self._tracer)

    def operations(self, operations: Iterable[Operation]) -> tuple[Operation, ...]:
        """With a span for what each does."""
        return tuple(operation._replace(act=self._act(operation)) for operation in operations)

    def _act(self, operation: Operation) -> Callable[[Kms, Context, Any], Awaitable[Any]]:
        async def traced(kms: Kms, context: Context, request: Any) -> Any:
            request_span = trace.get_current_span()
            request_span.update_name(operation.name)
            request_span.set_attribute("kms.request_id", context.request_id)
            with self._tracer.start_as_current_span("service", record_exception=False) as span:
                items = getattr(request, "items", None)
                if isinstance(items, Sequence):
                    span.set_attribute("kms.items", len(items))
                try:
                    return await operation.act(kms, context, request)
                except KmsError as error:
                    span.set_attribute("kms.error", error.code)
                    raise
                finally:
                    span.set_attribute("kms.alg", context.alg)

        return traced

    def store(self, store: Store) -> Store:
        """With a span for each read and write that a request waits for."""
        return store._replace(database=cast("Database", _TracedDatabase(store.database, self._tracer)))

    def queue(self, queue: CryptoQueue) -> CryptoQueue:
        """With a span for each job, from its hand-in until it is computed and settled."""
        return cast("CryptoQueue", _TracedQueue(queue, self._tracer))

    def close(self) -> None:
        """Send what is left, within half a second, and stop."""
        self._provider.force_flush(_FLUSH_MILLIS)
        self._provider.shutdown()


def _carrier(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    return {
        name.decode("ascii"): value.decode("latin-1")
        for name, value in headers
        if name in {b"traceparent", b"tracestate"}
    }


class _TracedChecker:
    def __init__(self, checker: Checker, tracer: trace.Tracer) -> None:
        self._checker = checker
        self._tracer = tracer

    def check(self, token: str, scope: str, now: float) -> Caller:
        with self._tracer.start_as_current_span("capabilities", record_exception=False):
            return self._checker.check(token, scope, now)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._checker, name)


class _TracedDatabase:
    def __init__(self, database: Database, tracer: trace.Tracer) -> None:
        self._database = database
        self._tracer = tracer

    def read(self, job: Callable[..., T]) -> Future[T]:
        return self._told("store.read", self._database.read, job)

    def write(self, job: Callable[..., T]) -> Future[T]:
        return self._told("store.write", self._database.write, job)

    def _told(self, name: str, submit: Callable[..., Future[T]], job: Callable[..., T]) -> Future[T]:
        if not trace.get_current_span().is_recording():  # nobody's request: upkeep
            return submit(job)
        span = self._tracer.start_span(name)
        future = submit(job)
        future.add_done_callback(lambda _: span.end())
        return future

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)


class _TracedQueue:
    def __init__(self, queue: CryptoQueue, tracer: trace.Tracer) -> None:
        self._queue = queue
        self._tracer = tracer

    def submit(self, tenant: str, micros: float, group: Any, job: Any) -> Any:
        if not trace.get_current_span().is_recording():
            return self._queue.submit(tenant, micros, group, job)
        span: Span = self._tracer.start_span("engine")
        span.set_attribute("kms.estimated_us", micros)
        try:
            done = self._queue.submit(tenant, micros, group, job)
        except BaseException:
            span.end()
            raise
        if isinstance(done, asyncio.Future):
            done.add_done_callback(lambda _: span.end())
        return done

    async def run(self, tenant: str, micros: float, work: Callable[[], T]) -> T:
        with self._tracer.start_as_current_span("engine", record_exception=False) as span:
            span.set_attribute("kms.estimated_us", micros)
            return await self._queue.run(tenant, micros, work)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._queue, name)
