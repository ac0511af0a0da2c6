"""A disk that is full, read-only or failing: what must be recorded is refused, and goes on when the disk does."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ron_kms.audit import files, journal
from ron_kms.errors import StoreUnavailable
from ron_kms.store.bootstrap import Store
from tests.audit.place import QUICK, Place, record, records
from tests.waiting import until

REPOSITORY = Path(__file__).parents[2]


class Disk:
    """The system calls by which the journal reaches the disk, some of which fail."""

    def __init__(self) -> None:
        self.failing: dict[str, int] = {}
        self.torn = False

    def call(self, name: str, real: Callable[..., int]) -> Callable[..., int]:
        def called(fd: int, *rest: bytes) -> int:
            if name in self.failing:
                if self.torn and rest:
                    real(fd, rest[0][: len(rest[0]) // 2])
                raise OSError(self.failing[name], os.strerror(self.failing[name]))
            return real(fd, *rest)

        return called


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    disk = Disk()

    class System:
        def __getattr__(self, name: str) -> object:
            real = getattr(os, name)
            return disk.call(name, real) if name in ("write", "fdatasync", "fsync") else real

    monkeypatch.setattr(journal, "os", System())
    return disk


@pytest.mark.parametrize("torn", [False, True])
@pytest.mark.parametrize(
    "failing",
    [
        {"write": errno.ENOSPC},
        {"write": errno.EROFS},
        {"write": errno.EIO},
        {"fdatasync": errno.EIO},
        {"fdatasync": errno.ENOSPC, "fsync": errno.ENOSPC},
    ],
)
def test_the_log_refuses_and_recovers_by_itself(
    place: Place, store: Store, disk: Disk, failing: dict[str, int], torn: bool
) -> None:
    trail = place.open(store)
    trail.append(records(0, 10)).result()
    trail.append(records(10, 10), "written").result()
    disk.failing, disk.torn = failing, torn
    refused = trail.append(records(900, 10))
    with pytest.raises(StoreUnavailable):
        refused.result()
    if "fsync" in failing or "write" in failing:
        with pytest.raises(StoreUnavailable):
            trail.require()
        with pytest.raises(StoreUnavailable):
            trail.append(records(910, 10)).result()
        assert trail.log.fault
        assert trail.trail(records(20, 10))
    disk.failing = {}
    assert until(lambda: not trail.log.fault)
    trail.require()
    if failing.keys() == {"fdatasync"}:  # it recovers at once
        assert trail.trail(records(20, 10))
    assert until(lambda: trail.log.size == 30)
    trail.append(records(30, 10)).result()
    assert trail.close()
    trail = place.open(store)
    assert trail.log.size == 40
    assert place.log().records(0, 40) == records(0, 40)
    assert not trail.log.damage
    trail.close()


def test_a_record_of_a_change_that_could_not_be_appended_is_appended_later(
    place: Place, store: Store, disk: Disk
) -> None:
    trail = place.open(store)
    waiting = store.database.write(lambda connection: trail.put(connection, record(1))).result()
    disk.failing = {"write": errno.ENOSPC}
    with pytest.raises(StoreUnavailable):
        trail.deliver(waiting).result()
    disk.failing = {}
    assert until(lambda: trail.log.size == 1)
    assert trail.close()
    assert place.log().records(0, 1) == [record(1)]


def test_the_tree_falls_behind_and_catches_up(place: Place, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:

    trail = place.open(store, pace=QUICK)
    with monkeypatch.context() as broken:

        class System:
            def __getattr__(self, name: str) -> object:
                if name == "fsync":
                    raise OSError(errno.ENOSPC, "full")
                return getattr(os, name)

        broken.setattr(files, "os", System())
        trail.append(records(0, 600)).result()
        assert until(lambda: not trail.log.recent)
    assert until(lambda: trail.log.recent)
    assert trail.close()
    trail = place.open(store)
    assert trail.log.size == 600
    trail.close()


def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.audit.full_disk", tmp_path]
    run = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False)
    if run.returncode == 77:
        pytest.skip(run.stdout)
    assert run.returncode == 0, run.stderr
