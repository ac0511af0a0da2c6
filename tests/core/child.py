"""Python programs in processes of their own, for what would end or change the process of the tests."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
"""From where ``tests`` can be imported."""


def run(script: str, *arguments: str, before: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    """Run a script to its end.

    :param before: a command that runs it, such as one that takes rights away.
    """
    return subprocess.run(
        [*before, sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
    )


def result(script: str, *arguments: str, before: Sequence[str] = ()) -> Any:
    """What a script prints as JSON in its last line."""
    ended = run(script, *arguments, before=before)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])
