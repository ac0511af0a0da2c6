"""Programs in Go that tests ask: independent implementations of our formats, each a module of its own in a folder."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

MARKS = [
    pytest.mark.skipif(shutil.which("go") is None, reason="go is not installed"),
    pytest.mark.timeout(400),  # the first build compiles what it uses of Go's library
]


def build(sources: Path, folder: Path) -> Path:
    """The program in a folder, built into another; skips the test where its modules cannot be had."""
    try:
        got = _go(sources, "mod", "download", seconds=60)
    except subprocess.TimeoutExpired:
        pytest.skip("Go's modules do not come in time")
    if got.returncode:
        pytest.skip(f"Go's modules cannot be had: {got.stderr.strip().splitlines()[-1]}")
    program = folder / "program"
    built = _go(sources, "build", "-o", str(program), ".", seconds=300)
    assert built.returncode == 0, built.stderr
    return program


def _go(sources: Path, *arguments: str, seconds: float) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"GOTOOLCHAIN": "local", "GOWORK": "off"}
    return subprocess.run(
        ["go", *arguments], cwd=sources, env=environment, capture_output=True, text=True, timeout=seconds, check=False
    )
