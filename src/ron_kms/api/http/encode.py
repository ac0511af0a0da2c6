"""From answers to bytes, in each format."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from msgspec import inspect

from ron_kms.api.http.headers import Format
from ron_kms.service.operation import File

Encode = dict[Format, Callable[[Any], bytes]]

_pack = msgspec.msgpack.Encoder().encode

ENCODE: Encode = {"json": msgspec.json.Encoder().encode, "msgpack": _pack}
"""For types without times."""


def encoders(type_: type[msgspec.Struct]) -> Encode:
    """The encoders for one type of answer.

    Times are RFC 3339 text in both formats; MessagePack's own type for them would need a reader that knows it.
    """
    if type_ is File:
        return {"json": _content, "msgpack": _content}
    if any(isinstance(node, inspect.DateTimeType) for node in _nodes(inspect.type_info(type_), set())):
        return {**ENCODE, "msgpack": _pack_with_times}
    return ENCODE


def _content(file: File) -> bytes:
    return file.content


def _pack_with_times(answer: msgspec.Struct) -> bytes:
    return _pack(msgspec.to_builtins(answer, builtin_types=(bytes,)))


def _nodes(node: inspect.Type, seen: set[type]) -> Iterator[inspect.Type]:
    """A type and all types inside it; each Struct once."""
    yield node
    if isinstance(node, inspect.StructType):
        if node.cls in seen:
            return
        seen.add(node.cls)
        inside = [field.type for field in node.fields]
    else:
        parts = [getattr(node, name) for name in node.__struct_fields__]
        inside = [part for group in parts for part in (group if isinstance(group, tuple) else (group,))]
    for part in inside:
        if isinstance(part, inspect.Type):
            yield from _nodes(part, seen)
