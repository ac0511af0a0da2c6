"""Our decoder and encoder are hpack's, only faster."""

from __future__ import annotations

import gc
import tracemalloc
from itertools import zip_longest
from typing import Any

import pytest
from hpack import Decoder, Encoder
from hpack.exceptions import HPACKError
from hpack.struct import HeaderTuple, NeverIndexedHeaderTuple
from hypothesis import given
from hypothesis import strategies as st

from ron_kms.server.guards.headers import LiteralEncoder, RememberingDecoder

NAMES = st.sampled_from([b"authorization", b"cookie", b"x-anything", b":path", b"date"])
VALUES = st.one_of(st.binary(max_size=200), st.sampled_from([b"Bearer " + b"a" * 300, b"Bearer " + b"b" * 300]))
KINDS = st.sampled_from([HeaderTuple, NeverIndexedHeaderTuple])
LISTS = st.lists(st.lists(st.builds(lambda kind, name, value: kind(name, value), KINDS, NAMES, VALUES)), max_size=8)


@given(LISTS, st.booleans())
def test_it_decodes_what_hpack_decodes(lists: list[list[HeaderTuple]], huffman: bool) -> None:
    encoder, plain, remembering = Encoder(), Decoder(2**16), RememberingDecoder(2**16)
    for headers in lists:
        block = encoder.encode(headers, huffman=huffman)
        expected = plain.decode(block, raw=True)
        found = remembering.decode(block, raw=True)
        assert found == expected == headers
        assert [type(header) for header in found] == [type(header) for header in expected]


@given(
    st.lists(st.lists(st.tuples(KINDS, NAMES, VALUES), min_size=1, max_size=4), min_size=1, max_size=3),
    st.lists(st.tuples(st.integers(0, 2), st.sampled_from([None, None, None, 0, 100, 4096])), max_size=30),
)
def test_blocks_that_come_again_mean_what_they_mean_now(
    pool: list[list[tuple[type, bytes, bytes]]], turns: Any
) -> None:
    """Also when the table that they refer to has changed meanwhile."""
    encoder, plain, remembering = Encoder(), Decoder(2**16), RememberingDecoder(2**16)
    for which, size in turns:
        if size is not None:
            encoder.header_table_size = size
        headers = [kind(name, value) for kind, name, value in pool[which % len(pool)]]
        block = encoder.encode(headers)
        assert remembering.decode(block, raw=True) == plain.decode(block, raw=True) == headers


def test_the_same_bytes_after_the_table_has_changed() -> None:
    encoder, decoder = Encoder(), RememberingDecoder(2**16)
    first = [HeaderTuple(b"x-one", b"1")]
    decoder.decode(encoder.encode(first), raw=True)
    indexed = encoder.encode(first)
    assert decoder.decode(indexed, raw=True) is decoder.decode(indexed, raw=True)
    decoder.decode(encoder.encode([HeaderTuple(b"x-two", b"2")]), raw=True)
    assert decoder.decode(indexed, raw=True) == [(b"x-two", b"2")], "the newest entry has that index now"


@given(LISTS, st.lists(st.sampled_from([0, 64, 4096]), max_size=8))
def test_what_it_encodes_hpack_decodes(lists: list[list[HeaderTuple]], sizes: list[int]) -> None:
    encoder, decoder = LiteralEncoder(), Decoder(2**16)
    for headers, size in zip_longest(lists, sizes):
        if size is not None:
            encoder.header_table_size = size
            decoder.max_allowed_table_size = size
        pairs = [(b":status", b"200"), *(tuple(header) for header in headers or [])]
        assert decoder.decode(encoder.encode(pairs), raw=True) == pairs


@given(st.lists(st.binary(max_size=150), max_size=5))
def test_it_fails_where_hpack_fails(blocks: list[bytes]) -> None:
    plain, remembering = Decoder(2**12), RememberingDecoder(2**12)
    for block in blocks:
        try:
            expected = plain.decode(block, raw=True)
        except (HPACKError, IndexError):
            with pytest.raises((HPACKError, IndexError)):
                remembering.decode(block, raw=True)
            return
        assert remembering.decode(block, raw=True) == expected


@given(st.binary(min_size=300, max_size=300), st.integers(0, 320))
def test_blocks_that_are_cut_off(value: bytes, cut: int) -> None:
    block = Encoder().encode([NeverIndexedHeaderTuple(b"authorization", value)], huffman=True)[:cut]
    outcomes = []
    for decoder in (Decoder(2**16), RememberingDecoder(2**16)):
        try:
            outcomes.append(repr(decoder.decode(block, raw=True)))
        except (HPACKError, IndexError):
            outcomes.append("refused")
    assert outcomes[0] == outcomes[1]


def test_it_remembers_little() -> None:
    encoder, decoder = Encoder(), RememberingDecoder(2**16)
    for number in range(100):
        headers = [NeverIndexedHeaderTuple(b"authorization", b"token %d " % number + b"x" * 200)] * 3
        assert decoder.decode(encoder.encode(headers), raw=True) == headers
    assert len(decoder._values) == len(decoder._blocks) == 16
    for number in range(8):
        decoder.decode(
            encoder.encode([NeverIndexedHeaderTuple(b"cookie", bytes((65 + number,)) * 4000)], huffman=False)
        )
    assert sum(map(len, decoder._blocks)) <= 24 * 1024


def test_what_it_remembers_takes_little_memory_however_many_fields_it_has() -> None:
    """A field takes one byte of a block, and a hundred as what it means."""
    decoder = RememberingDecoder(2**14)
    decoder.decode(b"\x40\x01x\x7f\x91\x02" + bytes(400), raw=True)  # the table has a long value now
    tracemalloc.start()
    try:
        for number in range(16):
            few = bytes((0x0F, 0x04, 0x01, 65 + number))
            decoder.decode(few + b"\x0f\x04\x01x" * 400, raw=True)
            decoder.decode(few + b"\xbe" * 30, raw=True)
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] < 100_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("size", [0, 4096])
def test_a_block_that_leaves_the_table_as_it_was_is_decoded_once(size: int) -> None:
    """As one that wants its literals indexed in a table of size 0, where there is no room for them."""
    decoder = RememberingDecoder(2**16)
    fresh = Encoder()
    fresh.header_table_size = size
    kind = HeaderTuple if size == 0 else NeverIndexedHeaderTuple
    block = fresh.encode([kind(b"x-one", b"1")])
    first = decoder.decode(block, raw=True)
    again = decoder.decode(block, raw=True)
    assert again == first
    assert decoder.decode(block, raw=True) is again
