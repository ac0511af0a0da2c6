"""A backup that is made while records are appended and checkpoints signed is one that can be gone on with."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

from ron_kms.audit import copying
from ron_kms.audit.copying import Copying
from ron_kms.audit.source import Folder
from ron_kms.audit.verify import check_log
from ron_kms.store.backup import COPY, back_up, check_backup
from tests.audit.logs import DiskLog
from tests.audit.logs import records as disk_records
from tests.audit.place import BRISK, QUICK, Place, record, records
from tests.counts import count


@pytest.mark.parametrize("pace", [QUICK, BRISK])
def test_a_backup_under_load_opens(place: Place, tmp_path: Path, pace: object) -> None:
    store = place.store()
    trail = place.open(store, pace=QUICK if pace is QUICK else BRISK)
    stop = threading.Event()
    done = [0]

    def load() -> None:
        while not stop.is_set():
            trail.append(records(done[0], 40)).result()
            done[0] += 40

    thread = threading.Thread(target=load)
    thread.start()
    try:
        for number in range(count(4, 40)):
            before = done[0]
            target = tmp_path / f"backup-{number}"
            back_up(f"sqlite:///{place.folder}/ron-kms.db", target, Copying(place.audit))
            check_backup(target)
            copy = Place(target)
            (target / COPY).rename(target / "ron-kms.db")
            (target / "root.key").write_bytes((place.folder / "root.key").read_bytes())
            (target / "root.key").chmod(0o600)
            restored = copy.store()
            opened = copy.open(restored)
            assert not opened.log.damage, opened.log.damage
            assert opened.log.size >= min(before, opened.log.head.size)
            opened.append([record(10**9)]).result()
            assert opened.close()
            restored.close()
    finally:
        stop.set()
        thread.join()
    trail.close()
    store.close()


def test_a_partial_tile_that_a_full_one_follows_while_it_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = DiskLog(tmp_path / "audit" / "0")
    log.grow(disk_records(300))
    copy, real = Copying(tmp_path / "audit"), copying._copy

    def racing(path: Path, target: Path) -> bool:
        partial = log.folder / "tile" / "entries" / "001.p"
        if path.parent == partial and partial.exists():
            log.grow(disk_records(300, 300))
            shutil.rmtree(partial)
            shutil.rmtree(log.folder / "tile" / "0" / "001.p")
        return real(path, target)

    monkeypatch.setattr(copying, "_copy", racing)
    copy.before(tmp_path / "copy")
    copy.after(tmp_path / "copy")
    result = check_log(Folder(tmp_path / "copy" / "audit" / "0"), log.keys)
    assert ([str(finding) for finding in result.findings], result.records) == ([], 300)
