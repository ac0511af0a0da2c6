"""The bench runs, agrees with itself, and judges as it says. How fast anything is, no test asks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

ROOT = Path(__file__).parents[2]

if not (ROOT / "perf" / "micro").is_dir():
    pytest.skip("the bench is not beside the tests", allow_module_level=True)
pyperf = pytest.importorskip("pyperf")

from perf.micro.cells import PARTS, Cell, CellLaps, Lane, Lap  # noqa: E402
from perf.micro.figures import Ratio, figures, percentile  # noqa: E402
from perf.micro.results import Results  # noqa: E402
from perf.micro.targets import judge  # noqa: E402
from perf.record import KINDS, load  # noqa: E402


def laps(*microseconds: float, operations: int = 8) -> list[Lap]:
    """Laps of one call each, that cost so much an operation."""
    return [Lap([t], t, t, t, operations) for t in (round(each * 1000 * operations) for each in microseconds)]


def cell(core: list[Lap], floor: list[Lap], core_two: list[Lap], pyca: list[Lap], batch: int = 256) -> CellLaps:
    lanes = [("core", 1, core), ("floor", 1, floor), ("core", 2, core_two), ("floor", 2, core_two), ("pyca", 1, pyca)]
    return CellLaps(Cell("ed25519", "sign", batch), True, [Lane(*lane) for lane in lanes])


def test_percentiles_are_values_that_were_measured() -> None:
    ordered = [float(i) for i in range(1, 101)]
    assert [percentile(ordered, rank) for rank in (50, 95, 99)] == [50, 95, 99]
    assert [percentile([7.0], rank) for rank in (50, 95, 99)] == [7, 7, 7]


def test_ratios_compare_the_laps_of_one_round() -> None:
    # The machine is twice as slow in the second round, and the core is disturbed in the third.
    found = figures(cell(laps(11, 22, 90), laps(10, 20, 10), laps(6, 12, 6), laps(33, 66, 33)))
    assert found.to_floor == Ratio(1.1, 1.1, 9.0, rounds=3)
    core = found.lane("core")
    assert core is not None
    assert (core.calls, core.p50, core.p99) == (3, 22, 90)


def test_targets_are_judged_plainly() -> None:
    good = figures(cell(*(laps(*[each] * 6) for each in (10, 10, 5, 20))))
    bad = figures(cell(*(laps(*[each] * 6) for each in (11, 10, 6, 12))))
    assert [(v.target, v.met, v.sure) for v in judge([good])] == [
        ("floor", True, True),
        ("scaling", True, True),
        ("pyca", True, True),
    ]
    assert [(v.target, v.met, v.sure) for v in judge([bad])] == [
        ("floor", False, True),
        ("scaling", False, True),
        ("pyca", False, True),
    ]
    short = figures(cell(*(laps(each) for each in (10, 10, 5, 20))))
    assert {(v.met, v.sure) for v in judge([short])} == {(True, False)}, "one round proves nothing"
    single = figures(cell(laps(11), laps(10), laps(6), laps(12), batch=1))
    assert judge([single]) == []


def test_a_short_run(tmp_path: Path) -> None:
    chosen = (
        "--seconds=0",
        "--suites=ed25519,ml-dsa-44,x25519,xchacha20-poly1305,token,gate,json,msgpack,cache,engine,audit",
        "--batches=1,8",
        f"--results={tmp_path}",
    )
    command = [sys.executable, "-m", "perf.micro", *chosen]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    assert "sign ml-dsa-44" in done.stdout
    assert "wrap x25519" in done.stdout
    [theirs] = tmp_path.glob("pyperf/*.json")
    [own] = tmp_path.glob("*.json")
    record = load(own)
    assert (record.role, record.suite, record.name) == ("result", "micro", "bench")
    assert {measure.kind for measure in record.measures} <= set(KINDS)
    results = msgspec.convert(record.detail, Results)
    parts = [cell for cell in results.cells if cell.suite in PARTS]
    assert {part.operation for part in parts if part.to_floor is None} == {"pass", "encode"}
    cells = [cell for cell in results.cells if cell not in parts]
    assert (len(parts), len(cells)) == (20, 22)
    assert {cell.operation for cell in cells if cell.to_floor is None} == {"load", "wrap", "unwrap", "seal", "open"}
    assert all(cell.pyca or cell.pynacl for cell in cells)
    assert {one.of for one in record.measures if one.kind == "cpu"} == {cell.name for cell in results.cells}
    assert {one.of for one in record.measures if one.kind == "ratio"} == {c.name for c in results.cells if c.to_floor}
    assert record.code.versions["liboqs"]
    if sys.platform == "linux":
        assert all(found.replay for found in results.cells), "the C loop does not do the same work as the core"
    assert len(pyperf.BenchmarkSuite.load(str(theirs)).get_benchmarks()) == sum(len(c.lanes) for c in results.cells)
