"""Header coding that does not do the same work with every request.

Coding headers in Python takes longer than signing. A client that has sent a few requests sends the same block of bytes
again and again, for what changes between them is in the body; and ``authorization`` comes as a literal that is never
indexed (RFC 7541, 7.1.3), Huffman-coded, even where the rest differs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any, TypeVar

from hpack.hpack import Decoder, Encoder, decode_integer, encode_integer
from hpack.huffman_table import decode_huffman
from hpack.struct import HeaderTuple, NeverIndexedHeaderTuple
from hpack.table import HeaderTable

V = TypeVar("V")

_REMEMBERED = 16
_REMEMBERED_BYTES = 48 * 1024
_FIELD_BYTES = 256
"""Of a field of a remembered block beside its text: its objects, in the block and in the request made of it."""
_SHORTEST = 64
_LONGEST = 6 * 1024
_NAMES = 64


class Block(list[Any]):
    """A decoded header block, and what was made of it since; nobody changes it.

    :ivar validated: the same when it was found to be a request's.
    :ivar request: what an application is told of it.
    :ivar body_size: of the body that it announces, if it does.
    """

    __slots__ = ("body_size", "request", "validated")

    def __init__(self, headers: Iterable[Any]) -> None:
        super().__init__(headers)
        self.validated: Block | None = None
        self.request: Any = None
        self.body_size: int | None = None


class RememberingDecoder(Decoder):
    """hpack's decoder, with some blocks of bytes and what they mean, and some long values; they go with the connection.

    A block is remembered where the table that it may refer to is after it what it was before it, and all are forgotten
    when that is changed. So it does not matter how a client codes what it always sends: by the table, as literals, or
    as literals that it wants indexed in a table of size 0.
    """

    def __init__(self, max_header_list_size: int) -> None:
        super().__init__(max_header_list_size)
        self._blocks: _Memory[Block] = _Memory()
        self._values: _Memory[bytes] = _Memory()

    def known(self, data: bytes) -> Block | None:
        """What a block means that was found to be a request's, if it is remembered and means the same still."""
        block = self._blocks.get(data)
        return None if block is None else block.validated

    def decode(self, data: bytes | memoryview, raw: bool = False) -> Block:
        data = bytes(data)
        known = self._blocks.get(data)
        if known is not None:
            return known
        table = self.header_table
        before = table.maxsize, *table.dynamic_entries
        block = Block(super().decode(data, raw))
        if before != (table.maxsize, *table.dynamic_entries):
            self._blocks.clear()
        else:
            # By what it means: some kilobytes can stand for a hundred times as much.
            size = sum([len(name) + len(value) for name, value in block]) + _FIELD_BYTES * len(block)
            self._blocks.put(data, block, len(data) + size)
        return block

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
            self._values.put(coded, value, len(coded) + len(value))
        kind = NeverIndexedHeaderTuple if raw[0] & 0x10 else HeaderTuple
        return kind(self.header_table.get_by_index(name_index)[0], value), end


class _Memory(dict[bytes, V]):
    """What some bytes mean; the oldest makes room."""

    def __init__(self) -> None:
        super().__init__()
        self._sizes: deque[int] = deque()
        self._size = 0

    def put(self, data: bytes, meaning: V, size: int) -> None:
        """:param data: not there yet.
        :param size: what it takes.
        """
        if len(data) > _LONGEST or size > _REMEMBERED_BYTES:
            return
        self[data] = meaning
        self._sizes.append(size)
        self._size += size
        while self._size > _REMEMBERED_BYTES or len(self) > _REMEMBERED:
            del self[next(iter(self))]
            self._size -= self._sizes.popleft()

    def clear(self) -> None:
        super().clear()
        self._sizes.clear()
        self._size = 0


class LiteralEncoder(Encoder):
    """hpack's encoder without a table of its own: our answers have few headers, and one that is different each time.

    Literals are not Huffman-coded: that saves a third of a hundred bytes and takes microseconds.
    """

    def encode(self, headers: Iterable[Any], huffman: bool = True) -> bytes:  # noqa: ARG002 - h2 asks for it
        parts = []
        if self.table_size_changes:
            # Not by the table's own flag: that is forgotten where a size is set once more.
            parts.append(self._encode_table_size_change())
        for field in headers:
            coded = _always.get(field)
            if coded is None:
                name, value = field
                coded = _coded(name, value)
                if name in _CONSTANT and len(_always) < _NAMES:
                    _always[name, value] = coded
            parts.append(coded)
        return b"".join(parts)


_always: dict[tuple[bytes, bytes], bytes] = {}
"""The fields of answers that are the same in most, coded; those in ``_CONSTANT`` alone, whose values are few."""
_CONSTANT = frozenset((b":status", b"content-type", b"cache-control", b"x-content-type-options", b"vary"))

_static = HeaderTable.STATIC_TABLE_MAPPING
_prefixes: dict[bytes, bytes] = {}
"""How a literal with a name begins (RFC 7541, 6.2.2), for the few names that answers have."""


def _coded(name: bytes, value: bytes) -> bytes:
    found = _static.get(name)
    if found is not None and (index := found[1].get(value)) is not None and value:
        return bytes((0x80 | index,))
    prefix = _prefixes.get(name)
    if prefix is None:
        if found is not None:
            prefix = bytes(encode_integer(found[0], 4))
        else:
            prefix = b"\0" + bytes(encode_integer(len(name), 7)) + name
        if len(_prefixes) < _NAMES:
            _prefixes[name] = prefix
    size = len(value)
    return prefix + (bytes((size,)) if size < 127 else bytes(encode_integer(size, 7))) + value
