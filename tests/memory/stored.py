"""What a store holds, opened without ron-kms: the keyfile's digits, hashlib, hmac and pyca/cryptography."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import msgspec

from tests.core import independent

# FIPS 204, table 1 and section 7.2: rows and columns of the matrix, the bound of s1 and s2.
_PARAMETERS = {"ml-dsa-44": (4, 4, 2), "ml-dsa-65": (6, 5, 4), "ml-dsa-87": (8, 7, 2)}
_ML_DSA_SIZES = {"ml-dsa-44": 2560, "ml-dsa-65": 4032, "ml-dsa-87": 4896}
_PUBLIC_HEAD = 128  # rho, K, tr

# FIPS 203, table 2: length of vectors.
_ML_KEM_RANKS = {"ml-kem-768": 3, "ml-kem-1024": 4}


class Opened(NamedTuple):
    """The secrets of a store, by name, as byte strings that must be found nowhere.

    :ivar root: the root key and its hexadecimal text.
    :ivar service: the store key and what is derived from it.
    :ivar keys: of every private key by kid, what only its owner knows.
    :ivar tables: of every private key by kid, what ML-DSA and ML-KEM unpack it to while they work.
    """

    root: dict[str, list[bytes]]
    service: dict[str, list[bytes]]
    keys: dict[str, list[bytes]]
    tables: dict[str, list[bytes]]


def open_store(database: Path, keyfile: Path) -> Opened:
    """Open every private key of a store."""
    root = bytes.fromhex(keyfile.read_text())
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        [[root_id, wrapped]] = connection.execute("SELECT root_id, wrapped FROM root")
        rows = connection.execute(
            "SELECT tenant, purpose, uuid, number, suite, v.created, public, blob"
            " FROM keys JOIN key_versions AS v USING (uuid)"
        ).fetchall()
        token_roots = connection.execute("SELECT id, wrapped FROM token_roots").fetchall()
    assert root_id == independent.key_id(root)
    store = independent.open_sealed(root, wrapped, b"ron-kms/store-key/v1\0" + root_id.encode())
    service = {"store key": store, "row key": independent.derive(store, b"ron-kms/rows/v1\0")}
    sealing = service["token root seal"] = independent.derive(store, b"ron-kms/token-roots/v1\0")
    for name, blob in token_roots:
        binding = b"ron-kms/token-root/v1\0" + name.encode()
        service[f"token root {name}"] = independent.open_sealed(sealing, blob, binding)
    keys, tables = {}, {}
    for tenant, purpose, uuid, number, suite, created, public, blob in rows:
        seal = service[f"seal of {tenant}"] = independent.derive(store, b"ron-kms/seal/v1\0" + tenant.encode())
        kid = f"{tenant}/{purpose}/{uuid}#v{number}"
        tracks = msgspec.msgpack.decode(public)
        fields = (
            *(b"ron-kms/blob", b"\x01", kid.encode(), suite.encode(), created.to_bytes(8, "big")),
            hashlib.sha256(b"".join(tracks)).digest(),
        )
        ad = b"".join(len(field).to_bytes(4, "big") + field for field in fields)
        keys[kid], tables[kid] = _private_parts(suite, independent.open_sealed(seal, blob, ad), tracks)
    texts = {name: [raw, raw.hex().encode(), raw.hex().upper().encode()] for name, raw in service.items()}
    return Opened({"root key": [root, root.hex().encode(), root.hex().upper().encode()]}, texts, keys, tables)


def _private_parts(suite: str, secret: bytes, public: list[bytes]) -> tuple[list[bytes], list[bytes]]:
    """The parts of a slot's bytes that the public key does not tell, and what they are expanded to in use."""
    if suite in ("xchacha20-poly1305", "xaes-256-gcm"):
        return [secret], []
    if suite in _ENCAPSULATION:
        return _encapsulation_parts(_ENCAPSULATION[suite], secret, public[0])
    parts: list[bytes] = []
    tables: list[bytes] = []
    for track, public_key in zip(suite.split("+"), public, strict=True):
        if track == "ed25519":
            own, secret = secret[:64], secret[64:]
            seed = own[:32]
            assert own[32:] == public_key  # libsodium keeps it behind the seed; it is no secret
            parts += [seed, *independent.sha512_expansion(seed)]
        else:
            own, secret = secret[: _ML_DSA_SIZES[track]], secret[_ML_DSA_SIZES[track] :]
            # FIPS 204, algorithm 24: rho is in the public key, and tr is its hash. What is left is K and the packed s1,
            # s2 and t0, which nobody can compute from the public key.
            assert own[:32] == public_key[:32]
            assert own[64:_PUBLIC_HEAD] == hashlib.shake_256(public_key).digest(64)
            parts += [own[32:64], own[_PUBLIC_HEAD:]]
            tables += _unpacked(track, own[_PUBLIC_HEAD:])
    assert secret == b""
    return parts, tables


_ENCAPSULATION = {
    "x25519": ("", True),
    "ml-kem-768": ("ml-kem-768", False),
    "ml-kem-1024": ("ml-kem-1024", False),
    "x25519+ml-kem-768": ("ml-kem-768", True),
}


def _encapsulation_parts(shape: tuple[str, bool], secret: bytes, public: bytes) -> tuple[list[bytes], list[bytes]]:
    """FIPS 203, algorithm 16: s, the encapsulation key, its hash, z. A pair of X25519 follows."""
    track, x25519 = shape
    parts: list[bytes] = []
    tables: list[bytes] = []
    if track:
        size = 384 * _ML_KEM_RANKS[track]
        ml_public, public = public[: size + 32], public[size + 32 :]
        packed, rest = secret[:size], secret[size:]
        assert rest.startswith(ml_public + hashlib.sha3_256(ml_public).digest())
        parts += [packed, rest[size + 64 : size + 96]]
        for start in range(0, size, 384):
            bits = int.from_bytes(packed[start : start + 384], "little")
            tables.append(b"".join((bits >> i * 12 & 4095).to_bytes(2, "little") for i in range(256)))
        secret = rest[size + 96 :]
    if x25519:
        parts.append(secret[:32])
        assert secret[32:] == public
    return parts, tables


def _unpacked(track: str, packed: bytes) -> list[bytes]:
    """The polynomials of s1, s2 and t0 as the reference code unpacks them, 32 bits a coefficient."""
    rows, columns, eta = _PARAMETERS[track]
    narrow = {2: 3, 4: 4}[eta]
    polynomials = []
    for width, highest in [(narrow, eta)] * (rows + columns) + [(13, 1 << 12)] * rows:
        size = 32 * width
        bits, packed = int.from_bytes(packed[:size], "little"), packed[size:]
        coefficients = [highest - (bits >> i * width & (1 << width) - 1) for i in range(256)]
        polynomials.append(b"".join(value.to_bytes(4, "little", signed=True) for value in coefficients))
    assert packed == b""
    return polynomials
