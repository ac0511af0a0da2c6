"""The bench of the application measures and judges as it says. How fast anything is, no test asks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

ROOT = Path(__file__).parents[2]

if not (ROOT / "perf" / "edge").is_dir():
    pytest.skip("the bench is not beside the tests", allow_module_level=True)
pytest.importorskip("pyperf")

from perf.edge.cells import CELLS  # noqa: E402
from perf.edge.results import Results  # noqa: E402
from perf.record import KINDS, load  # noqa: E402


def test_a_short_run(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "perf.edge",
        "--seconds=0",
        "--operations=sign,verify-miss,open",
        f"--results={tmp_path}",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    [file] = tmp_path.iterdir()
    cells = [cell for cell in CELLS if cell.operation in {"sign", "verify-miss", "open"}]
    record = load(file)
    assert (record.role, record.suite, record.name) == ("result", "edge", "process")
    assert {measure.kind for measure in record.measures} <= set(KINDS)
    assert {measure.of for measure in record.measures if measure.kind == "over"} == set(map(str, cells))
    results = msgspec.convert(record.detail, Results)
    assert {figures.cell for figures in results.cells} == set(cells)
    for figures in results.cells:
        assert figures.over.rounds == 1
        assert figures.over.value == pytest.approx(figures.app - figures.crypto)
        assert figures.least == pytest.approx(figures.over.value)
        assert figures.app > figures.crypto / 2 > 0
        assert 0 < figures.p50 <= figures.p95 <= figures.p99
    assert [(v.target, v.where, v.limit) for v in results.verdicts] == [
        ("over", "sign ed25519 batch=1, 1 in flight", 30.0),
        ("over", "sign ed25519 batch=1, 64 in flight", 30.0),
        ("over", "sign ed25519 batch=1, 64 in flight, durable audit", 50.0),
    ]
    assert [v.met for v in results.verdicts] == [v.ratio.value <= v.limit for v in results.verdicts]
    assert not any(v.sure for v in results.verdicts), "one round proves nothing"
    words = ["met?" if verdict.met else "missed?" for verdict in results.verdicts]
    assert [line.split()[-1] for line in done.stdout.splitlines() if line.endswith(("met?", "missed?"))] == words
