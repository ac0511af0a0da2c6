"""Header decoding that remembers the last long values of a connection.

Clients send ``authorization`` as a literal that is never indexed (RFC 7541, 7.1.3), Huffman-coded, with every request.
Decoding a token in Python takes longer than signing, and on one connection it is nearly always the same token.
"""

from __future__ import annotations

from hpack.hpack import Decoder, decode_integer
from hpack.huffman_table import decode_huffman
from hpack.struct import HeaderTuple, NeverIndexedHeaderTuple

_REMEMBERED = 2
_SHORTEST = 64
_LONGEST = 6 * 1024


class RememberingDecoder(Decoder):
    """hpack's decoder, with at most two coded values and what they mean; they go with the connection."""

    def __init__(self, max_header_list_size: int) -> None:
        super().__init__(max_header_list_size)
        self._values: dict[bytes, bytes] = {}

    def _decode_literal_no_index(self, data: bytes | memoryview) -> tuple[HeaderTuple, int]:
        raw = bytes(data)
        name_index, begin = decode_integer(raw, 4)
        if name_index == 0 or begin == len(raw) or not raw[begin] & 0x80:
            return super()._decode_literal_no_index(raw)
        length, consumed = decode_integer(raw[begin:], 7)
        begin += consumed
        end = begin + length
        if not _SHORTEST <= length <= _LONGEST or end > len(raw):
            return super()._decode_literal_no_index(raw)
        coded = raw[begin:end]
        value = self._values.get(coded)
        if value is None:
            value = decode_huffman(coded)
            if len(self._values) == _REMEMBERED:
                del self._values[next(iter(self._values))]
            self._values[coded] = value
        kind = NeverIndexedHeaderTuple if raw[0] & 0x10 else HeaderTuple
        return kind(self.header_table.get_by_index(name_index)[0], value), end
