"""The commands, and how hyperfine times them."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

Shot = Sequence[str]

_PYTHON = sys.executable
_CLI = (_PYTHON, "-m", "ron_kms.cli.main")
_SIGN = "import ron_kms\nwith ron_kms.SigningKey.generate({suite!r}) as key: key.sign(b'message')"
_STORE = (
    "import sys, ron_kms\n"
    "with ron_kms.open(f'sqlite:///{sys.argv[1]}/keys.db', seal=f'keyfile:{sys.argv[1]}/root.key') as kms:\n"
    "    kms.sign(sys.argv[2], digest=bytes(32))"
)


class Missing(Exception):
    """A program that is needed is not installed; says which."""


def commands(store: Path, kid: str) -> Mapping[str, Shot]:
    """By name; a line of each figure is what Python itself takes.

    :param store: a folder with a store that has this key, made by :func:`fill`.
    """
    return {
        "python, nothing": (_PYTHON, "-c", "pass"),
        "ron-kms --version": (*_CLI, "--version"),
        "ron-kms config show": (*_CLI, "config", "show"),
        "import ron_kms": (_PYTHON, "-c", "import ron_kms"),
        "library, first signature, ed25519": (_PYTHON, "-c", _SIGN.format(suite="ed25519")),
        "library, first signature, hybrid": (_PYTHON, "-c", _SIGN.format(suite="ed25519+ml-dsa-65")),
        "store, first signature": (_PYTHON, "-c", _STORE, str(store), kid),
    }


def fill(store: Path) -> str:
    """Make a store with one key, and give its kid."""
    import ron_kms  # noqa: PLC0415 - who reads records needs no core

    with ron_kms.open(f"sqlite:///{store}/keys.db", seal=f"keyfile:{store}/root.key") as kms:
        return kms.create(tenant="once", purpose="first", suite="ed25519").partition("#")[0]


def timed(shots: Mapping[str, Shot], runs: int) -> dict[str, list[float]]:
    """Milliseconds of each run, by name; one more run before them fills the file cache.

    :raises Missing: hyperfine is not there.
    :raises RuntimeError: a command fails.
    """
    with tempfile.TemporaryDirectory(prefix="ron-kms-once-") as folder:
        out = Path(folder) / "out.json"
        options = [
            "--shell",
            "none",
            "--warmup",
            "1",
            "--runs",
            str(runs),
            "--style",
            "none",
            "--export-json",
            str(out),
        ]
        try:
            done = subprocess.run(
                ["hyperfine", *options, *map(shlex.join, shots.values())], capture_output=True, text=True, check=False
            )
        except FileNotFoundError:
            raise Missing("hyperfine is not installed") from None
        if done.returncode:
            raise RuntimeError(done.stderr.strip())
        results = json.loads(out.read_text())["results"]
    return {name: [round(one * 1e3, 3) for one in found["times"]] for name, found in zip(shots, results, strict=True)}
