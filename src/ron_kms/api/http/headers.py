"""Request headers: one pass over what the server hands in, then the choice of formats."""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache
from typing import Literal, NamedTuple

from ron_kms.errors import BadRequest, Unauthenticated, Unsupported
from ron_kms.model import new_uuid

Format = Literal["json", "msgpack"]

MEDIA_TYPES: dict[Format, str] = {"json": "application/json", "msgpack": "application/msgpack"}

_FORMATS: dict[bytes, Format] = {media.encode(): name for name, media in MEDIA_TYPES.items()}
_KNOWN = frozenset(
    (
        *(b"authorization", b"content-type", b"content-length", b"content-encoding"),
        *(b"accept", b"x-corr-id", b"if-match", b"if-none-match"),
    )
)
_LISTS = frozenset((b"accept", b"if-none-match"))
_CORR_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_ENTITY_TAG = re.compile(rb'"([\x21\x23-\x7e]{1,128})"|\*')
_OPAQUE = rb'"[\x21\x23-\x7e\x80-\xff]*"'
_ANY_TAG = re.compile(_OPAQUE)
_TAGS = re.compile(rb"[ \t,]*(?:W/)?%(tag)s(?:[ \t]*,[ \t,]*(?:W/)?%(tag)s)*[ \t,]*" % {b"tag": _OPAQUE})
_LONGEST = 256
"""Longer values of Accept and Content-Type are not looked at: no client of ours sends them."""

TWICE = b"\x00"
"""Stands for a header that came more than once; no header value may hold this byte (RFC 9110 5.5)."""


def gather(raw: Collection[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """The headers by lower-case name, as ASGI has them.

    Where any came more than once there are only those that we use: a repeated one becomes :data:`TWICE`, repeated
    lists are joined.
    """
    found = dict(raw)
    if len(found) == len(raw):
        return found
    found.clear()
    for name, value in raw:
        if name in _KNOWN:
            if name not in found:
                found[name] = value
            elif name in _LISTS:
                found[name] += b"," + value
            else:
                found[name] = TWICE
    return found


def request_id(found: dict[bytes, bytes]) -> str:
    """``X-Corr-ID`` where it is well formed, else a fresh UUIDv7."""
    given = found.get(b"x-corr-id")
    if given is not None and _CORR_ID.fullmatch(given):
        return given.decode("ascii")
    return new_uuid()


def bearer(found: dict[bytes, bytes]) -> str:
    """The token of ``Authorization: Bearer`` (RFC 6750 2.1).

    :raises Unauthenticated: none, more than one, or another scheme.
    """
    value = found.get(b"authorization")
    if value is None:
        raise Unauthenticated("this call needs a token")
    scheme, _, token = value.partition(b" ")
    token = token.strip()
    if (scheme != b"Bearer" and scheme.lower() != b"bearer") or not token or not token.isascii():
        raise Unauthenticated("the Authorization header is not one bearer token")
    return token.decode("ascii")


def if_match(found: dict[bytes, bytes]) -> str | None:
    """The entity tag of ``If-Match`` without its quotes, or ``*`` (RFC 9110 13.1.1).

    :raises BadRequest: it is a list of tags, a weak one, which never match, or nothing of the kind.
    """
    value = found.get(b"if-match")
    if value is None:
        return None
    match = _ENTITY_TAG.fullmatch(value.strip())
    if match is None:
        raise BadRequest(
            "If-Match is not one strong entity tag in quotes", hint="Send the ETag that reading has answered, as it is."
        )
    return "*" if match[1] is None else match[1].decode("ascii")


def unchanged(found: dict[bytes, bytes], etag: str) -> bool:
    """Whether ``If-None-Match`` names this entity tag, so that whoever asks has it (RFC 9110 13.1.2, weak comparison).

    What is no list of tags is not looked at.
    """
    value = found.get(b"if-none-match")
    if value is None:
        return False
    value = value.strip()
    if value == b"*":
        return True
    return _TAGS.fullmatch(value) is not None and entity_tag(etag) in _ANY_TAG.findall(value)


def entity_tag(etag: str) -> bytes:
    """The value of an ``ETag`` header (RFC 9110 8.8.3)."""
    return b'"%s"' % etag.encode("ascii")


class BodyHeaders(NamedTuple):
    """How the body comes: its format, whether it is gzip, and the length announced, if it is."""

    format: Format
    gzip: bool
    length: int | None


def body_headers(found: dict[bytes, bytes]) -> BodyHeaders:
    """What the headers say of the body.

    :raises Unsupported: another content type or encoding than ours.
    :raises BadRequest: a header given twice, or a length that is no number.
    """
    content_type = found.get(b"content-type", b"")
    format_ = content_format(content_type)
    if format_ is None:
        if content_type == TWICE:
            raise BadRequest("Content-Type is given more than once")
        raise Unsupported("Content-Type must be application/json or application/msgpack")
    encoding = found.get(b"content-encoding")
    gzip = False
    if encoding is not None and encoding.lower() != b"identity":
        if encoding.lower() != b"gzip":
            raise Unsupported("Content-Encoding must be gzip or absent")
        gzip = True
    length = found.get(b"content-length")
    if length is None:
        return BodyHeaders(format_, gzip, None)
    if not length.isdigit() or len(length) > 18:
        raise BadRequest("Content-Length is not one number")
    return BodyHeaders(format_, gzip, int(length))


def content_format(content_type: bytes) -> Format | None:
    """The format that a Content-Type names, if it is one of ours; its one parameter may be ``charset=utf-8``."""
    return _named(content_type) if len(content_type) <= _LONGEST else None


@lru_cache(maxsize=64)
def _named(content_type: bytes) -> Format | None:
    media, _, parameters = content_type.partition(b";")
    if parameters.strip() and parameters.strip().lower().replace(b'"', b"") != b"charset=utf-8":
        return None
    return _FORMATS.get(media.strip().lower())


def answer_format(found: dict[bytes, bytes]) -> Format:
    """The format to answer in.

    It is the one of ours that ``Accept`` prefers. Without Accept, or where it takes either as ``*/*`` does, it is the
    format of the request's body; anything else is answered in JSON rather than refused.
    """
    accept = found.get(b"accept", b"*/*")
    if len(accept) > _LONGEST:
        return "json"
    wanted: Format | None = None if accept == b"*/*" else _accepted(accept)
    return wanted or content_format(found.get(b"content-type", b"")) or "json"


@lru_cache(maxsize=64)
def _accepted(accept: bytes) -> Format | None:
    """The preferred format by weight (RFC 9110 12.5.1), the first of equals; None where a wildcard leaves it open."""
    weights: dict[bytes, float] = {}
    for part in accept.split(b","):
        media, *parameters = (piece.strip().lower() for piece in part.split(b";"))
        weights.setdefault(media, _weight(parameters))
    named = {media: weight for media, weight in weights.items() if media in _FORMATS and weight > 0}
    wildcard = max(weights.get(b"*/*", 0.0), weights.get(b"application/*", 0.0))
    if not named:
        return None if wildcard > 0 else "json"
    best = max(named, key=lambda media: named[media])
    return None if wildcard > named[best] else _FORMATS[best]


def _weight(parameters: list[bytes]) -> float:
    for parameter in parameters:
        if parameter.startswith(b"q="):
            try:
                return float(parameter[2:])
            except ValueError:
                return 0.0
    return 1.0
