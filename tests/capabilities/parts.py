"""A root key whose bytes the tests know, and tokens with any caveats at all."""

from __future__ import annotations

import os
from collections.abc import Iterable

from ron_kms._core import SecretKey
from ron_kms.capabilities.macaroon import Macaroon
from ron_kms.capabilities.tokens import TokenChecker

ROOT_ID = "0123456789abcdef"
ROOT_BYTES = bytes(range(32))
TOKEN_ID = "01936d2c-7a00-7000-8000-000000000001"
IDENTIFIER = f"1/{ROOT_ID}/{TOKEN_ID}".encode()

UUID_1 = "01936d2c-7a00-7abc-8def-0123456789ab"
UUID_2 = "01936d2c-7a00-7abc-8def-0123456789ac"

WRONG = "the token is not valid"


def known_key(value: bytes) -> SecretKey:
    reading, writing = os.pipe()
    os.write(writing, value.hex().encode() + b"\n")
    os.close(writing)
    try:
        return SecretKey.read_hex(reading)
    finally:
        os.close(reading)


ROOT = known_key(ROOT_BYTES)


def forge(*caveats: str | bytes, identifier: bytes = IDENTIFIER) -> str:
    """A token as the holder of the root key could make it, whatever its caveats say."""
    parts = tuple(caveat.encode() if isinstance(caveat, str) else caveat for caveat in caveats)
    return Macaroon(identifier, parts, ROOT.chain((identifier, *parts))).encode()


def checker(cache_size: int = 100, root_ids: Iterable[str] = (ROOT_ID,)) -> TokenChecker:
    return TokenChecker(dict.fromkeys(root_ids, ROOT), cache_size=cache_size)
