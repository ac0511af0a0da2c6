"""Strict decoding, and messages that help without quoting what was sent."""

from __future__ import annotations

import asyncio
import gzip
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.api.drive import ALL, JSON, MSGPACK, Answer, Edge
from tests.counts import count

THINGS = "/v1/kms/things"
GOOD: dict[str, Any] = {
    "name": "a",
    "kind": "large",
    "data": b"12345",
    "size": 3,
    "labels": {"k": "v"},
    "extra": [1, {}],
}


def send(edge: Edge, body: bytes, header: tuple[str, str] = JSON, path: str = THINGS) -> Answer:
    return edge.call("POST", path, body, ALL, header)


@pytest.mark.parametrize(
    ("body", "hint"),
    [
        (b"{}", "Add the field"),
        (b'{"name":"a","nmae":1}', "mind its spelling"),
        (b'{"name":"a","data":"!"}', "base64 with padding"),
        (b'{"name":"a","data":1}', "base64 text"),
        (b'{"name":"a","kind":"other"}', "one of the values"),
        (b'{"name":', "one whole document"),
        (b'{"name":1}', "/openapi.json"),
    ],
)
def test_the_hint_says_what_to_do(edge: Edge, body: bytes, hint: str) -> None:
    assert hint in send(edge, body).data["error"]["hint"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the body is empty"),
        (b"{", "Input data was truncated"),
        (b"[]", "Expected `object`, got `array`"),
        (b'{"name":"a"} x', "JSON is malformed: trailing characters (byte 14)"),
        (b'{"name":"a"}{"name":"a"}', "JSON is malformed: trailing characters (byte 13)"),
        (b"\xef\xbb\xbf{}", "JSON is malformed: invalid character (byte 0)"),
        (b'{"name":"\xff"}', "a string in the body is not UTF-8"),
        (b'{"\xff":"a"}', "a string in the body is not UTF-8"),
        (b'{"name":"a","extra":' + b"[" * 200_000 + b"]" * 200_000 + b"}", "the body is nested too deep"),
        (b'{"name":"a","extra":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"}", "the body is nested too deep"),
        (b"{}", "Object missing required field `name`"),
        (b'{"name":1}', "Expected `str`, got `int` - at `$.name`"),
        (b'{"name":"a","size":"1"}', "Expected `int`, got `str` - at `$.size`"),
        (b'{"name":"a","size":1.5}', "Expected `int`, got `float` - at `$.size`"),
        (b'{"name":"a","size":1001}', "Expected `int` <= 1000 - at `$.size`"),
        (b'{"name":"a","data":"!"}', "Invalid base64 encoded string - at `$.data`"),
        (
            b'{"name":"a","labels":{"SECRET":"' + b"SECRET" * 9 + b'"}}',
            "Expected `str` of length <= 16 - at `$.labels[...]`",
        ),
        (b'{"name":"a","SECRET!":1}', "Object contains unknown field `?`"),
        (b'{"name":"a","%s":1}' % (b"SECRET" * 9), "Object contains unknown field `?`"),
        (b'{"name":"a","nmae":1}', "Object contains unknown field `nmae`"),
        (b'{"name":"a","x` - at `$.SECRET":1}', "Object contains unknown field `?`"),
        (b'{"name":"a","kind":"SECRET"}', "Invalid value - at `$.kind`"),
        (b'{"name":"a","kind":"SECRET - at `$.SECRET`"}', "Invalid value - at `$.kind`"),
        (b'{"name":"a","extra":NaN}', None),
        (b'{"name":"a","extra":1e999}', None),
        (b'{"name":"a","extra":"\\ud800"}', None),
        (b'{"name":"a",}', None),
        (b"{'name':'a'}", None),
        (b'{"name":"a","extra":01}', None),
        (b'{"name":"SECRET"}', None),
    ],
)
def test_malformed_json_is_refused_with_what_and_where(edge: Edge, body: bytes, message: str | None) -> None:
    answer = send(edge, body)
    assert (answer.status, answer.code) == (400, "BadRequest")
    assert message is None or answer.message == message
    assert b"SECRET" not in answer.content


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the body is empty"),
        (b"\xc1", None),
        (b"\x81\xa4name\xa1a\x80", "MessagePack data is malformed: trailing characters (byte 8)"),
        (b"\x81\x01\x01", "Expected `str`, got `int` - at `key` in `$`"),
        (b"\x81\xa4name\xa1\xff", "a string in the body is not UTF-8"),
        (b"\x81\xa4name\xc4\x01a", "Expected `str`, got `bytes` - at `$.name`"),
        (b"\x82\xa4name\xa1a\xa4data\xa4YQ==", "Expected `bytes`, got `str` - at `$.data`"),
        (b"\x82\xa4name\xa1a\xa5extra" + b"\x91" * 100_000, "the body is nested too deep"),
        (b"\x82\xa4name\xa1a\xa5extra\xdd\xff\xff\xff\xff", "Input data was truncated"),
        (b"\x82\xa4name\xa1a\xa5extra\xdf\xff\xff\xff\xff", "Input data was truncated"),
        (b"\x82\xa4name\xa1a\xa5extra\xc6\xff\xff\xff\xff", "Input data was truncated"),
        (b"\x82\xa4name\xa1a\xa5extra\x81\x81\x01\x01\x01", None),
        (b"\x82\xa4name\xa1a\xa5extra\xc7\x0c\xff" + b"\xff" * 12, None),
    ],
)
def test_malformed_messagepack_is_refused(edge: Edge, body: bytes, message: str | None) -> None:
    answer = send(edge, body, MSGPACK)
    assert answer.headers["content-type"] == "application/msgpack"
    assert (answer.status, answer.code) == (400, "BadRequest")
    assert message is None or answer.message == message


def test_a_batch_beyond_its_items_is_too_large(edge: Edge) -> None:
    for size, status in ((1024, 200), (1025, 413)):
        body = msgspec.json.encode({"items": [{"name": "a"}] * size})
        answer = send(edge, body, path="/v1/kms/things:batch")
        assert answer.status == status


def test_json_and_messagepack_decode_alike(edge: Edge) -> None:
    json = send(edge, msgspec.json.encode(GOOD))
    packed = send(edge, msgspec.msgpack.encode(GOOD), MSGPACK)
    assert msgspec.json.decode(json.content, type=dict[str, Any] | None) == {**packed.data, "data": "MTIzNDU="}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@st.composite
def spoiled(draw: st.DrawFn, encode: Any) -> bytes:
    """A valid body with a few bytes changed, cut out or put in, or a field replaced by whatever."""
    data = dict(GOOD)
    for name in draw(st.lists(st.sampled_from([*GOOD, "other"]), max_size=2)):
        data[name] = draw(json_values)
    body = bytearray(encode(data))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(body)))
        what = draw(st.sampled_from(["change", "cut", "insert"]))
        if what == "insert":
            body[at:at] = draw(st.binary(max_size=4))
        else:
            body[at : at + draw(st.integers(1, 6))] = draw(st.binary(max_size=2)) if what == "change" else b""
    return bytes(body)


def encode_json(data: Any) -> bytes:
    return msgspec.json.encode(data)


@settings(max_examples=count(250, 5000))
@given(body=st.binary() | spoiled(encode_json), header=st.sampled_from((JSON, MSGPACK)), packed=st.booleans())
def test_no_json_body_is_our_fault(body: bytes, header: tuple[str, str], packed: bool) -> None:
    check_never_ours(body, header, packed)


@settings(max_examples=count(250, 5000))
@given(body=spoiled(msgspec.msgpack.encode), packed=st.booleans())
def test_no_messagepack_body_is_our_fault(body: bytes, packed: bool) -> None:
    check_never_ours(body, MSGPACK, packed)


def check_never_ours(body: bytes, header: tuple[str, str], packed: bool) -> None:
    with asyncio.Runner() as runner:
        edge = Edge(runner)
        headers = [ALL, header]
        if packed:
            body = gzip.compress(body, mtime=0)
            headers.append(("content-encoding", "gzip"))
        for path in (THINGS, "/v1/kms/things:batch"):
            answer = edge.call("POST", path, body, *headers)
            assert answer.status in (200, 201, 400, 413)
            assert answer.status < 300 or answer.message.isprintable()


def test_a_long_value_is_refused_without_being_searched(edge: Edge) -> None:
    """msgspec quotes a wrong value whole in its message, up to the size of a body."""
    answer = edge.post("/v1/kms/things", {"name": "a", "kind": "x" * 500_000})
    assert answer.status == 400
    assert answer.data["error"]["message"] == "Invalid value or unknown field"
