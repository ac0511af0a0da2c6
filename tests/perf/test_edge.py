"""The bench of the application measures and judges as it says. How fast anything is, no test asks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

ROOT = Path(__file__).parents[2]

if not (ROOT / "perf" / "edge.py").is_file():
    pytest.skip("the bench is not beside the tests", allow_module_level=True)
pytest.importorskip("pyperf")

from perf.edge import CELLS, Results  # noqa: E402


def test_a_short_run(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "perf.edge", "--seconds=0", f"--results={tmp_path}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    [file] = tmp_path.iterdir()
    results = msgspec.json.decode(file.read_bytes(), type=Results)
    assert [figures.cell for figures in results.cells] == list(CELLS)
    for figures in results.cells:
        assert figures.over.rounds == 1
        assert figures.over.value == pytest.approx(figures.app - figures.crypto)
        assert figures.least == pytest.approx(figures.over.value)
        assert figures.app > figures.crypto / 2 > 0
    assert [(v.target, v.where, v.limit) for v in results.verdicts] == [
        ("over", "sign ed25519, 1 in flight", 30.0),
        ("over", "sign ed25519, 64 in flight", 30.0),
        ("over", "sign ed25519, 64 in flight, durable audit", 50.0),
    ]
    assert [v.met for v in results.verdicts] == [v.ratio.value <= v.limit for v in results.verdicts]
    assert not any(v.sure for v in results.verdicts), "one round proves nothing"
    words = ["met?" if verdict.met else "missed?" for verdict in results.verdicts]
    assert [line.split()[-1] for line in done.stdout.splitlines() if line.endswith(("met?", "missed?"))] == words
