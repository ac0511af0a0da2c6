"""Which key exchange a TLS server takes, asked of it as a client does.

Python says neither which groups its OpenSSL offers nor which one was agreed on; Granian has another library. So
the listener is asked: a ClientHello that knows one group only and brings no key for it must be answered by a
HelloRetryRequest for that group, or by an alert (RFC 8446, 4.1.4).
"""

from __future__ import annotations

import os
import socket
import struct

from ron_kms.config import Address

X25519 = 0x001D
X25519MLKEM768 = 0x11EC
"""draft-ietf-tls-ecdhe-mlkem."""

_SECONDS = 5.0
_HANDSHAKE, _SERVER_HELLO = 22, 2
_RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
_SUPPORTED_GROUPS, _SIGNATURES, _ALPN, _VERSIONS, _KEY_SHARE = 10, 13, 16, 43, 51
_SCHEMES = (0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806, 0x0807, 0x0809, 0x080A, 0x080B)
"""Signatures of certificates: ECDSA, RSA-PSS, Ed25519."""


def offers(address: Address, group: int) -> bool:
    """Whether the TLS server there agrees on this group.

    :raises OSError: it cannot be reached, or says nothing in time.
    """
    with socket.create_connection((address.host, address.port), timeout=_SECONDS) as sock:
        sock.sendall(_client_hello(group))
        with sock.makefile("rb") as answer:
            kind, _, size = struct.unpack("!BHH", answer.read(5).ljust(5, b"\0"))
            return kind == _HANDSHAKE and _asks_for(answer.read(size), group)


def _vector(data: bytes, width: int) -> bytes:
    return len(data).to_bytes(width, "big") + data


def _extension(kind: int, data: bytes) -> bytes:
    return struct.pack("!H", kind) + _vector(data, 2)


def _client_hello(group: int) -> bytes:
    extensions = (
        _extension(_VERSIONS, b"\x02\x03\x04"),
        _extension(_SUPPORTED_GROUPS, _vector(struct.pack("!H", group), 2)),
        _extension(_SIGNATURES, _vector(struct.pack(f"!{len(_SCHEMES)}H", *_SCHEMES), 2)),
        _extension(_ALPN, _vector(_vector(b"h2", 1) + _vector(b"http/1.1", 1), 2)),
        _extension(_KEY_SHARE, _vector(b"", 2)),
    )
    suites = _vector(bytes.fromhex("130113021303"), 2)
    hello = b"\x03\x03" + os.urandom(32) + _vector(os.urandom(32), 1) + suites + b"\x01\x00"
    message = b"\x01" + _vector(hello + _vector(b"".join(extensions), 2), 3)
    return b"\x16\x03\x01" + _vector(message, 2)


def _asks_for(message: bytes, group: int) -> bool:
    """Whether it is a HelloRetryRequest for the group."""
    if len(message) < 44 or message[0] != _SERVER_HELLO or message[6:38] != _RETRY:
        return False
    # Behind the random: the session id, suite, compression and the length of the extensions.
    rest = message[39 + message[38] + 5 :]
    while len(rest) >= 4:
        kind, size = struct.unpack_from("!HH", rest)
        if kind == _KEY_SHARE:
            return rest[4 : 4 + size] == struct.pack("!H", group)
        rest = rest[4 + size :]
    return False
