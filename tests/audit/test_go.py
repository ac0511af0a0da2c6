"""An independent implementation reads our logs: Go's sumdb packages and those of transparency-dev."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from ron_kms.audit import inclusion
from ron_kms.audit.source import Folder, tiles_of
from ron_kms.audit.tiles import path
from ron_kms.store.bootstrap import Store
from tests.audit.logs import DiskLog, records
from tests.audit.place import Place
from tests.audit.place import records as service_records
from tests.golang import MARKS, build

pytestmark = MARKS


@pytest.fixture(scope="module")
def auditcheck(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(Path(__file__).parent / "go", tmp_path_factory.mktemp("go"))


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> DiskLog:
    log = DiskLog(tmp_path_factory.mktemp("log"))
    log.grow(records(300))
    log.grow(records(400, 300))
    return log


def run(program: Path, folder: Path, *more: Path) -> tuple[int, str]:
    done = subprocess.run(
        [program, folder, *more], capture_output=True, text=True, timeout=60, check=False
    )  # fmt: skip
    return done.returncode, done.stdout.strip() + done.stderr


def test_go_finds_all_of_it_right(auditcheck: Path, log: DiskLog, tmp_path: Path) -> None:
    """Both signatures, every record, that it has grown, and a proof that we have made."""
    older = tmp_path / "older"
    older.write_bytes(log.notes[300])
    proof = tmp_path / "record.tlog-proof"
    read = tiles_of(Folder(log.folder))
    proof.write_bytes(inclusion.prove(read, 700, 555, log.records[555], log.notes[700], None).format())
    root = log.checkpoints[700].root.hex()
    assert run(auditcheck, log.folder, older, proof) == (0, f"{log.origin} 700 {root}")


def test_go_reads_what_the_service_has_written(auditcheck: Path, place: Place, store: Store) -> None:
    trail = place.open(store)
    for first in range(0, 1000, 100):
        trail.append(service_records(first, 100)).result()
    assert trail.close()
    code, told = run(auditcheck, place.audit / "0")
    assert (code, told.split()[:2]) == (0, [trail.log.origin, "1000"])


def test_go_finds_what_was_changed(auditcheck: Path, log: DiskLog, tmp_path: Path) -> None:
    for number, part in enumerate((path("entries", 1), path(0, 1), path(1, 0, 2), "checkpoint")):
        folder = tmp_path / str(number)
        shutil.copytree(log.folder, folder)
        data = bytearray((folder / part).read_bytes())
        data[20] ^= 1
        (folder / part).write_bytes(data)
        code, told = run(auditcheck, folder)
        assert (code, told[:8]) == (1, "refused:"), part


def test_go_refuses_another_beginning(auditcheck: Path, log: DiskLog, tmp_path: Path) -> None:
    other = DiskLog(tmp_path / "other", log.origin, log.signers)
    other.grow(records(300, 5000))
    code, told = run(auditcheck, log.folder, other.folder / "checkpoint")
    assert code == 1
    assert "refused" in told
