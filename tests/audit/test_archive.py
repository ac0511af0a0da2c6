"""Old records are moved away; the log is still whole, and goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from ron_kms.audit.archive import archive
from ron_kms.audit.recovery import Damaged
from ron_kms.audit.result import Absent
from ron_kms.audit.scrub import Scrub
from ron_kms.audit.source import Folder, read_minimum
from ron_kms.audit.tiles import path
from ron_kms.audit.verify import check_log
from ron_kms.errors import Malformed
from ron_kms.store.bootstrap import Store
from tests.audit.logs import DiskLog, records
from tests.audit.place import Place
from tests.audit.place import records as service_records
from tests.audit.test_cli import run

SIZE = 1000


@pytest.fixture
def log(tmp_path: Path) -> DiskLog:
    log = DiskLog(tmp_path / "0")
    log.grow(records(SIZE))
    return log


def test_what_is_moved_counts_by_the_tiles_above(log: DiskLog, tmp_path: Path) -> None:
    checkpoint, cold = log.checkpoints[SIZE], tmp_path / "cold/0"
    assert archive(log.folder, checkpoint, 600, cold) == 2
    assert read_minimum(Folder(log.folder)) == 512
    moved = [path(level, number) for level in (0, "entries") for number in (0, 1)]  # type: ignore[arg-type]
    assert sorted(str(file.relative_to(cold)) for file in cold.rglob("*") if file.is_file()) == sorted(moved)
    assert not any((log.folder / part).exists() for part in moved)
    result = check_log(Folder(log.folder), log.keys, minimum=512)
    assert (result.whole, result.proven, result.absent) == (True, True, [Absent(0, 511, False)])
    assert check_log(Folder(log.folder, [cold]), log.keys).records == SIZE
    assert archive(log.folder, checkpoint, 600, cold) == 0  # there is nothing more to move
    assert archive(log.folder, checkpoint, SIZE * 2, cold) == 1  # the partial bundle stays
    log.grow(records(100, SIZE))
    assert check_log(Folder(log.folder), log.keys, minimum=768).whole


def test_an_interrupted_move_is_done_again(log: DiskLog, tmp_path: Path) -> None:
    whole = (log.folder / path("entries", 0)).read_bytes()
    archive(log.folder, log.checkpoints[SIZE], 512, tmp_path / "cold")
    log.put(path("entries", 0), whole)
    log.put(path(0, 0), (tmp_path / "cold" / path(0, 0)).read_bytes())
    assert archive(log.folder, log.checkpoints[SIZE], 512, tmp_path / "cold") == 1
    assert not (log.folder / path("entries", 0)).exists()


def test_nothing_is_moved_that_is_wrong(log: DiskLog, tmp_path: Path) -> None:
    file = log.folder / path("entries", 1)
    data = bytearray(file.read_bytes())
    data[100] ^= 1
    file.write_bytes(data)
    with pytest.raises(Malformed, match=r"tile/entries/001: its records are not those"):
        archive(log.folder, log.checkpoints[SIZE], 512, tmp_path / "cold")
    assert (log.folder / path("entries", 0)).exists()
    assert read_minimum(Folder(log.folder)) == 0


def test_the_scrub_of_a_running_log_does_not_miss_it(place: Place, store: Store, tmp_path: Path) -> None:
    trail = place.open(store)
    for first in range(0, 15_000, 1000):  # more than one file of the journal
        trail.append(service_records(first, 1000)).result()
    assert trail.close()
    folder = place.log()
    verified = check_log(Folder(folder.path), trail.log.keys).verified
    assert verified is not None
    kept = min(int(file.name) for file in folder.journal.iterdir())
    assert archive(folder.path, verified.checkpoint, 15_000, tmp_path / "cold") == kept // 256 > 0
    scrub = Scrub(folder)
    for _ in range(-(-15_000 // 256) + 1):
        scrub.step(verified.checkpoint)
    assert scrub.rounds == 1
    (folder.path / "minimum").unlink()  # the same without having been moved is a loss
    with pytest.raises(Damaged, match="tile/0/000: it is missing"):
        scrub.step(verified.checkpoint)
    (folder.path / "minimum").write_text(f"{kept // 256 * 256}\n")
    trail = place.open(store)
    assert trail.log.damage == ""
    trail.append(service_records(15_000, 10)).result()
    assert trail.close()


def test_the_command(log: DiskLog, tmp_path: Path) -> None:
    code, out, _ = run("archive", log.folder, "--before", "300", "--to", tmp_path / "cold")
    assert (code, out) == (0, f"moved 1 bundles of 256 records to {tmp_path / 'cold/0'}\n")
    assert run("verify", log.folder)[0] == 0
    code, out, _ = run("verify", log.folder, "--tiles", tmp_path / "cold", "--json")
    assert code == 0
    assert '"absent": []' in out
