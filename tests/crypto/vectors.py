"""The published vectors that PyPI's cryptography-vectors ships.

Ed25519: the 1,024 of the reference implementation (``sign.input``). ML-DSA: 100 known answers a parameter set of the
final FIPS 204, pure and deterministic, each with a context.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple, TextIO

import cryptography_vectors


class Vector(NamedTuple):
    """``secret`` is as the C libraries hold it: seed and public key (Ed25519), the expanded key (FIPS 204)."""

    public: bytes
    secret: bytes
    message: bytes
    context: bytes
    signature: bytes


@cache
def ed25519() -> tuple[Vector, ...]:
    with _open("Ed25519/sign.input") as file:
        return tuple(_ed25519(line) for line in file)


def _ed25519(line: str) -> Vector:
    secret, public, message, signed = map(bytes.fromhex, line.split(":")[:4])
    return Vector(public, secret, message, b"", signed[:64])


@cache
def ml_dsa(level: str) -> tuple[Vector, ...]:
    """:param level: ``44``, ``65`` or ``87``."""
    with _open(f"MLDSA/kat_MLDSA_{level}_det_pure.rsp") as file:
        return tuple(
            Vector(
                public=fields["pk"],
                secret=fields["sk"],
                message=fields["msg"],
                context=fields["ctx"],
                signature=fields["sm"][: len(fields["sm"]) - len(fields["msg"])],
            )
            for fields in _records(file)
        )


def _records(file: TextIO) -> Iterator[dict[str, bytes]]:
    fields: dict[str, bytes] = {}
    for line in file:
        name, _, value = line.strip().partition(" = ")
        if name == "count" and fields:
            yield fields
            fields = {}
        elif name in ("pk", "sk", "msg", "ctx", "sm"):
            fields[name] = bytes.fromhex(value)
    yield fields


def _open(name: str) -> TextIO:
    return cryptography_vectors.open_vector_file(f"asymmetric/{name}", "r")
