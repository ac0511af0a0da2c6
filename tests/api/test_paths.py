"""Paths, methods, and parameters of path and query."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from ron_kms.api.http.app import create_app
from tests.api.drive import ALL, JSON, Edge, Stream, chunked, scope
from tests.api.sample import OPERATIONS, Checker, Kms


@pytest.mark.parametrize(
    "path",
    ["/", "", "/v1", "/v1/kms/", "/v1/kms/things/", "//v1/kms/things", "/v1/kms/nothing", "/v1/kms/things/a", "/docs/"],
)
@pytest.mark.parametrize("method", ["GET", "POST", "BREW"])
def test_an_unknown_path_is_not_found_with_and_without_a_token(edge: Edge, path: str, method: str) -> None:
    for headers in ([], [ALL]):
        answer = edge.call(method, path, b"body", *headers)
        assert (answer.status, answer.code) == (404, "NotFound")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", "/v1/kms/things", "GET, HEAD, OPTIONS, POST"),
        ("DELETE", "/v1/kms/things/acme/one", "GET, HEAD, OPTIONS"),
        ("GET", "/v1/kms/things:batch", "OPTIONS, POST"),
        ("HEAD", "/v1/kms/things:batch", "OPTIONS, POST"),
        ("POST", "/docs", "GET, HEAD, OPTIONS"),
        ("BREW", "/openapi.json", "GET, HEAD, OPTIONS"),
    ],
)
def test_a_wrong_method_is_told_the_right_ones(edge: Edge, method: str, path: str, allow: str) -> None:
    stream = Stream(chunked(b"some", b"body"))
    edge.run(edge.stream(method, path, stream))
    answer = stream.answer()
    assert answer.status == 400
    assert answer.headers["allow"] == allow
    assert method == "HEAD" or answer.code == "BadRequest"
    options = edge.call("OPTIONS", path)
    assert (options.status, options.content, options.headers["allow"]) == (204, b"", allow)


@pytest.mark.parametrize("path", ["/v1/kms/things", "/v1/kms/things/acme/one", "/docs", "/openapi.json"])
def test_head_is_get_without_the_body(edge: Edge, path: str) -> None:
    get, head = edge.call("GET", path, b"", ALL), edge.call("HEAD", path, b"", ALL)
    assert (get.status, head.status, head.content) == (200, 200, b"")
    assert head.headers["content-length"] == get.headers["content-length"] == str(len(get.content))


def test_head_without_a_token(edge: Edge) -> None:
    answer = edge.call("HEAD", "/v1/kms/things")
    assert (answer.status, answer.content) == (401, b"")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ("", 10)),
        ("?prefix=acme%2Fbilling&limit=3", ("acme/billing", 3)),
        ("?prefix=a+b", ("a b", 10)),
        ("?prefix=%C3%A9", ("é", 10)),
        ("?prefix=", ("", 10)),
    ],
)
def test_query_parameters(edge: Edge, query: str, expected: tuple[str, int]) -> None:
    answer = edge.get(f"/v1/kms/things{query}")
    assert (answer.data["prefix"], answer.data["limit"]) == expected


@pytest.mark.parametrize(
    "query",
    [
        "?unknown=1",
        "?limit=1&limit=1",
        "?limit=0",
        "?limit=101",
        "?limit=",
        "?limit=x",
        "?limit=0x1",
        "?limit=%2B1",
        "?limit",
        "?&",
        "?=1",
        "?prefix=%FF",
        "?prefix=%ED%A0%80",
        "?prefix=é",
        "?" + "&".join(f"a{at}=1" for at in range(100)),
        "?limit=" + "9" * 5000,
    ],
)
def test_bad_query_parameters_are_refused(edge: Edge, query: str) -> None:
    answer = edge.get(f"/v1/kms/things{query}")
    assert (answer.status, answer.code) == (400, "BadRequest")


def test_path_parameters(edge: Edge) -> None:
    answer = edge.get("/v1/kms/things/acme/one?version=3")
    assert (answer.data["tenant"], answer.data["name"], answer.data["length"]) == ("acme", "one", 3)


@pytest.mark.parametrize(
    "path", ["/acme/One", "/acme/ ", "/acme/" + "x" * 64, "/acme/one?name=two", "/acme/one?tenant=acme", "/acme/é"]
)
def test_bad_path_parameters_are_refused(edge: Edge, path: str) -> None:
    assert edge.get(f"/v1/kms/things{path}").status == 400


def test_get_takes_no_body(edge: Edge) -> None:
    answer = edge.call("GET", "/v1/kms/things", b"{}", ALL, JSON)
    assert (answer.status, answer.code) == (400, "BadRequest")


def test_post_takes_no_query(edge: Edge) -> None:
    answer = edge.call("POST", "/v1/kms/things?x=1", b'{"name":"a"}', ALL, JSON)
    assert (answer.status, answer.code) == (400, "BadRequest")


def test_times_are_text_in_both_formats(edge: Edge) -> None:
    json = edge.get("/v1/kms/things")
    packed = edge.get("/v1/kms/things", ("accept", "application/msgpack"))
    assert packed.headers["content-type"] == "application/msgpack"
    assert packed.data == json.data
    assert json.data["at"] == "2026-01-02T03:04:05Z"


def test_one_method_of_a_path_twice_in_the_table_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="twice"):
        create_app((*OPERATIONS, OPERATIONS[0]), Kms(), Checker())  # type: ignore[arg-type]


def test_a_websocket_is_closed(edge: Edge) -> None:
    stream = Stream([{"type": "websocket.connect"}])
    edge.run(edge.app({**scope("GET", "/v1/kms/things", []), "type": "websocket"}, stream.receive, stream.send))
    assert [message["type"] for message in stream.sent] == ["websocket.close"]


def test_the_lifespan_runs_around_the_application(runner: asyncio.Runner) -> None:
    seen: list[str] = []

    @asynccontextmanager
    async def lifespan(app: object):  # type: ignore[no-untyped-def]
        seen.append("start")
        yield
        seen.append("stop")

    edge = Edge(runner, lifespan=lifespan)
    stream = Stream([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
    edge.run(edge.app({"type": "lifespan", "state": {}}, stream.receive, stream.send))
    assert seen == ["start", "stop"]
    assert [message["type"] for message in stream.sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
