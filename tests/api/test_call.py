"""The way of a request: formats, order of checks, errors, headers."""

from __future__ import annotations

import re
import time

import msgspec
import pytest
from structlog.testing import capture_logs

from ron_kms.api.http.exchange import WHOLE_ANSWERS
from tests.api.drive import ALL, JSON, MSGPACK, Edge, Stream, chunked
from tests.api.sample import WIRE_CODES

UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def test_json_in_json_out(edge: Edge) -> None:
    answer = edge.post("/v1/kms/things", {"name": "a", "data": "aGVsbG8="})
    assert answer.status == 201
    assert answer.headers["content-type"] == "application/json"
    assert answer.data == {"name": "a", "data": "aGVsbG8=", "length": 5, "tenant": "acme", "cache_age_ms": None}
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert int(answer.headers["content-length"]) == len(answer.content)


def test_messagepack_says_the_same(edge: Edge) -> None:
    body = msgspec.msgpack.encode({"name": "a", "data": b"hello"})
    answer = edge.call("POST", "/v1/kms/things", body, ALL, MSGPACK)
    assert answer.headers["content-type"] == "application/msgpack"
    assert answer.data == {"name": "a", "data": b"hello", "length": 5, "tenant": "acme", "cache_age_ms": None}


@pytest.mark.parametrize(
    ("content_type", "accept", "expected"),
    [
        ("application/json", None, "application/json"),
        ("application/msgpack", None, "application/msgpack"),
        ("application/msgpack", "*/*", "application/msgpack"),
        ("application/msgpack", "text/html, */*;q=0.5", "application/msgpack"),
        ("application/json", "application/msgpack", "application/msgpack"),
        ("application/json", "APPLICATION/MSGPACK ;q=0.3", "application/msgpack"),
        ("application/msgpack", "application/json", "application/json"),
        ("application/msgpack", "application/msgpack;q=0.1, application/json", "application/json"),
        ("application/msgpack", "application/msgpack;q=0", "application/json"),
        ("application/msgpack", "application/msgpack;q=x", "application/json"),
        ("application/msgpack", "text/html", "application/json"),
        ("application/msgpack", "application/json," * 100, "application/json"),
        ("application/json", "application/msgpack," * 100, "application/json"),
        ("application/json; charset=UTF-8", None, "application/json"),
    ],
)
def test_accept_decides_the_answers_format(edge: Edge, content_type: str, accept: str | None, expected: str) -> None:
    encode = msgspec.msgpack.encode if "msgpack" in content_type else msgspec.json.encode
    headers = [ALL, ("content-type", content_type), *([("accept", accept)] if accept else [])]
    good = edge.call("POST", "/v1/kms/things", encode({"name": "a"}), *headers)
    bad = edge.call("POST", "/v1/kms/things", encode({"name": "A"}), *headers)
    assert (good.status, good.headers["content-type"]) == (201, expected)
    assert (bad.status, bad.headers["content-type"], bad.code) == (400, expected, "BadRequest")


def test_accept_in_two_lines_counts_as_one(edge: Edge) -> None:
    answer = edge.get("/v1/kms/things", ("accept", "text/html"), ("accept", "application/msgpack"))
    assert answer.headers["content-type"] == "application/msgpack"


@pytest.mark.parametrize(
    "content_type",
    [None, "text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1", "a" * 999],
)
def test_other_content_types_are_refused(edge: Edge, content_type: str | None) -> None:
    headers = [("content-type", content_type)] if content_type else []
    answer = edge.call("POST", "/v1/kms/things", b'{"name":"a"}', ALL, *headers)
    assert (answer.status, answer.code) == (400, "Unsupported")


@pytest.mark.parametrize("header", ["content-type", "content-encoding", "content-length"])
def test_a_header_given_twice_is_refused(edge: Edge, header: str) -> None:
    values = {"content-type": "application/json", "content-encoding": "gzip", "content-length": "12"}
    headers = [ALL, *values.items(), (header, values[header])]
    answer = edge.call("POST", "/v1/kms/things", b'{"name":"a"}', *headers)
    assert answer.status == 400


@pytest.mark.parametrize("code", sorted(WIRE_CODES))
@pytest.mark.parametrize("media", ["application/json", "application/msgpack"])
def test_every_error_has_the_envelope(edge: Edge, code: str, media: str) -> None:
    answer = edge.post("/v1/kms/fail", {"how": code}, ("accept", media), ("x-corr-id", "abc"))
    assert answer.status == WIRE_CODES[code].http
    assert answer.headers["content-type"] == media
    error = answer.data["error"]
    assert list(error) == ["code", "message", "retryable", "hint", "ts", "request_id"]
    assert (error["code"], error["message"], error["request_id"]) == (code, "it was asked for", "abc")
    assert error["retryable"] is WIRE_CODES[code].retryable
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", error["ts"])
    assert ("retry-after" in answer.headers) == (answer.status in (429, 503))
    assert ("www-authenticate" in answer.headers) == (answer.status == 401)


def test_retry_after_is_the_errors_own_where_it_knows(edge: Edge) -> None:
    answers = [edge.post("/v1/kms/fail", {"how": "StoreUnavailable", "retry_after": after}) for after in (None, 0, 17)]
    assert [answer.headers["retry-after"] for answer in answers] == ["1", "1", "17"]


@pytest.mark.parametrize("how", ["unknown", "unencodable", "ConfigurationError"])
def test_an_unforeseen_error_tells_the_client_nothing_and_the_log_where(edge: Edge, how: str) -> None:
    with capture_logs() as logs:
        answer = edge.post("/v1/kms/fail", {"how": how}, ("x-corr-id", "abc"))
    assert (answer.status, answer.code) == (500, "Internal")
    assert b"SECRET" not in answer.content
    assert b"RuntimeError" not in answer.content
    (entry,) = logs
    assert (entry["log_level"], entry["code"], entry["request_id"], entry["op"]) == ("error", "Internal", "abc", "fail")
    assert any("call.py" in line for line in entry["trace"])
    assert "SECRET" not in str(entry)


def test_a_flood_of_failures_is_not_a_flood_of_log_lines(edge: Edge) -> None:
    with capture_logs() as logs:
        for _ in range(50):
            edge.post("/v1/kms/fail", {"how": "StoreUnavailable"})
            edge.post("/v1/kms/fail", {"how": "Conflict"})
        time.sleep(1.01)
        edge.post("/v1/kms/fail", {"how": "StoreUnavailable"})
    assert [(entry["code"], entry["untold"]) for entry in logs] == [("StoreUnavailable", 0), ("StoreUnavailable", 49)]


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ([], 401, "Unauthenticated"),
        ([("authorization", "Bearer")], 401, "Unauthenticated"),
        ([("authorization", "Bearer ")], 401, "Unauthenticated"),
        ([("authorization", "Basic all")], 401, "Unauthenticated"),
        ([("authorization", "Bearer nobody")], 401, "Unauthenticated"),
        ([("authorization", "Bearer \xe9\xff")], 401, "Unauthenticated"),
        ([ALL, ALL], 401, "Unauthenticated"),
        ([("authorization", "Bearer reader")], 403, "NoCapability"),
    ],
)
def test_the_token_comes_before_the_body(edge: Edge, headers: list[tuple[str, str]], status: int, code: str) -> None:
    answer = edge.call("POST", "/v1/kms/things?x=1", b"not even JSON", ("content-type", "text/html"), *headers)
    assert (answer.status, answer.code) == (status, code)
    assert edge.kms.acted == 0


def test_the_scheme_is_not_case_sensitive(edge: Edge) -> None:
    assert edge.call("GET", "/v1/kms/things", b"", ("authorization", "bEARER all")).status == 200


@pytest.mark.parametrize("given", ["a", "A-b_c.9", "x" * 128])
def test_a_correlation_id_is_echoed(edge: Edge, given: str) -> None:
    answers = [
        edge.call(method, path, b"", *headers, ("x-corr-id", given))
        for method, path, headers in [
            ("GET", "/v1/kms/things", [ALL]),
            ("GET", "/v1/kms/things", []),
            ("GET", "/nowhere", []),
            ("PUT", "/v1/kms/things", []),
            ("GET", "/openapi.json", []),
            ("GET", "/docs", []),
        ]
    ]
    assert [answer.headers["x-corr-id"] for answer in answers] == [given] * 6
    assert [answer.data["error"]["request_id"] for answer in answers[1:4]] == [given] * 3


@pytest.mark.parametrize("given", [None, "", "x" * 129, "a b", "a\r\nb", "\xe9", "a,b", "a\n"])
def test_a_malformed_or_absent_correlation_id_is_replaced(edge: Edge, given: str | None) -> None:
    headers = [] if given is None else [("x-corr-id", given)]
    assert UUID7.fullmatch(edge.get("/v1/kms/things", *headers).headers["x-corr-id"])


def test_two_correlation_ids_are_none(edge: Edge) -> None:
    headers = (("x-corr-id", "a"), ("x-corr-id", "b"))
    assert UUID7.fullmatch(edge.get("/v1/kms/things", *headers).headers["x-corr-id"])


def test_cache_age_is_a_header_where_there_is_one(edge: Edge) -> None:
    assert edge.post("/v1/kms/things", {"name": "cached"}).headers["x-kms-cache-age"] == "7"
    assert "x-kms-cache-age" not in edge.post("/v1/kms/things", {"name": "fresh"}).headers


def test_a_client_that_leaves_may_still_read(edge: Edge) -> None:
    """It may have closed its side only, and an application without an answer is a 500 to some servers."""
    for path, headers, status in [
        ("/v1/kms/things", [ALL, JSON], 400),
        ("/v1/kms/things", [], 401),
        ("/nowhere", [], 404),
        ("/docs", [], 200),
    ]:
        stream = Stream([*chunked(b"{", last=False), {"type": "http.disconnect"}])
        edge.run(edge.stream("POST" if headers else "GET", path, stream, *headers))
        assert stream.answer().status == status
    assert edge.app.traffic.inflight == 0


@pytest.mark.parametrize(("size", "pieces"), [(1000, 1), (20_000, 6), (500_000, 6)])
@pytest.mark.parametrize("whole", [False, True])
def test_a_large_answer_is_sent_in_pieces_where_a_server_needs_them(
    edge: Edge, size: int, pieces: int, whole: bool
) -> None:
    stream = Stream(chunked(msgspec.msgpack.encode({"name": "a", "data": bytes(size)})))
    extensions = {WHOLE_ANSWERS: {}} if whole else {}
    edge.run(edge.stream("POST", "/v1/kms/things", stream, ALL, MSGPACK, extensions=extensions))
    pieces = 1 if whole else pieces
    assert len(stream.sent) == 1 + pieces
    answer = stream.answer()
    assert answer.data["data"] == bytes(size)
    assert answer.headers["content-length"] == str(len(answer.content))
