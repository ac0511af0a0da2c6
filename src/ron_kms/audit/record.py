"""One record of the audit log, and its bytes, which are a leaf of the tree.

The form is stable: the version byte 0x01, then one MessagePack array of the fields of :class:`Record` in their order,
each in its shortest encoding. One record has exactly one encoding; bytes that would be written otherwise are refused.
Another form gets another version byte, and this one stays readable.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from ron_kms.errors import Malformed

MAX_RECORD = 4096
"""Bytes of an encoded record."""
VERSION = 0x01

_VERSION = bytes((VERSION,))
_Count = Annotated[int, Meta(ge=0)]
_Digest = Annotated[bytes, Meta(min_length=32, max_length=32)]


class Record(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, gc=False):
    """What one operation did, or what a batch did with one key.

    :ivar op_id: the caller's own name of the operation, if it gave one.
    :ivar request_id: of the request that asked for it.
    :ivar tenant: whose key it was; None where an operation concerns no tenant.
    :ivar actor: the id of the token.
    :ivar kid: with its version; None where an operation concerns no key.
    :ivar operation: its name in the API, such as ``sign``.
    :ivar suite: of that version.
    :ivar digest: 32 bytes. One item: BLAKE3 of what was signed or verified, of the ciphertext where one was made or
        opened, of the public keys joined where a key was changed. A batch: the RFC 6962 root over its items' digests.
    :ivar time: microseconds since 1970, UTC.
    :ivar result: ``ok``, or the code of the error.
    :ivar reason: more of a refusal's cause, such as ``pq_policy``.
    :ivar attestation: what vouches for where the key is kept; ``none`` for software.
    :ivar count: the items.
    :ivar failures: how many of them failed.
    """

    op_id: str | None
    request_id: str
    tenant: str | None
    actor: str
    kid: str | None
    operation: str
    suite: str | None
    digest: _Digest | None
    time: _Count
    result: str
    reason: str | None
    attestation: str
    count: _Count
    failures: _Count


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Record).decode


def encode(record: Record) -> bytes:
    """The bytes of a record, at most :data:`MAX_RECORD`.

    :raises Malformed: they are more.
    """
    data = _VERSION + _encode(record)
    if len(data) > MAX_RECORD:
        raise Malformed(f"a record has at most {MAX_RECORD} bytes, not {len(data)}")
    return data


def decode(data: bytes) -> Record:
    """Read what :func:`encode` wrote, and nothing else.

    :raises Malformed: it is not a record, or one of a later version.
    """
    if len(data) > MAX_RECORD:
        raise Malformed(f"a record has at most {MAX_RECORD} bytes, not {len(data)}")
    if data[:1] != _VERSION:
        found: int | Literal["none"] = data[0] if data else "none"
        raise Malformed(f"a record of version {VERSION} was expected; the version byte is {found}")
    try:
        record = _decode(memoryview(data)[1:])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"not a record: {error}") from None
    if _VERSION + _encode(record) != data:
        raise Malformed("not a record: its fields are not in their shortest encoding")
    if record.failures > record.count:
        raise Malformed(f"not a record: {record.failures} failures of {record.count} items")
    return record
