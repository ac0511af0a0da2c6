"""A short soak: all of it is in the log, and what is missing there or grows is seen."""

from __future__ import annotations

import subprocess
import sys
from array import array
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

if not (ROOT / "perf" / "soak").is_dir():
    pytest.skip("the soak is not beside the tests", allow_module_level=True)

from perf.chaos.drill import Check  # noqa: E402
from perf.detail import series  # noqa: E402
from perf.load.generator import Outcome, Seen  # noqa: E402
from perf.load.service import Sample  # noqa: E402
from perf.record import load  # noqa: E402
from perf.soak.judge import judge  # noqa: E402
from perf.soak.ledger import Held  # noqa: E402
from perf.soak.run import Rest, Soaked  # noqa: E402


def test_a_short_soak_is_in_the_audit_log_to_the_last_record(tmp_path: Path) -> None:
    out = tmp_path / "soak.json"
    arguments = ["--operations=2000", "--rate=1000", "--set=max_wait_ms=0", f"--json={out}"]
    command = [sys.executable, "-m", "perf.soak", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert out.exists(), done.stderr
    record = load(out)
    checks = {check["key"]: check for check in record.detail["checks"]}
    assert all(checks[key]["held"] for key in ("answers", "log", "ledger")), done.stdout
    assert set(record.detail["answered"]) >= {"sign", "verify", "wrap", "unwrap"}
    assert record.detail["answered"] == record.detail["recorded"]
    drawn = {one.name: one for one in series(record)}
    assert {"resident", "files", "threads", "audit", "p50", "p99", "rate"} <= set(drawn)
    audit = [value for value in drawn["audit"].values if value is not None]
    assert audit[-1] > 0


MIB = 1 << 20


def _soaked(*, growth: float = 0.0, late: float = 1.0, files: int = 0) -> Soaked:
    """Twenty slices of a thousand answers each."""

    def outcome(milliseconds: float) -> Outcome:
        latencies = {"sign a": array("d", [milliseconds / 1e3] * 1000)}
        return Outcome({"singles": Seen(latencies=latencies, statuses=Counter({200: 1000})), "batches": Seen()}, 1.0, 0)

    soaked = Soaked(0.0, outcome(1.0))
    soaked.slices = [outcome(late if number >= 18 else 1.0) for number in range(20)]
    soaked.rests = [Rest(float(number), 40 + (files if number else 0), 9, 0, 14.0) for number in range(21)]
    soaked.samples = [Sample(at / 10, 0.0, int((80 + growth * at / 200) * MIB), 0, 40) for at in range(201)]
    return soaked


def _held(soaked: Soaked, records: int = 0) -> Held:
    count = 1000 * (1 + len(soaked.slices)) + records
    return Held(True, "", count, Counter(sign=count), Counter(sign=count), 0)


def _broken(soaked: Soaked, held: Held, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    monkeypatch.setattr("perf.soak.judge.LONG", 1)
    checks: list[Check] = list(judge(soaked, held, 16))
    return {check.key for check in checks if not check.held}


def test_what_grows_or_is_missing_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    flat = _soaked()
    assert _broken(flat, _held(flat), monkeypatch) == set()
    assert _broken(flat, _held(flat, -1), monkeypatch) == {"ledger"}
    assert _broken(flat, _held(flat, 1), monkeypatch) == {"ledger"}
    assert _broken(flat, _held(flat)._replace(whole=False), monkeypatch) == {"log"}
    assert _broken(_soaked(growth=12), _held(flat), monkeypatch) == {"memory"}
    assert _broken(_soaked(growth=2), _held(flat), monkeypatch) == set()
    assert _broken(_soaked(late=1.6), _held(flat), monkeypatch) == {"p50", "p99"}
    assert _broken(_soaked(files=3), _held(flat), monkeypatch) == {"files"}
