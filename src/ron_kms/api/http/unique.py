"""A field given twice is refused: parsers differ in which one counts, and a proxy may have looked at the other.

msgspec takes the last one and says nothing. To parse every body a second time would cost more than to decide most
requests, so the body is compared with what was decoded, encoded again: a body without repetition has as many quotes, or
as many bytes of MessagePack. Only where that differs, for a default written out or a number written long, is it looked
at closely.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from ron_kms.api.http.headers import Format
from ron_kms.errors import BadRequest

_REPEATED = "a field is given more than once"
_encode_json = msgspec.json.Encoder().encode
_encode_msgpack = msgspec.msgpack.Encoder().encode


def refuse_repeated(format_: Format, content: bytes, decoded: msgspec.Struct) -> None:
    """To be asked of a body that was decoded without an error.

    :raises BadRequest: an object in it, at any depth, has a field twice.
    """
    if format_ == "json":
        if _quotes(content) != _quotes(_encode_json(decoded)):
            json.loads(content, object_pairs_hook=_members)
    elif len(content) != len(_encode_msgpack(decoded)):
        _Walk(content).value()


def _quotes(text: bytes) -> int:
    """How many quotes begin or end a string; two for each name and each text that the document holds."""
    if b"\\" in text:
        text = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    return text.count(b'"')


def _members(pairs: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in pairs}) != len(pairs):
        raise BadRequest(_REPEATED)


class _Walk:
    """Goes through a MessagePack document that is known to be well formed, and looks at the keys of its maps."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def value(self) -> None:
        """One value; the decoder that has read it before has bounded its depth."""
        tag = self._data[self._at]
        self._at += 1
        if tag in _MAPS or 0x80 <= tag <= 0x8F:
            self._map(tag & 0x0F if tag <= 0x8F else self._number(_MAPS[tag]))
        elif tag in _ARRAYS or 0x90 <= tag <= 0x9F:
            for _ in range(tag & 0x0F if tag <= 0x9F else self._number(_ARRAYS[tag])):
                self.value()
        elif 0xA0 <= tag <= 0xBF:
            self._at += tag & 0x1F
        elif tag in _SIZED:
            length = self._number(_SIZED[tag])
            self._at += length
        else:
            self._at += _FIXED.get(tag, 0)

    def _map(self, count: int) -> None:
        seen: set[bytes] = set()
        for _ in range(count):
            name = self._name()
            if name in seen:
                raise BadRequest(_REPEATED)
            seen.add(name)
            self.value()

    def _name(self) -> bytes:
        """A key, which is text: the decoder takes no other."""
        tag = self._data[self._at]
        self._at += 1
        length = tag & 0x1F if 0xA0 <= tag <= 0xBF else self._number(_SIZED[tag])
        name = self._data[self._at : self._at + length]
        self._at += length
        return name

    def _number(self, size: int) -> int:
        number = int.from_bytes(self._data[self._at : self._at + size])
        self._at += size
        return number


_MAPS = {0xDE: 2, 0xDF: 4}
_ARRAYS = {0xDC: 2, 0xDD: 4}
_SIZED = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}
"""Bytes of the length of binary data and text, by their tags."""
_FIXED = dict(zip(range(0xCA, 0xD9), (4, 8, 1, 2, 4, 8, 1, 2, 4, 8, 2, 3, 5, 9, 17), strict=True))
"""Bytes behind the tags of numbers and extensions of fixed size; other tags are values themselves."""
