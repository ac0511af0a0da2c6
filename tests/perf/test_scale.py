"""The bench of many keys runs and judges as it says. How fast anything is, no test asks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

ROOT = Path(__file__).parents[2]

if not (ROOT / "perf" / "scale.py").is_file():
    pytest.skip("the bench is not beside the tests", allow_module_level=True)
pytest.importorskip("pyperf")

from perf.scale import Results  # noqa: E402


def test_a_short_run(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "perf.scale", "--keys=40", "--rounds=2", f"--results={tmp_path}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    [file] = tmp_path.iterdir()
    results = msgspec.json.decode(file.read_bytes(), type=Results)
    assert (results.few, results.many) == (10, 40)
    assert len(results.few_rounds) == len(results.many_rounds) == 2
    assert [(v.target, v.where) for v in results.verdicts] == [
        ("cost", "create"),
        ("cost", "sign_cold"),
        ("cost", "sign_hot"),
        ("cost", "rotate"),
        ("open", "open"),
    ]
    assert not any(v.sure for v in results.verdicts), "two rounds prove nothing"
    assert results.open_seconds == max(one.open for one in results.many_rounds) / 1e6
    words = ["met?" if verdict.met else "missed?" for verdict in results.verdicts]
    assert [line.split()[-1] for line in done.stdout.splitlines() if line.endswith(("met?", "missed?"))] == words
