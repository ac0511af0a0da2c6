"""Who is let in: before the body, for nobody's bad token, and out again whatever happens."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence

import msgspec
import pytest
from structlog.testing import capture_logs

from ron_kms.engine.gate import Gate, Limits
from ron_kms.engine.rates import RateLimits, Rates
from ron_kms.metrics import Metrics
from tests.api.drive import ALL, JSON, Answer, Edge, Stream, chunked
from tests.api.sample import Queue

WAIT = msgspec.json.encode({"how": "wait"})
RATED = ("authorization", "Bearer rated")


def of(tenant: str) -> tuple[str, str]:
    return ("authorization", f"Bearer of-{tenant}")


def gated(runner: asyncio.Runner, cap: int, **options: object) -> Edge:
    """An application whose operations, all of class admin, have this cap."""
    return Edge(runner, gate=Gate(Limits(admin=cap), Queue()), **options)


def total(edge: Edge) -> int:
    return edge.app.gate.lanes["admin"].total


async def while_waiting(edge: Edge, waiting: Sequence[tuple[str, str]], *then: tuple[Stream, tuple[str, str]]) -> None:
    """Requests in flight, one for each token, and meanwhile others."""
    tasks = [
        asyncio.create_task(edge.stream("POST", "/v1/kms/fail", Stream(chunked(WAIT)), token, JSON))
        for token in waiting
    ]
    await asyncio.sleep(0.01)
    assert total(edge) == len(waiting)
    for stream, token in then:
        await edge.stream("POST", "/v1/kms/things", stream, token, JSON)
    edge.kms.go.set()
    await asyncio.gather(*tasks)
    assert total(edge) == 0


def test_a_full_gate_refuses_before_the_body_is_decoded(runner: asyncio.Runner) -> None:
    edge = gated(runner, 2)
    late = Stream(chunked(b"{ not", b" even JSON"))
    edge.run(while_waiting(edge, [ALL, of("red")], (late, of("blue"))))
    answer = late.answer()
    assert (answer.status, answer.code, answer.headers["retry-after"]) == (429, "Backpressure", "1")
    assert answer.data["error"]["retryable"] is True
    assert late.taken == 2, "the connection lives on only if the body was read to its end"
    assert edge.kms.acted == 0
    assert edge.post("/v1/kms/things", {"name": "a"}).status == 201


def test_who_floods_refuses_nobody_else(runner: asyncio.Runner) -> None:
    edge = gated(runner, 20)
    refused, served = Stream(chunked(b'{"name":"a"}')), Stream(chunked(b'{"name":"a"}'))
    edge.run(while_waiting(edge, [of("red")] * 16, (refused, of("red")), (served, of("blue"))))
    assert refused.answer().status == 429
    assert served.answer().status == 201


def test_a_wrong_token_takes_no_place_and_no_rate(runner: asyncio.Runner) -> None:
    edge = gated(runner, 1, rates=Rates(RateLimits(service=1)))
    assert [edge.call("GET", "/v1/kms/things").status for _ in range(5)] == [401] * 5
    assert [edge.call("GET", "/v1/kms/things", b"", ("authorization", "Bearer x")).status for _ in range(5)] == [
        401
    ] * 5
    stranger = Stream(chunked(b""))
    edge.run(while_waiting(edge, [ALL], (stranger, ("authorization", "Bearer x"))))
    assert stranger.answer().status == 401


@pytest.mark.parametrize("body", [b'{"name":"a"}', b"{", b"", b"x" * (1 << 20) + b"x"])
def test_everybody_is_let_out_again(runner: asyncio.Runner, body: bytes) -> None:
    edge = gated(runner, 1)
    for _ in range(3):
        assert edge.call("POST", "/v1/kms/things", body, ALL, JSON).status != 429
    assert total(edge) == 0


@pytest.mark.parametrize("how", ["Conflict", "StoreUnavailable", "nonsense", "unencodable"])
def test_after_an_error_too(runner: asyncio.Runner, how: str) -> None:
    edge = gated(runner, 1)
    for _ in range(3):
        assert edge.post("/v1/kms/fail", {"how": how}).status != 429
    assert total(edge) == 0


def test_a_client_that_leaves_is_let_out(runner: asyncio.Runner) -> None:
    edge = gated(runner, 1)
    for _ in range(3):
        stream = Stream([*chunked(b"{", last=False), {"type": "http.disconnect"}])
        edge.run(edge.stream("POST", "/v1/kms/things", stream, ALL, JSON))
        assert total(edge) == 0


def test_a_request_that_is_cancelled_is_let_out(runner: asyncio.Runner) -> None:
    edge = gated(runner, 1)

    async def cancelled() -> None:
        task = asyncio.create_task(edge.stream("POST", "/v1/kms/fail", Stream(chunked(WAIT)), ALL, JSON))
        await asyncio.sleep(0.01)
        assert total(edge) == 1
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    edge.run(cancelled())
    assert total(edge) == 0


@pytest.mark.parametrize("body", [b'{"name":"a"}', b"{"])
def test_who_reads_slowly_holds_no_place(runner: asyncio.Runner, body: bytes) -> None:
    edge = gated(runner, 1)

    async def slow() -> None:
        stream, reading = Stream(chunked(body)), asyncio.Event()

        async def send(message: dict[str, object]) -> None:
            await reading.wait()

        stream.send = send  # type: ignore[method-assign, assignment]
        task = asyncio.create_task(edge.stream("POST", "/v1/kms/things", stream, ALL, JSON))
        await asyncio.sleep(0.01)
        assert (total(edge), edge.app.traffic.inflight) == (0, 1)
        reading.set()
        await task

    edge.run(slow())


def test_a_refused_body_that_does_not_come_holds_no_place(runner: asyncio.Runner) -> None:
    edge = gated(runner, 4, body_seconds=0.1)
    red = Stream(chunked(b"{", last=False))
    edge.run(while_waiting(edge, [of("red")] * 3, (red, of("red"))))
    assert red.answer().status == 429


def statuses(edge: Edge, count: int, token: tuple[str, str], body: bytes = b'{"name":"a"}') -> list[int]:
    return [edge.call("POST", "/v1/kms/things", body, token, JSON).status for _ in range(count)]


def batch(edge: Edge, token: tuple[str, str], items: int) -> Answer:
    body = msgspec.json.encode({"items": [{"name": "a"}] * items})
    return edge.call("POST", "/v1/kms/things:batch", body, token, JSON)


def test_a_tokens_rate(edge: Edge) -> None:
    assert statuses(edge, 5, RATED) == [201, 201, 201, 429, 429]
    answer = edge.call("POST", "/v1/kms/things", b"not JSON", RATED, JSON)
    assert (answer.status, answer.code, answer.headers["retry-after"]) == (429, "RateLimited", "1")
    assert statuses(edge, 1, ALL) == [201]


def test_a_tenants_rate(runner: asyncio.Runner) -> None:
    edge = Edge(runner, rates=Rates(RateLimits(tenant=2)))
    assert statuses(edge, 3, of("red")) == [201, 201, 429]
    assert statuses(edge, 3, of("blue")) == [201, 201, 429]


def test_the_services_rate(runner: asyncio.Runner) -> None:
    edge = Edge(runner, rates=Rates(RateLimits(service=3)))
    assert statuses(edge, 2, of("red")) == [201, 201]
    assert statuses(edge, 2, of("blue")) == [201, 429]


def test_a_batch_pays_for_its_items_once_it_is_decoded(edge: Edge) -> None:
    assert statuses(edge, 1, RATED) == [201]
    refused = batch(edge, RATED, 3)  # the first is paid at the gate
    assert (refused.status, refused.code, refused.headers["retry-after"]) == (429, "RateLimited", "1")
    assert statuses(edge, 2, RATED) == [201, 429]


def test_an_empty_batch_pays_for_one(edge: Edge) -> None:
    assert batch(edge, RATED, 0).status == 200
    assert statuses(edge, 3, RATED) == [201, 201, 429]


def test_a_batch_beyond_the_rate_is_paid_off(edge: Edge) -> None:
    assert batch(edge, RATED, 30).status == 200
    answer = edge.call("POST", "/v1/kms/things", b"{}", RATED, JSON)
    assert (answer.status, answer.headers["retry-after"]) == (429, "10")


def test_what_was_refused_is_counted_by_its_limit(runner: asyncio.Runner) -> None:
    metrics = Metrics()
    edge = gated(runner, 1, metrics=metrics)
    edge.run(while_waiting(edge, [ALL], (Stream(chunked(b"{}")), ALL)))
    statuses(edge, 5, RATED)
    value = metrics.registry.get_sample_value
    assert value("rejected_total", {"reason": "Backpressure"}) == 1
    assert value("rejected_total", {"reason": "RateLimited"}) == 2
    assert value("kms_reject_total", {"reason": "max_inflight"}) == 1
    assert value("kms_reject_total", {"reason": "token_rate"}) == 2
    assert value("kms_ops_total", {"op": "make", "alg": "none", "result": "RateLimited"}) == 2


def test_the_log_names_who_is_refused(runner: asyncio.Runner) -> None:
    edge = gated(runner, 1)
    logger = logging.getLogger("ron_kms")
    before = logger.level
    logger.setLevel(logging.INFO)
    try:
        with capture_logs() as lines:
            edge.run(while_waiting(edge, [ALL], (Stream(chunked(b"{}")), of("red"))))
    finally:
        logger.setLevel(before)
    assert [(line["result"], line["tenant"], line["actor"]) for line in lines] == [("Backpressure", "red", "t-of-red")]


def test_a_refusal_is_decided_within_a_millisecond(runner: asyncio.Runner) -> None:
    """The median of many; it takes about 20 microseconds."""
    edge = Edge(runner, rates=Rates(RateLimits(service=1)))

    async def spans() -> list[float]:
        found = []
        for _ in range(201):
            stream = Stream(chunked(b'{"name":"a"}'))
            started = time.perf_counter()
            await edge.stream("POST", "/v1/kms/things", stream, ALL, JSON)
            found.append(time.perf_counter() - started)
        return sorted(found)

    assert edge.run(spans())[100] < 0.001
