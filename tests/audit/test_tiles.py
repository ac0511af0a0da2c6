"""Paths of tiles and bundles of records."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ron_kms.audit.tiles import ENTRIES, MAX_BUNDLE, Place, decode_bundle, encode_bundle, parse, path
from ron_kms.errors import Malformed

PLACES = st.builds(Place, st.integers(0, 63) | st.just(ENTRIES), st.integers(0, 2**63), st.integers(1, 256))


@pytest.mark.parametrize(
    ("place", "text"),
    [
        (Place(0, 0, 256), "tile/0/000"),
        (Place(0, 999, 256), "tile/0/999"),
        (Place(0, 1000, 256), "tile/0/x001/000"),
        (Place(0, 1234067, 256), "tile/0/x001/x234/067"),
        (Place(63, 5, 255), "tile/63/005.p/255"),
        (Place("entries", 273, 112), "tile/entries/273.p/112"),
    ],
)
def test_paths_as_the_standard_writes_them(place: Place, text: str) -> None:
    assert path(*place) == text
    assert parse(text) == place


@given(PLACES)
def test_each_place_has_one_path(place: Place) -> None:
    assert parse(path(*place)) == place


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tile/0/0",
        "tile/00/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/0/x000/001",
        "tile/0/001/002",
        "tile/0/x001/x002",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p/257",
        "tile/0/000\n",
        "tile/0/\u0661\u0661\u0661",
        "tile/entries/../000",
        "/tile/0/000",
        "tile/0/" + "x999/" * 200 + "000",
        "checkpoint",
    ],
)
def test_other_paths_are_refused(text: str) -> None:
    with pytest.raises(Malformed):
        parse(text)


@given(st.text(max_size=40))
def test_any_text_is_a_path_or_refused(text: str) -> None:
    with pytest.raises(Malformed):
        parse(text)


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=256))
def test_bundles_there_and_back(records: list[bytes]) -> None:
    data = encode_bundle(records)
    assert decode_bundle(data, len(records)) == records
    assert len(data) <= MAX_BUNDLE


@given(st.binary(max_size=200), st.integers(0, 256))
def test_any_bytes_are_a_bundle_or_refused(data: bytes, width: int) -> None:
    try:
        records = decode_bundle(data, width)
    except Malformed:
        return
    assert encode_bundle(records) == data
    assert len(records) == width


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "ends at byte 0, after 0 of 2 records"),
        (b"\x00\x01a", "ends at byte 3, after 1 of 2 records"),
        (b"\x00\x01a\x00\x02b", "ends at byte 6, within record 2 of 2"),
        (b"\x00\x01a\x00\x00", "the record at byte 3 is said to have 0 bytes"),
        (b"\x00\x01a\xff\xff", "the record at byte 3 is said to have 65535 bytes"),
        (b"\x00\x01a\x00\x01bc", "1 bytes after its 2 records, from byte 6"),
    ],
)
def test_what_is_wrong_with_a_bundle_is_said(data: bytes, message: str) -> None:
    with pytest.raises(Malformed, match=message):
        decode_bundle(data, 2)
