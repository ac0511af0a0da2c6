"""The model gives back what its records were made of, and the plan is its arithmetic."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

ROOT = Path(__file__).parents[2]

if not (ROOT / "perf" / "scale").is_dir():
    pytest.skip("the bench is not beside the tests", allow_module_level=True)
pytest.importorskip("numpy")

from perf.record import Code, Host, Measure, Record, file_name, save  # noqa: E402
from perf.scale import batch, model, pages, tenants, workers  # noqa: E402
from perf.scale.plan import Asked, plan  # noqa: E402

CORE = {f"{operation} {suite}": 10.0 + 20 * place for place, (operation, suite) in enumerate(batch.CELLS)}
BASE = {"sign": 100.0, "verify": 80.0, "wrap": 120.0}
ITEM = {"sign": 4.0, "verify": 10.0, "wrap": 6.0}
KIB = 5.0


def _record(name: str, measures: list[Measure], detail: object) -> Record:
    return Record(
        role="result",
        suite="scale",
        name=name,
        run="",
        at="2026-11-23T00:00:00Z",
        seconds=1.0,
        setting={"server": "granian"},
        host=Host("a", "a", 2, 1, "6", "", 0.0),
        code=Code("c" * 40, False, {}),
        measures=tuple(measures),
        detail=detail,
    )


def _bytes(suite: str, items: int) -> float:
    return 300.0 * len(suite) + 64 / items


def _batches(kib: float) -> Record:
    measures = []
    for operation, suite in batch.CELLS:
        for items in batch.FULL:
            of = str(batch.Cell(operation, suite, items))
            over = BASE[operation] / items + ITEM[operation] + kib * _bytes(suite, items) / 1024
            measures.append(Measure("cpu", of, (over + CORE[f"{operation} {suite}"],) * 3))
            measures.append(Measure("payload", of, (_bytes(suite, items),)))
    return _record("batch", measures, {"core": CORE, "audit": {"records": 1000, "bytes": 250_000}})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Records of a service whose costs are known."""
    memory = {str(number): 80 + 0.01 * number for number in tenants.FULL}
    of_workers = [
        Measure(kind, workers.of(name, count), (value,))
        for name, items in (("sign ed25519", 1), (f"sign ed25519, batch {workers.BATCH}", workers.BATCH))
        for count in (1, 2)
        for kind, value in (("cpu", 100 + (20 / items + 2) * count), ("all_resident", 70.0 + 85 * count))
    ]
    for record in (_batches(KIB), _record("tenants", [], {"memory": memory}), _record("workers", of_workers, {})):
        save(record, tmp_path / file_name(record))
    return tmp_path


def test_a_fit_gives_back_what_the_points_were_made_of(folder: Path) -> None:
    found = model.fit("granian", model.newest(model.NAMES, "granian", folder))
    assert found.base == pytest.approx(BASE, abs=0.01)
    assert found.item == pytest.approx(ITEM, abs=0.01)
    assert found.kib == pytest.approx(KIB, abs=0.01)
    assert found.record == 250
    assert found.two == model.Two(20, 2)
    assert (found.memory.supervisor, found.memory.worker) == (70, 85)
    assert found.memory.tenant == pytest.approx(0.01)
    assert abs(found.worst) < 0.001
    assert found.cost("sign", "ed25519", 256) == pytest.approx(
        100 / 256 + 4 + 5 * _bytes("ed25519", 256) / 1024 + 10, rel=0.001
    )
    with pytest.raises(LookupError, match="was not measured"):
        found.cost("sign", "ml-dsa-87", 1)


def test_bytes_that_would_cost_less_than_nothing_cost_nothing(folder: Path) -> None:
    record = _batches(-1.0)
    save(record, folder / file_name(record))
    assert model.fit("granian", model.newest(model.NAMES, "granian", folder)).kib == 0


def test_a_plan_is_the_models_arithmetic(folder: Path) -> None:
    found = model.fit("granian", model.newest(model.NAMES, "granian", folder))
    asked = Asked(100_000, "sign", "ed25519", 16, cores=4, busy=0.5, tenants=100)
    made = plan(found, asked)
    assert made.cost == pytest.approx(found.cost("sign", "ed25519", 16) + 20 / 16 + 2)
    assert made.cores == pytest.approx(100_000 * made.cost / 1e6 / 0.5)
    assert made.nodes == -(-made.cores // 4)
    assert made.memory == pytest.approx(70 + 4 * (85 + 100 * 0.01))
    assert made.records == 6250
    assert made.disk == 6250 * 250
    parts = [plan(found, asked._replace(operation=one)).cost for one in ("sign", "verify")]
    wraps = plan(found, asked._replace(operation="wrap", suite="x25519")).cost
    mixed = plan(found, asked._replace(operation="steady")).cost
    assert mixed == pytest.approx(0.7 * parts[0] + 0.2 * parts[1] + 0.1 * wraps)


def test_the_command_plans_and_fills_the_page(folder: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "perf.scale", *arguments, f"--results={folder}"]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

    assert run("fit").returncode == 0
    told = run("plan", "--ops=1e6", "--suite=ed25519+ml-dsa-65", "--batch=256", "--operation=sign")
    assert "3,906 records a second" in told.stdout, told.stderr
    assert "2026-11-2" in told.stdout
    refused = run("plan", "--suite=ed448", "--operation=sign")
    assert refused.returncode == 1
    assert "was not measured" in refused.stderr
    kept = pages.newest_model("granian", folder)
    page = (ROOT / "docs" / "performance" / "planning.md").read_text()
    filled = pages.filled(page, [kept])
    assert pages.filled(filled, [kept]) == filled
    for name in ("models", "fitted", "plans"):
        part = re.search(rf"<!-- {name} -->(.*?)<!-- /{name} -->", filled, re.DOTALL)
        assert part is not None
        assert "granian" in part[1].lower()
    assert msgspec.json.decode(msgspec.json.encode(kept.model), type=model.Model) == kept.model
