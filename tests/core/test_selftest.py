"""A library that computes wrongly is refused at import, by the name of its algorithm."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import ron_kms
from tests.core import child

# Imports ron_kms over a libsodium one function of which is spoilt.
SPOILT = """
import ctypes, sys
import pysodium

which, count, how = sys.argv[1], int(sys.argv[2]), sys.argv[3]

def flip(function):
    def flipping(out, *rest):
        result = function(ctypes.c_void_p(out), *map(ctypes.c_void_p, rest))
        ctypes.cast(out, ctypes.POINTER(ctypes.c_uint8))[0] ^= 1
        return result
    return flipping

class Spoilt:
    def __init__(self, real):
        self.real = real
        if how == "old":
            self.sodium_version_string = lambda: b"1.0.17"
            return
        function = getattr(real, which)
        spoilt = flip(function) if how == "flip" else lambda *arguments: int(how)
        setattr(self, which, ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.c_void_p] * count)(spoilt))

    def __getattr__(self, name):
        return getattr(self.real, name)

pysodium.sodium = Spoilt(pysodium.sodium)
import ron_kms
"""

SPOILS = [
    ("Ed25519 key generation", "crypto_sign_ed25519_seed_keypair", 3, "flip"),
    ("Ed25519 signing", "crypto_sign_ed25519_detached", 5, "flip"),
    ("Ed25519 verification", "crypto_sign_ed25519_verify_detached", 4, "0"),
    ("HMAC-SHA256", "crypto_auth_hmacsha256_update", 3, "flip"),
    ("XChaCha20-Poly1305", "crypto_aead_xchacha20poly1305_ietf_encrypt", 9, "flip"),
    ("XChaCha20-Poly1305", "crypto_aead_xchacha20poly1305_ietf_decrypt", 9, "0"),
    ("Argon2id", "crypto_pwhash", 8, "flip"),
    ("pairwise self-test of ed25519", "crypto_sign_ed25519_keypair", 2, "flip"),
    ("sodium_init", "sodium_init", 0, "-1"),
    ("libsodium 1.0.17 is too old: 1.0.18 or newer is needed", "sodium_version_string", 0, "old"),
]


@pytest.mark.parametrize(("name", "which", "count", "how"), SPOILS)
def test_a_spoilt_libsodium_is_refused(name: str, which: str, count: int, how: str) -> None:
    refused(child.run(SPOILT, which, str(count), how), name)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("package")
    shutil.copytree(
        Path(ron_kms.__file__).parent, folder / "ron_kms", ignore=shutil.ignore_patterns("__pycache__", "server", "api")
    )
    return folder


def test_the_copied_package_is_what_is_imported(copy: Path) -> None:
    ended = imported(copy)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip() == str(copy / "ron_kms" / "__init__.py")


@pytest.mark.parametrize("track", ["ml-dsa-44", "ml-dsa-65", "ml-dsa-87"])
@pytest.mark.parametrize("field", ["message", "signature", "public", None])
def test_a_wrong_known_answer_of_liboqs_is_refused(track: str, field: str | None, copy: Path) -> None:
    path = copy / "ron_kms" / "crypto" / "known_answers.json"
    intact = path.read_text()
    document = json.loads(intact)
    answers = document["sign"]
    if field is None:
        del answers[track]
    else:
        text = answers[track][field]
        answers[track][field] = ("B" if text[0] == "A" else "A") + text[1:]
    path.write_text(json.dumps(document))
    try:
        refused(imported(copy), track.upper())
    finally:
        path.write_text(intact)


def refused(ended: subprocess.CompletedProcess[str], name: str) -> None:
    assert ended.returncode == 1
    last = ended.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: "), ended.stderr
    assert name in last


def imported(folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, "-c", "import ron_kms; print(ron_kms.__file__)"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment,
        cwd=folder,
    )
