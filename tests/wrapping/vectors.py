"""Published vectors, as the package cryptography-vectors carries them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cryptography_vectors

_ROOT = Path(cryptography_vectors.__file__).parent

HKDF_SHA256 = 1
CHACHA20_POLY1305 = 3


def hpke() -> list[dict[str, Any]]:
    """Base mode vectors with the KDF and AEAD that ron-kms uses: RFC 9180's and those of draft-ietf-hpke-pq."""
    found = []
    for name in ("test-vectors.json", "hpke-pq-test-vectors.json"):
        for vector in json.loads((_ROOT / "HPKE" / name).read_text()):
            suite = (vector["mode"], vector["kdf_id"], vector["aead_id"])
            if suite == (0, HKDF_SHA256, CHACHA20_POLY1305):
                found.append(vector)
    return found


def ml_kem(size: int) -> Iterator[dict[str, bytes]]:
    """NIST-style vectors of ML-KEM: d, z, pk, sk, ct, ss."""
    text = (_ROOT / "asymmetric" / "MLKEM" / f"kat_MLKEM_{size}.rsp").read_text()
    for block in text.split("count = ")[1:]:
        fields = (line.split(" = ", 1) for line in block.splitlines()[1:] if " = " in line)
        yield {name: bytes.fromhex(value) for name, value in fields}
