"""An older copy of the store is noticed and refused until it is accepted, which is recorded; a crash never looks so."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import pytest

from ron_kms.errors import Restored, StoreCorrupt
from ron_kms.server.data_dir import DataDirectory
from ron_kms.server.high_water import MARK, Keeper
from ron_kms.store import changes
from ron_kms.store.bootstrap import Store
from tests.backup.command import done, refused, run
from tests.server.service import create, serving
from tests.store.sample import Place, add_key
from tests.waiting import until


class Folder:
    """A data folder with its store, as the supervisor has them."""

    def __init__(self, path: Path) -> None:
        self.place = Place(path)
        self.directory = DataDirectory(path)

    def use(self, *, keys: int = 0, update: bool = True, accept: bool = False) -> int | None:
        """One life of the service: check, some changes, the mark; what accepting said."""
        store = self.place.open()
        keeper = Keeper(store, self.directory)
        try:
            accepted = keeper.accept() if accept else keeper.check()
            for _ in range(keys):
                add_key(store)
            if update:
                keeper.update()
            return accepted
        finally:
            keeper.release()
            store.close()

    def copy(self) -> bytes:
        return self.place.file.read_bytes()

    def put_back(self, copy: bytes) -> None:
        self.place.file.write_bytes(copy)

    def changes(self) -> list[changes.Change]:
        store: Store = self.place.open()
        try:
            return store.database.read(lambda connection: changes.since(connection, store.rows, 0, 1000)).result()
        finally:
            store.close()

    @property
    def mark(self) -> Path:
        return self.place.folder / MARK


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "data")


def test_a_store_that_goes_on_is_never_refused(folder: Folder) -> None:
    for keys in (0, 3, 0, 2):
        folder.use(keys=keys)
    assert json.loads(folder.mark.read_text())["change"] == 5
    assert folder.mark.stat().st_mode & 0o777 == 0o600


def test_a_mark_that_lags_is_what_a_crash_leaves(folder: Folder) -> None:
    folder.use(keys=2)
    folder.use(keys=3, update=False)
    assert json.loads(folder.mark.read_text())["change"] == 2
    folder.use()
    assert json.loads(folder.mark.read_text())["change"] == 5


def test_an_older_copy_is_refused_until_it_is_accepted(folder: Folder) -> None:
    folder.use(keys=2)
    copy = folder.copy()
    folder.use(keys=3)
    newer = folder.copy()
    folder.put_back(copy)
    for _ in range(2):  # refusing changes nothing
        with pytest.raises(Restored, match="at change 2 and was at change 5") as told:
            folder.use()
        assert "ron-kms restore accept" in told.value.hint
    assert folder.use(accept=True) == 3
    assert [(change.n, change.kind) for change in folder.changes()] == [(1, "key"), (2, "key"), (3, "restore")]
    assert folder.changes()[2].id == "5"
    folder.use(keys=1)
    # What was given up is now the copy that went another way.
    folder.put_back(newer)
    with pytest.raises(Restored, match="change 4 is not the one that it had"):
        folder.use()


def test_an_older_copy_that_was_used_elsewhere_is_refused_too(folder: Folder) -> None:
    folder.use(keys=2)
    copy = folder.copy()
    folder.use(keys=3)
    folder.put_back(copy)
    store = folder.place.open()  # without the data folder
    for _ in range(9):
        add_key(store)
    store.close()
    with pytest.raises(Restored, match="change 5 is not the one that it had"):
        folder.use()
    assert folder.use(accept=True) == 12


def test_accepting_that_was_cut_off_can_be_done_again(folder: Folder) -> None:
    folder.use(keys=2)
    copy = folder.copy()
    folder.use(keys=5)
    folder.put_back(copy)
    mark = folder.mark.read_bytes()
    assert folder.use(accept=True, update=False) == 3
    folder.mark.write_bytes(mark)  # as if it had been killed in between
    with pytest.raises(Restored):
        folder.use()
    assert folder.use(accept=True) == 4
    folder.use()


def test_nothing_to_accept(folder: Folder) -> None:
    folder.use(keys=2)
    assert folder.use(accept=True) is None
    assert len(folder.changes()) == 2


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: text.replace('"change": 2', '"change": 1'),
        lambda text: text.replace('"tip": "', '"tip": "00'),
        lambda text: text.replace('"seen": "2', '"seen": "3'),
        lambda text: text.replace('"mac": "', '"mac": "zz'),
        lambda text: text.replace('"format": 1', '"format": 2'),
        lambda text: text[:-9],
        lambda text: "",
        lambda text: "[]",
        lambda text: "\udcff",
    ],
)
def test_an_edited_mark_is_refused(folder: Folder, edit) -> None:  # type: ignore[no-untyped-def]
    folder.use(keys=2)
    folder.mark.write_bytes(edit(folder.mark.read_text()).encode("utf-8", "surrogateescape"))
    with pytest.raises(Restored, match="not this store's"):
        folder.use()
    assert folder.use(accept=True) == 3
    assert folder.changes()[2].id == "unknown"
    folder.use()


def test_another_store_is_refused(folder: Folder) -> None:
    folder.use(keys=2)
    folder.place.file.unlink()
    folder.place.root.unlink()
    with pytest.raises(Restored, match="another store"):
        folder.use()


def test_an_edited_change_is_corrupt_and_cannot_be_accepted(folder: Folder) -> None:
    folder.use(keys=2)
    store = folder.place.open()
    store.database.write(lambda c: c.exec_driver_sql("UPDATE changes SET id = 'x' WHERE n = 2").close()).result()
    store.close()
    with pytest.raises(StoreCorrupt):
        folder.use(accept=True)


def test_the_service_and_the_command(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    backup = tmp_path / "backup"
    with serving(data_dir, workers="1") as service, service.client() as client:
        create(client)
        done(data_dir, "backup", "--to", str(backup))
        gone = create(client)
        mark = data_dir / MARK
        assert until(lambda: mark.exists() and json.loads(mark.read_text())["change"] == 4)  # while it runs
        assert "in use by another ron-kms" in refused(data_dir, "restore", "accept")
        create(client)
        assert service.stop() == 0
        assert json.loads(mark.read_text())["change"] == 5
    assert "whole: made 20" in done(data_dir, "restore", "check", str(backup))
    (data_dir / "ron-kms.db").unlink()
    shutil.copy(backup / "ron-kms.db", data_dir / "ron-kms.db")
    ended = run(data_dir, "serve")
    assert ended.returncode == 1
    assert "the store is at change 3 and was at change 5" in ended.stderr
    assert "ron-kms restore accept" in ended.stderr
    assert done(data_dir, "restore", "accept") == "accepted, and recorded as change 4\n"
    assert "nothing to accept" in done(data_dir, "restore", "accept")
    with serving(data_dir, workers="1") as service, service.client() as client:
        assert client.get(f"/keys/{gone.split('#')[0]}").status_code == 404
        create(client)
        service.process.send_signal(signal.SIGKILL)
        service.process.wait()
    with serving(data_dir, workers="1"):
        pass


def test_without_a_store(tmp_path: Path) -> None:
    assert "there is no store at" in refused(tmp_path / "data", "restore", "accept")
    assert not (tmp_path / "data").exists()
    assert "cannot be read" in refused(tmp_path / "data", "restore", "check", str(tmp_path / "none"))
