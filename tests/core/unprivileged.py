"""Commands without privileges, for tests that may well be run by root."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def user() -> int:
    """The user and group that :func:`command` changes to."""
    return 65534


def command() -> list[str]:
    """What to put before a command so that it may not read other processes by privilege: nothing, or setpriv.

    Skips the test where root cannot do without its rights.
    """
    status = Path("/proc/self/status").read_text()
    if not next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapEff")):
        return []
    # Only the right to read files stays, for the interpreter may be where only its owner may look.
    kept = "-all,+dac_read_search"
    prefix = ["setpriv", f"--reuid={user()}", f"--regid={user()}", "--clear-groups"]
    prefix += [f"--inh-caps={kept}", f"--ambient-caps={kept}", f"--bounding-set={kept}"]
    if shutil.which("setpriv") is None or subprocess.run([*prefix, sys.executable, "-c", ""], check=False).returncode:
        pytest.skip("needs setpriv to give up root's rights")
    return prefix
