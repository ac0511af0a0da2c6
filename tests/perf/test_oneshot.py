"""One-shots are timed run by run, and what fails is told."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

if not (Path(__file__).parents[2] / "perf" / "oneshot").is_dir():
    pytest.skip("the one-shots are not beside the tests", allow_module_level=True)

from perf.oneshot.shots import commands, fill, timed

needs_hyperfine = pytest.mark.skipif(shutil.which("hyperfine") is None, reason="hyperfine is not installed")


@needs_hyperfine
def test_each_run_is_kept() -> None:
    slow = (sys.executable, "-S", "-c", "import time; time.sleep(0.05)")
    found = timed({"slow": slow, "nothing": ("true",)}, 2)
    assert [len(times) for times in found.values()] == [2, 2]
    assert min(found["slow"]) >= 50


@needs_hyperfine
def test_a_command_that_fails_is_told() -> None:
    with pytest.raises(RuntimeError, match="non-zero"):
        timed({"fails": ("false",)}, 1)


@needs_hyperfine
def test_the_commands_work(tmp_path: Path) -> None:
    found = timed(commands(tmp_path, fill(tmp_path)), 1)
    assert all(times[0] > 0 for times in found.values())
    assert len(found) == 7
