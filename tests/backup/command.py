"""The command ``ron-kms`` as a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.server.service import environment


def run(data_dir: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """One command over a data folder; its exit code is not checked."""
    return subprocess.run(
        [sys.executable, "-m", "ron_kms.cli.main", *arguments],
        env=environment(data_dir, **settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def done(data_dir: Path, *arguments: str, **settings: str) -> str:
    """What a command that succeeds prints."""
    ended = run(data_dir, *arguments, **settings)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    return ended.stdout


def refused(data_dir: Path, *arguments: str, **settings: str) -> str:
    """The one sentence, with its hint, of a command that fails."""
    ended = run(data_dir, *arguments, **settings)
    assert ended.returncode == 1, ended.stdout
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr
    assert ended.stderr.startswith("ron-kms: ")
    assert ended.stderr.count("\n") == 1
    return ended.stderr
