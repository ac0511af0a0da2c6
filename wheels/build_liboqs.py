"""Find or build the static liboqs that ``ron_kms._oqs`` is linked with.

``python wheels/build_liboqs.py`` prints its prefix: a folder with ``lib/liboqs.a`` and ``include/oqs``. An installed
one is named by ``RON_KMS_LIBOQS_PREFIX``; otherwise cargo builds what ``liboqs/Cargo.lock`` pins, once for each set of
inputs, into a cache outside the source tree.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

MANIFEST = Path(__file__).parent / "liboqs"
OLDEST = (0, 13)
ALGORITHMS = ("KEM_ml_kem_768", "KEM_ml_kem_1024", "SIG_ml_dsa_44", "SIG_ml_dsa_65", "SIG_ml_dsa_87")


class Liboqs(NamedTuple):
    """Where the static library and its headers are."""

    archive: Path
    include: Path


def find() -> Liboqs:
    """The installed liboqs if one is named, else the cached one, built now if it is not there yet.

    :raises SystemExit: with one sentence that says what is missing.
    """
    named = os.environ.get("RON_KMS_LIBOQS_PREFIX")
    return installed(Path(named)) if named else cached()


def installed(prefix: Path) -> Liboqs:
    """Check a liboqs that is installed already.

    It must be static: SHA-3 and AES, which ron-kms uses on secrets, are internal to a shared one.
    """
    archives = [*prefix.glob("lib*/liboqs.a"), *prefix.glob("lib/*/liboqs.a")]
    if not archives:
        shared = [*prefix.glob("lib*/liboqs.*"), *prefix.glob("lib/*/liboqs.*")]
        found = "only a shared liboqs" if shared else "no liboqs"
        raise SystemExit(
            f"RON_KMS_LIBOQS_PREFIX={prefix} has {found}: install a static one (BUILD_SHARED_LIBS=OFF) or unset it."
        )
    config = prefix / "include" / "oqs" / "oqsconfig.h"
    if not config.is_file():
        raise SystemExit(
            f"RON_KMS_LIBOQS_PREFIX={prefix} has no include/oqs/oqsconfig.h: install liboqs with its headers."
        )
    defined = dict(re.findall(r"^#define (OQS_\w+) +(\S+)$", config.read_text(), re.MULTILINE))
    version = tuple(int(defined.get(f"OQS_VERSION_{part}", 0)) for part in ("MAJOR", "MINOR"))
    if version < OLDEST:
        wanted, had = (".".join(map(str, v)) for v in (OLDEST, version))
        raise SystemExit(f"RON_KMS_LIBOQS_PREFIX={prefix} has liboqs {had}: install {wanted} or newer.")
    if "OQS_USE_OPENSSL" in defined:
        raise SystemExit(f"RON_KMS_LIBOQS_PREFIX={prefix} needs OpenSSL: build liboqs with -DOQS_USE_OPENSSL=OFF.")
    missing = [name for name in ALGORITHMS if f"OQS_ENABLE_{name}" not in defined]
    if missing:
        raise SystemExit(f"RON_KMS_LIBOQS_PREFIX={prefix} was built without {', '.join(missing)}: enable them.")
    return Liboqs(archives[0], prefix / "include")


def cached() -> Liboqs:
    """The liboqs of ``liboqs/Cargo.lock`` for this compiler, from the cache or built into it."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ron-kms"
    prefix = base / f"liboqs-{_key()}"
    if not prefix.is_dir():
        base.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="building-", dir=base) as scratch:
            fresh = _build(Path(scratch))
            try:
                fresh.rename(prefix)
            except OSError:
                if not prefix.is_dir():  # else another build was quicker, and its result is as good
                    raise
    return Liboqs(prefix / "lib" / "liboqs.a", prefix / "include")


def _key() -> str:
    """A digest of everything that the built library depends on."""
    digest = hashlib.sha256()
    for name in ("Cargo.toml", "Cargo.lock"):
        digest.update((MANIFEST / name).read_bytes())
    digest.update(_output(["rustc", "-vV"], "cargo of Rust 1.78 or newer (https://rustup.rs)"))
    digest.update(_output([*_compiler(), "--version"], "a C compiler"))
    for name in ("CC", "CFLAGS", "ARCHFLAGS", "MACOSX_DEPLOYMENT_TARGET", "CARGO_BUILD_TARGET"):
        digest.update(f"{name}={os.environ.get(name, '')}\n".encode())
    return digest.hexdigest()[:16]


def _build(scratch: Path) -> Path:
    """Let cargo build oqs-sys, and gather what is needed of it in one folder inside ``scratch``."""
    if shutil.which("cmake") is None:
        raise SystemExit("Building liboqs needs CMake: install it (apt install cmake) or set RON_KMS_LIBOQS_PREFIX.")
    print("building liboqs with cargo, once for this compiler (about half a minute)", file=sys.stderr, flush=True)
    command = ["cargo", "build", "--release", "--locked", "--message-format=json", f"--target-dir={scratch / 'target'}"]
    done = subprocess.run(command, cwd=MANIFEST, env=_environment(), stdout=subprocess.PIPE, check=False, text=True)
    if done.returncode != 0:
        raise SystemExit("Cargo could not build liboqs: its own message is above.")
    messages = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    outputs = [
        Path(message["out_dir"])
        for message in messages
        if message["reason"] == "build-script-executed" and "oqs-sys" in message["package_id"]
    ]
    if len(outputs) != 1:
        raise SystemExit(f"Cargo reported {len(outputs)} builds of oqs-sys where one was expected.")
    prefix = scratch / "prefix"
    shutil.copytree(outputs[0] / "include" / "oqs", prefix / "include" / "oqs")
    (prefix / "lib").mkdir()
    (archive,) = outputs[0].glob("lib*/liboqs.a")
    shutil.copy(archive, prefix / "lib" / "liboqs.a")
    return prefix


def _environment() -> dict[str, str]:
    """Cargo's environment: bindgen, which oqs-sys runs, needs libclang and the compiler's own headers."""
    environment = dict(os.environ)
    clang = importlib.util.find_spec("clang")
    if "LIBCLANG_PATH" not in environment and clang is not None and clang.origin is not None:
        environment["LIBCLANG_PATH"] = str(Path(clang.origin).parent / "native")
    if "BINDGEN_EXTRA_CLANG_ARGS" not in environment and sys.platform == "linux":
        include = _output([*_compiler(), "-print-file-name=include"], "a C compiler").decode().strip()
        environment["BINDGEN_EXTRA_CLANG_ARGS"] = f"-I{include}"
    return environment


def _compiler() -> list[str]:
    return os.environ.get("CC", "cc").split()


def _output(command: list[str], package: str) -> bytes:
    if shutil.which(command[0]) is None:
        raise SystemExit(f"Building liboqs needs {package}: install it or set RON_KMS_LIBOQS_PREFIX.")
    return subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout


if __name__ == "__main__":
    print(find().archive.parent.parent)
