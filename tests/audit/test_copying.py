"""A backup that is made while records are appended and checkpoints signed is one that can be gone on with."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from ron_kms.audit.copying import Copying
from ron_kms.store.backup import COPY, back_up, check_backup
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
