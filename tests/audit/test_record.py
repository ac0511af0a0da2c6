"""Records: one encoding each, and clear errors for anything else."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ron_kms.audit.record import MAX_RECORD, Record, decode, encode
from ron_kms.errors import Malformed

SIGNED = Record(
    op_id=None,
    request_id="req-1",
    tenant="core",
    actor="tok-1",
    kid="core/audit/0190a5c8-1234-7abc-8def-0123456789ab#v1",
    operation="sign",
    suite="ed25519",
    digest=bytes(range(32)),
    time=1_790_000_000_000_000,
    result="ok",
    reason=None,
    attestation="none",
    count=1,
    failures=0,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
RECORDS = st.builds(
    Record,
    op_id=st.none() | TEXT,
    request_id=TEXT,
    tenant=st.none() | TEXT,
    actor=TEXT,
    kid=st.none() | TEXT,
    operation=TEXT,
    suite=st.none() | TEXT,
    digest=st.none() | st.binary(min_size=32, max_size=32),
    time=st.integers(0, 2**63 - 1),
    result=TEXT,
    reason=st.none() | TEXT,
    attestation=TEXT,
    count=st.integers(1024, 2**32),
    failures=st.integers(0, 1024),
)


def test_the_bytes_are_these_and_stay_these() -> None:
    """A change of this test is a change of the format, and needs a new version byte."""
    assert encode(SIGNED).hex() == (
        "019ec0a5" + b"req-1".hex() + "a4" + b"core".hex() + "a5" + b"tok-1".hex()
        + "d932" + b"core/audit/0190a5c8-1234-7abc-8def-0123456789ab#v1".hex()
        + "a4" + b"sign".hex() + "a7" + b"ed25519".hex()
        + "c420" + bytes(range(32)).hex()
        + "cf" + (1_790_000_000_000_000).to_bytes(8, "big").hex()
        + "a2" + b"ok".hex() + "c0" + "a4" + b"none".hex() + "01" + "00"
    )  # fmt: skip


@given(RECORDS)
def test_there_and_back(record: Record) -> None:
    assert decode(encode(record)) == record


@given(st.binary(max_size=300))
@example(b"")
@example(b"\x01")
@example(b"\x02" + encode(SIGNED)[1:])
@example(b"\x01" + b"\x91" * 4000)
@example(b"\x01\xdd\xff\xff\xff\xff")
@example(b"\x01\x9e\xc6\xff\xff\xff\xff")
def test_any_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        decode(data)


@given(st.data())
def test_a_changed_byte_is_another_record_or_none(data: st.DataObject) -> None:
    original = encode(SIGNED)
    at, value = data.draw(st.integers(0, len(original) - 1)), data.draw(st.integers(0, 255))
    changed = original[:at] + bytes((value,)) + original[at + 1 :]
    try:
        record = decode(changed)
    except Malformed:
        return
    assert (record == SIGNED) == (changed == original)
    assert encode(record) == changed


def packed(**changes: object) -> bytes:
    fields = {name: getattr(SIGNED, name) for name in SIGNED.__struct_fields__} | changes
    return b"\x01" + msgspec.msgpack.encode(list(fields.values()))


@pytest.mark.parametrize(
    "data",
    [
        packed() + b"\x00",
        packed(more=1),
        b"\x01" + msgspec.msgpack.encode([1] * 13),
        packed(digest=bytes(31)),
        packed(digest=bytes(33)),
        packed(digest="a" * 32),
        packed(time=-1),
        packed(count=True),
        packed(failures=2),
        packed(request_id=None),
        packed().replace(b"\xa5req-1", b"\xd9\x05req-1"),
        packed().replace(b"\xa5req-1", b"\xa5req-\xff"),
        b"\x01" + msgspec.msgpack.encode({"op_id": None}),
    ],
)
def test_what_is_no_record(data: bytes) -> None:
    with pytest.raises(Malformed):
        decode(data)


def test_a_later_version_is_named() -> None:
    with pytest.raises(Malformed, match="the version byte is 2"):
        decode(b"\x02" + encode(SIGNED)[1:])


def test_a_record_is_bounded_both_ways() -> None:
    room = MAX_RECORD - len(encode(SIGNED))
    largest = msgspec.structs.replace(SIGNED, request_id="r" * (room + 5 - 2))
    assert len(encode(largest)) == MAX_RECORD
    assert decode(encode(largest)) == largest
    with pytest.raises(Malformed, match="at most 4096 bytes"):
        encode(msgspec.structs.replace(largest, actor="longer"))
    with pytest.raises(Malformed, match="at most 4096 bytes"):
        decode(bytes(MAX_RECORD + 1))
