"""Macaroons in the libmacaroons v2 binary format, base64url without padding.

One macaroon has exactly one encoding here: what is not written as this module writes it is refused, so that a token
cannot be varied without its signature. Format: https://github.com/rescrv/libmacaroons/blob/master/doc/format.txt

    0x02, location, identifier, EOS, (caveat, EOS)*, EOS, signature

where a field is its type and length, each an LEB128 varint, and its bytes. The location is a hint that no signature
covers, so only ours is accepted. Third-party caveats (those with a location or a verification key) are refused.
"""

from __future__ import annotations

import binascii
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import NamedTuple, NoReturn

from ron_kms.errors import BadRequest

LOCATION = b"ron-kms"
MAX_TOKEN = 4096
"""Characters of a token as it is sent."""
MAX_CAVEATS = 32

_VERSION = 2
_EOS, _LOCATION, _IDENTIFIER, _SIGNATURE = 0, 1, 2, 6
_SIGNATURE_SIZE = 32


class Macaroon(NamedTuple):
    """A token taken apart; nothing is known of its signature yet. It is a credential, so its repr does not show it."""

    identifier: bytes
    caveats: tuple[bytes, ...]
    signature: bytes

    @property
    def signed(self) -> tuple[bytes, ...]:
        """What the signature covers, in the order of the chain."""
        return (self.identifier, *self.caveats)

    def narrow(self, caveat: bytes) -> Macaroon:
        """The same macaroon with one more first-party caveat. A holder's step: it needs no key but the signature."""
        signature = hmac.digest(self.signature, caveat, "sha256")
        return Macaroon(self.identifier, (*self.caveats, caveat), signature)

    def encode(self) -> str:
        """
        :raises BadRequest: it has more caveats or is longer than a token may be.
        """
        if len(self.caveats) > MAX_CAVEATS:
            _refuse(f"has more than {MAX_CAVEATS} caveats")
        body = bytearray((_VERSION,))
        body += _field(_LOCATION, LOCATION)
        body += _field(_IDENTIFIER, self.identifier)
        body.append(_EOS)
        for caveat in self.caveats:
            body += _field(_IDENTIFIER, caveat)
            body.append(_EOS)
        body.append(_EOS)
        body += _field(_SIGNATURE, self.signature)
        token = urlsafe_b64encode(body).rstrip(b"=").decode("ascii")
        if len(token) > MAX_TOKEN:
            _refuse(f"is longer than {MAX_TOKEN} characters")
        return token

    @classmethod
    def decode(cls, token: str) -> Macaroon:
        """
        :raises BadRequest: the token is not a macaroon as :meth:`encode` writes it.
        """
        return _parse(_unbase64(token))

    def __repr__(self) -> str:
        return f"<Macaroon with {len(self.caveats)} caveats>"


def _unbase64(token: str) -> bytes:
    if len(token) > MAX_TOKEN:
        _refuse(f"is longer than {MAX_TOKEN} characters")
    try:
        raw = token.encode("ascii")
        data = urlsafe_b64decode(raw + b"=" * (-len(raw) % 4))
    except (UnicodeEncodeError, binascii.Error):
        _refuse("is not base64url")
    if urlsafe_b64encode(data).rstrip(b"=") != raw:  # the decoder forgives foreign characters and stray bits
        _refuse("is not canonical base64url without padding")
    return data


def _parse(data: bytes) -> Macaroon:
    if data[:1] != bytes((_VERSION,)):
        _refuse("is not in the v2 binary format")
    header, at = _section(data, 1)
    if [kind for kind, _ in header] != [_LOCATION, _IDENTIFIER]:
        _refuse("must begin with a location and an identifier")
    (_, location), (_, identifier) = header
    if location != LOCATION:
        _refuse("was issued for another service")
    caveats: list[bytes] = []
    while True:
        fields, at = _section(data, at)
        if not fields:
            break
        if [kind for kind, _ in fields] != [_IDENTIFIER]:
            _refuse("has a caveat that is not a first-party one")
        if len(caveats) == MAX_CAVEATS:
            _refuse(f"has more than {MAX_CAVEATS} caveats")
        caveats.append(fields[0][1])
    kind, at = _varint(data, at)
    signature, at = _payload(data, at)
    if kind != _SIGNATURE or len(signature) != _SIGNATURE_SIZE or at != len(data):
        _refuse(f"must end with a signature of {_SIGNATURE_SIZE} bytes")
    return Macaroon(identifier, tuple(caveats), signature)


def _section(data: bytes, at: int) -> tuple[list[tuple[int, bytes]], int]:
    """The fields up to the next end-of-section mark and the place behind it; callers compare the list of types, so that
    nothing is out of order or there twice."""
    fields: list[tuple[int, bytes]] = []
    while True:
        kind, at = _varint(data, at)
        if kind == _EOS:
            return fields, at
        payload, at = _payload(data, at)
        fields.append((kind, payload))


def _payload(data: bytes, at: int) -> tuple[bytes, int]:
    size, at = _varint(data, at)
    end = at + size
    if end > len(data):
        _refuse("is cut short")
    return data[at:end], end


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """At most two bytes: nothing in a token is longer than 4 KiB."""
    if at >= len(data):
        _refuse("is cut short")
    low = data[at]
    if low < 0x80:
        return low, at + 1
    if at + 1 >= len(data):
        _refuse("is cut short")
    high = data[at + 1]
    if not 0 < high < 0x80:
        _refuse("has a number that is too long or not minimal")
    return low & 0x7F | high << 7, at + 2


def _field(kind: int, payload: bytes) -> bytes:
    size = len(payload)
    if size > MAX_TOKEN:
        _refuse(f"is longer than {MAX_TOKEN} characters")
    prefix = (kind, size) if size < 0x80 else (kind, size & 0x7F | 0x80, size >> 7)
    return bytes(prefix) + payload


def _refuse(fault: str) -> NoReturn:
    raise BadRequest(f"the token {fault}", hint="Copy the token whole, as it was issued.")
