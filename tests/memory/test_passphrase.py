"""A passphrase and the key made of it are nowhere in the service's memory once the root key is there."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from tests.core.independent import open_sealed
from tests.memory.search import search
from tests.server.service import serving


def test_what_opened_the_root_key_is_gone(tmp_path: Path) -> None:
    source = tmp_path / "words"
    source.touch(0o600)
    passphrase = secrets.token_urlsafe(60)
    source.write_text(passphrase + "\n")
    place = tmp_path / "data" / "root.json"
    settings = {
        "seal": f"passphrase:{place}",
        "passphrase_file": str(source),
        "workers": "1",
        "debug_dumpable": "1",
    }
    for _ in range(2):  # it is made the first time, and opened the second
        with serving(tmp_path / "data", **settings) as service:
            looked_for = {"passphrase": [passphrase.encode()], **_opened(place, passphrase)}
            searched = search(service.pid, looked_for, {})
            assert searched.outside() == set()
            assert searched.places("root") == {"guarded"}  # found, where it belongs


def _opened(place: Path, passphrase: str) -> dict[str, list[bytes]]:
    """The wrapping key and the root key, from the file alone."""
    file = json.loads(place.read_text())
    wrapped, file["wrapped"] = bytes.fromhex(file["wrapped"]), ""
    kdf = file["kdf"]
    try:
        argon2 = Argon2id(
            salt=bytes.fromhex(kdf["salt"]),
            length=32,
            iterations=kdf["opslimit"],
            lanes=1,
            memory_cost=kdf["memlimit"] // 1024,
        )
    except UnsupportedAlgorithm:  # pragma: no cover
        pytest.skip("this OpenSSL has no Argon2id")
    key = argon2.derive(passphrase.encode())
    ad = b"ron-kms/root-key/passphrase/v1\0" + json.dumps(file, separators=(",", ":")).encode()
    return {"wrapping key": [key], "root": [open_sealed(key, wrapped, ad)]}
