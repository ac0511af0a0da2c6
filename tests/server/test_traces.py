"""Traces reach a collector, one span a floor, and tell no secret; without the setting nothing of them is there."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

pytest.importorskip("opentelemetry.sdk", reason="OpenTelemetry is not installed")

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.e2e.service import Service
from tests.waiting import until

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


class Collector:
    """Takes spans over HTTP, as OpenTelemetry's collectors do."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.raw = b""
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                collector.raw += body
                request = ExportTraceServiceRequest.FromString(body)
                for resource in request.resource_spans:
                    for scope in resource.scope_spans:
                        collector.spans += scope.spans
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1/traces"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.close()


def test_a_request_is_a_trace(tmp_path: Path, collector: Collector) -> None:
    with Service(tmp_path / "data", traces_url=collector.url) as service, service.client() as client:
        kid = client.create()
        digest = "E5rDicao8w/G1ngXjluE8fLAw8FJge9WaaMSgbxfoeA="
        sign = {"kid": kid, "digest": digest}
        parent = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
        assert client.call("POST", "/v1/kms/sign", sign, headers=parent).status == 200
        assert client.call("POST", "/v1/kms/sign", {**sign, "kid": "a"}).status == 400
        token = service.token
        assert service.stop() == 0
    assert until(lambda: {"sign", "create"} <= {span.name for span in collector.spans})

    traced = [span for span in collector.spans if span.trace_id.hex() == TRACE]
    by_name = {span.name: span for span in traced}
    assert set(by_name) == {"sign", "capabilities", "service", "store.read", "engine"}
    assert by_name["sign"].parent_span_id.hex() == PARENT
    assert by_name["service"].parent_span_id == by_name["capabilities"].parent_span_id == by_name["sign"].span_id
    assert by_name["engine"].parent_span_id == by_name["service"].span_id
    for name, span in by_name.items():
        assert span.start_time_unix_nano <= span.end_time_unix_nano <= by_name["sign"].end_time_unix_nano, name
    for secret in (kid, kid.split("/")[2][:36], token, digest):
        assert secret.encode() not in collector.raw


def test_a_collector_that_is_away_costs_no_answer(tmp_path: Path) -> None:
    with Service(tmp_path / "data", traces_url="http://127.0.0.1:1/v1/traces") as service, service.client() as client:
        kid = client.create()
        assert client.post("sign", kid=kid, digest="E5rDicao8w/G1ngXjluE8fLAw8FJge9WaaMSgbxfoeA=").status == 200
        assert service.stop() == 0


def test_nothing_is_loaded_or_wrapped_without_the_setting() -> None:
    code = (
        "import sys; import ron_kms.server.worker; from ron_kms.server.tracing import tracing_of;"
        "from ron_kms.config import load; off = tracing_of(load({}, {}).settings, 0);"
        "part = object(); assert off.app(part) is off.queue(part) is off.store(part) is off.checker(part) is part;"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
