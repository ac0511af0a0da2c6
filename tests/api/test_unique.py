"""Fields given twice are refused, in every form a client may write them in."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ron_kms.api.http.headers import Format
from ron_kms.api.http.unique import refuse_repeated
from ron_kms.errors import BadRequest
from ron_kms.service.create import CreateRequest
from ron_kms.service.sign import SignBatchRequest, SignRequest

KID = "core/audit/01932c07-209c-7e1b-8f31-2f1c4c0d5f1a"
DIGEST = "A" * 43 + "="


def refused(type_: type[msgspec.Struct], content: bytes, format_: Format = "json") -> bool:
    decode = msgspec.json.decode if format_ == "json" else msgspec.msgpack.decode
    decoded = decode(content, type=type_)
    try:
        refuse_repeated(format_, content, decoded)
    except BadRequest:
        return True
    return False


@pytest.mark.parametrize(
    "body",
    [
        '{"kid":"%(kid)s","kid":"%(kid)s","digest":"%(digest)s"}',
        '{"kid":"x","digest":"%(digest)s","kid":"%(kid)s"}',
        '{"kid":"%(kid)s","digest":"%(digest)s","\\u006bid":"%(kid)s"}',
        '{"\\u006bid":"%(kid)s","digest":"%(digest)s","\\u006bid":"%(kid)s"}',
        '{"kid":"%(kid)s","digest":"%(digest)s","policy":{"mode":"or","mode":"and"}}',
        ' {\n"kid" : "a\\"b" , "digest":"%(digest)s","kid" :"%(kid)s"}',
        '{"kid":"\\u0022\\u0022","digest":"%(digest)s","kid":"\\u0022\\u0022"}',
    ],
)
def test_a_single_request(body: str) -> None:
    assert refused(SignRequest, (body % {"kid": KID, "digest": DIGEST}).encode())


@pytest.mark.parametrize(
    "body",
    [
        '{"kid":"%(kid)s","digest":"%(digest)s"}',
        '{ "digest" : "%(digest)s" ,\t"\\u006bid":"%(kid)s"}',
        '{"kid":"a\\\\","digest":"%(digest)s"}',
        '{"kid":"\\"\\\\\\"","digest":"%(digest)s"}',
        '{"kid":"a\\/b\\u00e9","digest":"%(digest)s","policy":{"mode":"or"}}',
    ],
)
def test_what_is_written_unusually_is_taken(body: str) -> None:
    assert not refused(SignRequest, (body % {"kid": KID, "digest": DIGEST}).encode())


def test_batches_and_labels() -> None:
    item = f'{{"digest":"{DIGEST}"}}'
    twice = f'{{"digest":"{DIGEST}","digest":"{DIGEST}"}}'
    assert not refused(SignBatchRequest, f'{{"kid":"{KID}","items":[{item},{item}]}}'.encode())
    assert refused(SignBatchRequest, f'{{"kid":"{KID}","items":[{item},{twice}]}}'.encode())
    assert refused(SignBatchRequest, f'{{"kid":"{KID}","items":[{item}],"items":[{item}]}}'.encode())
    create = '{"tenant":"a","purpose":"b","use":"sign"%s}'
    for more, bad in (
        ("", False),
        (',"raw_messages":false', False),
        (',"labels":{}', False),
        (',"labels":{"a":"1","b":"2"},"raw_messages":true', False),
        (',"labels":{"a":"1","a":"1"}', True),
        (',"raw_messages":false,"raw_messages":false', True),
        (',"raw_messages":true,"raw_messages":false', True),
    ):
        assert refused(CreateRequest, (create % more).encode()) is bad, more


def test_messagepack() -> None:
    good = msgspec.msgpack.encode({"kid": KID, "digest": b"d" * 32})
    assert not refused(SignRequest, good, "msgpack")
    key = b"\xa3kid" + msgspec.msgpack.encode(KID)
    assert refused(SignRequest, b"\x83" + good[1:] + key, "msgpack")
    long_key = b"\xd9\x03kid" + msgspec.msgpack.encode(KID)
    assert refused(SignRequest, b"\xde\x00\x03" + good[1:] + long_key, "msgpack")
    assert not refused(SignRequest, b"\xdf\x00\x00\x00\x02" + good[1:], "msgpack"), "a length written long is no fault"


fields = st.fixed_dictionaries(
    {"tenant": st.text(max_size=9), "purpose": st.text(max_size=9), "use": st.sampled_from(["sign", "wrap", "seal"])},
    optional={
        "raw_messages": st.booleans(),
        "labels": st.dictionaries(st.text(max_size=6), st.text(max_size=6), max_size=4),
        "op_id": st.none() | st.text(max_size=6),
    },
)


class Loose(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """As a request to create a key, without the limits of its fields."""

    tenant: str
    purpose: str
    use: str
    raw_messages: bool = False
    labels: dict[str, str] = {}
    op_id: str | None = None


@given(fields, st.booleans(), st.sampled_from([None, (",", ":"), (" , ", " :\n")]))
def test_nothing_that_is_unique_is_refused(content: dict[str, Any], escaped: bool, separators: Any) -> None:
    written = json.dumps(content, ensure_ascii=escaped, separators=separators).encode("utf-8", "surrogatepass")
    assert not refused(Loose, written)
    assert not refused(Loose, msgspec.msgpack.encode(content), "msgpack")


@given(fields, st.data())
def test_whatever_is_repeated_is_refused(content: dict[str, Any], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(content)))
    pairs = [*content.items(), (name, content[name])]
    order = data.draw(st.permutations(pairs))
    written = "{" + ",".join(f"{json.dumps(key)}:{json.dumps(value)}" for key, value in order) + "}"
    assert refused(Loose, written.encode())
    packed = b"".join(msgspec.msgpack.encode(part) for pair in order for part in pair)
    assert refused(Loose, bytes((0x80 | len(order),)) + packed, "msgpack")
