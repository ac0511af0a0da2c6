"""The decoders take whatever comes: a short run of the fuzzer over each, and what it has found before."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.counts import count
from tests.fuzz.findings import FINDINGS
from tests.fuzz.targets import TARGETS

RUNS = count(3_000, 1_000_000)


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris has no wheel for this Python")
@pytest.mark.timeout(count(120, 3600))
def test_atheris_finds_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "all", f"-runs={RUNS}", "-seed=7", f"-artifact_prefix={tmp_path}/"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    found = [path.read_bytes() for path in tmp_path.iterdir()]
    assert done.returncode == 0, (found, done.stderr[-4000:])
    assert done.stderr.count(f"Done {RUNS} runs") == len(TARGETS)


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_and_findings(name: str) -> None:
    target = TARGETS[name]
    for content in (*target.seeds, *FINDINGS.get(name, ())):
        target.fuzz(content)


@given(st.sampled_from(sorted(TARGETS)), st.binary(max_size=300))
def test_any_bytes(name: str, content: bytes) -> None:
    TARGETS[name].fuzz(content)
