"""The benches of growing numbers run, judge as they say, and the model gives back what it was made of."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

if not (ROOT / "perf" / "scale").is_dir():
    pytest.skip("the bench is not beside the tests", allow_module_level=True)

from perf.record import Record, load  # noqa: E402
from perf.scale import batch, keys  # noqa: E402
from perf.scale.keys import Cost, Round  # noqa: E402
from perf.scale.stores import Filling, copy, filled  # noqa: E402
from ron_kms.model import Kid  # noqa: E402
from tests.counts import LONG  # noqa: E402


def scale(*arguments: str, folder: Path) -> tuple[str, list[Record]]:
    """What a command prints, and the records that it leaves."""
    command = [sys.executable, "-m", "perf.scale", *arguments, f"--results={folder}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout, [load(path) for path in sorted(folder.glob("*.json"))]


def test_costs_by_number_of_keys(tmp_path: Path) -> None:
    cache = tmp_path / "stores"
    told, [record] = scale(
        "keys", "--sizes=10,40", "--rounds=2", "--no-memory", f"--stores={cache}", folder=tmp_path / "results"
    )
    assert (record.suite, record.name) == ("scale", "keys")
    assert {one.of for one in record.measures if one.kind == "cpu"} == {
        keys.of(operation, size) for operation in keys.OPERATIONS for size in (10, 40)
    }
    assert all(len(one.rounds) == 2 for one in record.measures)
    verdicts = record.detail["verdicts"]
    assert [one["target"] for one in verdicts] == ["cost"] * 4 + ["open"]
    assert not any(one["sure"] for one in verdicts), "two rounds prove nothing"
    assert "sign cold, 40 keys" in told


def test_costs_by_items_in_a_batch(tmp_path: Path) -> None:
    told, [record] = scale("batch", "--sizes=1,16", "--suites=ed25519", "--rounds=1", "--seconds=0.2", folder=tmp_path)
    assert {one.of for one in record.measures if one.kind == "payload"} == {
        f"{operation} ed25519, batch {items}" for operation in ("sign", "verify") for items in (1, 16)
    }
    assert {one.kind for one in record.measures} >= {"cpu", "rate", "p50", "floor", "payload"}
    assert set(record.detail["core"]) == {"sign ed25519", "verify ed25519"}
    assert {one.of for one in record.measures if one.of.startswith(batch.IN_PROCESS)} == {
        batch.IN_PROCESS + one.of for one in record.measures if one.kind == "payload"
    }
    assert record.detail["audit"]["records"] > 0
    assert "verify ed25519, batch 16" in told


@pytest.mark.skipif(not LONG, reason="four services: only at full counts")
def test_costs_by_tenants_and_by_workers(tmp_path: Path) -> None:
    common = ("--rounds=1", "--seconds=0.2")
    scale("tenants", "--numbers=1,20", *common, f"--stores={tmp_path / 'stores'}", folder=tmp_path)
    told, [of_tenants, of_workers] = scale("workers", *common, folder=tmp_path)
    assert set(of_tenants.detail["memory"]) == set(of_tenants.detail["metrics"]) == {"1", "20"}
    assert {one.of for one in of_tenants.measures} == {
        f"{operation}, {number} tenants" for operation in ("verify", "sign") for number in (1, 20)
    }
    assert len({one.of for one in of_workers.measures}) == 4
    assert "2 workers" in told


def test_a_filled_store_holds_keys_that_work_and_stays_as_it_is(tmp_path: Path) -> None:
    filling = Filling(30, 3)
    kept = filled(filling, tmp_path) / "keys.db"
    before = kept.read_bytes()
    with copy(filling, tmp_path) as place, place.open() as kms:
        kids = {filling.kid(number) for number in range(30)}
        assert {key.kid for key in kms.list_keys().keys} == kids
        assert {Kid.parse(kid).tenant for kid in kids} == {"tenant-0", "tenant-1", "tenant-2"}
        signed = kms.sign(filling.kid(29), digest=bytes(32))
        assert kms.verify(signed.kid, digest=bytes(32), sigs=signed.sigs).ok
        kms.create(tenant="tenant-0", purpose="another", suite="ed25519")
    assert kept.read_bytes() == before


def test_what_grows_by_more_than_a_quarter_is_missed() -> None:
    def rounds(cold: float) -> list[Round]:
        costs = dict.fromkeys(keys.OPERATIONS, Cost(100.0, 1.0)) | {"sign cold": Cost(cold, 1.0)}
        return [Round(3.0, costs)] * 10

    found = {10: rounds(100.0), 100_000: rounds(126.0), 1_000_000: rounds(500.0)}
    verdicts = {one.where: one for one in keys.judge(found, {("granian", 100_000): 251.0})}
    assert not verdicts["sign cold, 100000 keys"].met
    assert verdicts["sign cold, 100000 keys"].sure
    assert verdicts["create, 100000 keys"].met
    assert verdicts["open, 100000 keys"].met
    assert not verdicts["granian, 100000 keys"].met
