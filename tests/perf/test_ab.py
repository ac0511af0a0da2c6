"""Two commits side by side leave two records that are judged as taken in turns. How fast anything is, no test asks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

if not (Path(__file__).parents[2] / "perf" / "ab").is_dir():
    pytest.skip("the load generator is not beside the tests", allow_module_level=True)

from perf.ab.tree import MODULES, NoTree, same_native, tree
from perf.drift import files
from perf.record import ROOT, git, load

pytestmark = pytest.mark.skipif(not git("rev-parse", "HEAD"), reason="there is no repository")


def _ab(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "perf.ab", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)


@pytest.mark.skipif(
    not same_native("HEAD"), reason="the native sources are changed: it would take minutes to build them"
)
def test_a_commit_beside_itself(tmp_path: Path) -> None:
    done = _ab(
        "--baseline",
        "HEAD",
        "--mix",
        "sign",
        "--seconds",
        "0.2",
        "--rounds",
        "6",
        "--minutes",
        "0",
        "--results",
        tmp_path,
    )
    assert done.returncode in {0, 1, 2}, done.stderr
    assert "in turns, 6 rounds" in done.stdout
    records = [load(path) for path in tmp_path.iterdir()]
    assert {record.role for record in records} == {"baseline", "result"}
    [pair] = files.pair(records).pairs
    assert pair.in_turns
    assert {len(measure.rounds) for record in records for measure in record.measures} == {6}


@pytest.mark.skipif(
    not same_native("HEAD"), reason="the native sources are changed: it would take minutes to build them"
)
def test_a_tree_is_ready_and_goes_again() -> None:
    with tree("HEAD") as path:
        assert {module.name for module in (path / MODULES).glob("*.so")} >= {"_core.abi3.so", "_oqs.abi3.so"}
        assert git("rev-parse", "HEAD", folder=path) == git("rev-parse", "HEAD")
    assert not path.exists()
    assert str(path) not in git("worktree", "list")


def test_no_such_commit() -> None:
    with pytest.raises(NoTree, match="no such commit"), tree("no-such-commit"):
        pass
    done = _ab("--baseline", "no-such-commit")
    assert (done.returncode, done.stdout) == (2, "")
    assert "no such commit" in done.stderr
