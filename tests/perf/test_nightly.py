"""The nightly run goes on when a step fails; baselines are small and judge what follows. How fast, no test asks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

if not (Path(__file__).parents[2] / "perf" / "nightly").is_dir():
    pytest.skip("the suites are not beside the tests", allow_module_level=True)

from perf import record
from perf.baselines import FOLDER
from perf.baselines.__main__ import take
from perf.baselines.compact import ROUNDS, compact, spread
from perf.drift import files
from perf.nightly.plan import Step, plan
from perf.nightly.steps import run

SEAL = Step("edge", ("perf.edge", "--operations", "seal"), ("--seconds", "0"), baseline=True)
ALLOWED = 500 << 10


def test_a_step_that_fails_or_hangs_stops_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fails = run("fails", ["-c", "import sys; sys.exit('this is why')"], tmp_path, 60)
    hangs = run("hangs", ["-c", "import time; time.sleep(60)"], tmp_path, 0.1)
    works = run("works", ["-c", "print('done')"], tmp_path, 60)
    assert [one.code for one in (fails, hangs, works)] == [1, None, 0]
    assert [one.failed for one in (fails, hangs, works)] == [True, True, False]
    assert works.log.read_text() == "done\n"
    told = capsys.readouterr().out
    assert "exit 1\n    this is why" in told
    assert "took too long" in told


def test_a_baseline_is_taken_and_judges_a_result(tmp_path: Path) -> None:
    folder = tmp_path / "baselines"
    folder.mkdir()
    (folder / "edge.7.json").write_text("an older one")
    (folder / "other.1.json").write_text("of another step")
    assert take(SEAL, folder, more=False, full=False)
    assert {path.name for path in folder.iterdir()} == {"edge.1.json", "other.1.json"}
    assert take(SEAL, folder, more=True, full=False)
    assert {path.name for path in folder.iterdir()} == {"edge.1.json", "edge.2.json", "other.1.json"}
    (folder / "other.1.json").unlink()
    first, second = files.read([folder])
    result = msgspec.structs.replace(second, role="result", run="another")
    [pair] = files.pair([first, second, result]).pairs
    assert len(pair.baselines) == 2
    assert not pair.in_turns


def test_a_step_that_fails_leaves_the_baseline_alone(tmp_path: Path) -> None:
    (tmp_path / "edge.1.json").write_text("the older one")
    assert not take(
        Step("edge", ("perf.edge", "--operations", "none"), baseline=True), tmp_path, more=False, full=False
    )
    assert (tmp_path / "edge.1.json").read_text() == "the older one"


def test_a_baseline_is_compact() -> None:
    begun = record.begin("edge", "process", "baseline", {})
    long = record.Measure("cpu", "sign", tuple(range(1000, 2000)))
    dropped = record.Measure("max", "sign", (1.0,))
    [kept] = compact(msgspec.structs.replace(begun, measures=(long, dropped), detail={"a": 1})).measures
    assert len(kept.rounds) == ROUNDS
    assert (kept.rounds[0], kept.rounds[-1]) == (1000, 1999)
    assert spread([1.0, 2.0], 3) == [1.0, 2.0]


def test_those_of_the_repository_are_small_and_whole() -> None:
    for folder in (path for path in FOLDER.iterdir() if path.is_dir() and path.name != "__pycache__"):
        found = files.read([folder])
        assert {one.role for one in found} == {"baseline"}
        assert {one.host.name for one in found} == {folder.name}
        assert sum(path.stat().st_size for path in folder.iterdir()) < ALLOWED


def test_every_step_is_a_command() -> None:
    modules = {step.words[0] for step in plan()}
    names = [step.name for step in plan()]
    assert len(names) == len(set(names))
    for module in modules:
        assert (
            subprocess.run([sys.executable, "-m", module, "--help"], capture_output=True, check=False).returncode == 0
        )
