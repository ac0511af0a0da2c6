"""What requests and answers have in common. JSON and MessagePack, OpenAPI and the library all come from these types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from ron_kms.crypto.framing import DIGEST_SIZE, MESSAGE_MAX
from ron_kms.errors import BadRequest, KmsError, NotFound
from ron_kms.model import NAME_PATTERN

R = TypeVar("R", bound="Request")

ITEMS_MAX = 1024

# JSON Schema's $ is the end; to Python's regular expressions it is also the place before a last newline.
_NO_NEWLINE = r"(?!\n)"


class Request(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A request: strict, so that a field this version does not know is refused rather than ignored."""


class Answer(msgspec.Struct, omit_defaults=True, kw_only=True):
    """An answer; fields that do not apply are left out."""


KidText = Annotated[
    str,
    Meta(
        min_length=40,
        max_length=180,
        description="`<tenant>/<purpose>/<uuid>#v<N>`; without `#v<N>` it means the newest version.",
        examples=["core/audit/01932c07-209c-7e1b-8f31-2f1c4c0d5f1a#v1"],
    ),
]
Name = Annotated[str, Meta(pattern=NAME_PATTERN + _NO_NEWLINE, description="1 to 63 of a-z, 0-9, `.`, `_`, `-`.")]
Digest = Annotated[
    bytes,
    Meta(
        min_length=DIGEST_SIZE, max_length=DIGEST_SIZE, description="The BLAKE3-256 digest of what is signed, 32 bytes."
    ),
]
Message = Annotated[
    bytes,
    Meta(
        max_length=MESSAGE_MAX,
        description="The message itself, up to 64 KiB, for keys with `raw_messages`; never beginning with `ron-kms-`.",
    ),
]
OpId = Annotated[
    str,
    Meta(
        pattern="^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$" + _NO_NEWLINE,
        description="A UUID of the caller's.",
    ),
]


class TrackSignature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One track's signature."""

    alg: Annotated[str, Meta(max_length=32, description="The track.", examples=["ed25519", "ml-dsa-65"])]
    signature: Annotated[bytes, Meta(max_length=8192)]


class TrackKey(msgspec.Struct, frozen=True):
    """One track's public key, raw as RFC 8032 and FIPS 204 define it."""

    alg: str
    public_key: bytes


class Failure(msgspec.Struct, frozen=True):
    """Why one item of a batch failed; the others are not concerned."""

    code: str
    message: str
    retryable: bool
    hint: str

    @classmethod
    def of(cls, error: KmsError) -> Failure:
        return cls(error.code, error.message, error.retryable, error.hint)


def no_such_key() -> NotFound:
    """The one answer for a key that does not exist and for one that the token does not cover."""
    return NotFound("there is no such key, or this token does not cover it")


def request_of(type_: type[R], fields: Mapping[str, Any]) -> R:
    """A request made in this process, strict as if it had come over the wire; fields that are None are left out.

    :raises BadRequest: it does not fit its schema; the message says where.
    """
    try:
        sent = msgspec.msgpack.encode({name: value for name, value in fields.items() if value is not None})
        return msgspec.msgpack.decode(sent, type=type_)
    except (msgspec.MsgspecError, TypeError) as error:
        raise BadRequest(str(error)) from None
