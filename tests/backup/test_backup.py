"""A backup is one state of the store, private and whole, without the root key, made while the store is used."""

from __future__ import annotations

import json
import shutil
import stat
import threading
from pathlib import Path

import pytest
from blake3 import blake3

from ron_kms.errors import ConfigurationError, KmsError, StoreCorrupt
from ron_kms.store import changes, keys
from ron_kms.store.backup import COPY, MANIFEST, back_up, check_backup
from ron_kms.store.bootstrap import Store, open_store
from tests.backup.command import done, refused
from tests.counts import count
from tests.server.service import DIGEST, create, serving
from tests.store.sample import Place, add_key


def place_with(tmp_path: Path, number: int) -> Place:
    place = Place(tmp_path / "data")
    store = place.open()
    for _ in range(number):
        add_key(store)
    store.close()
    return place


def restored(folder: Path, place: Place, to: Path) -> Store:
    """The backup as a store of its own, opened with the root key of the store that it was made of."""
    shutil.copytree(folder, to)
    return open_store(f"sqlite:///{to / COPY}", place.seal)


def last_change(store: Store) -> int:
    return store.database.read(lambda connection: changes.latest(connection, store.rows)).result()


def test_it_holds_what_the_manifest_says_and_opens_with_the_root_key(tmp_path: Path) -> None:
    place = place_with(tmp_path, 3)
    store = place.open()
    kid = add_key(store)
    target = tmp_path / "backup"
    manifest = back_up(place.url, target)
    add_key(store)
    assert last_change(store) == 5
    store.close()
    assert manifest.changes == 4
    assert {path.name for path in target.iterdir()} == {COPY, MANIFEST}
    assert stat.S_IMODE(target.stat().st_mode) == 0o700
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in target.iterdir())
    written = json.loads((target / MANIFEST).read_text())
    content = (target / COPY).read_bytes()
    assert written["files"] == [{"name": COPY, "bytes": len(content), "blake3": blake3(content).hexdigest()}]
    assert written["changes"] == 4
    assert place.root.read_text().strip() not in (target / MANIFEST).read_text()
    assert check_backup(target) == manifest
    opened = restored(target, place, tmp_path / "restored")
    assert last_change(opened) == 4
    assert opened.database.read(lambda connection: keys.load_version(connection, opened.rows, kid)).result() is not None
    opened.close()


def test_what_was_deleted_is_not_in_it(tmp_path: Path) -> None:
    place = place_with(tmp_path, 0)
    store = place.open()
    mark = b"a blob that is to be gone " * 50

    def put_and_take(connection: keys.Connection) -> None:
        connection.exec_driver_sql("CREATE TABLE junk (blob)")
        connection.exec_driver_sql("PRAGMA secure_delete = OFF")
        connection.exec_driver_sql("INSERT INTO junk VALUES (?)", (mark,))

    store.database.write(put_and_take).result()
    store.database.write(lambda connection: connection.exec_driver_sql("DROP TABLE junk").close()).result()
    store.close()
    back_up(place.url, tmp_path / "backup")
    assert mark in place.file.read_bytes()
    assert mark[:20] not in (tmp_path / "backup" / COPY).read_bytes()


def test_copies_of_a_busy_store_are_whole(tmp_path: Path) -> None:
    place = place_with(tmp_path, 0)
    store = place.open()
    stop = threading.Event()
    acknowledged = 0

    def write() -> None:
        nonlocal acknowledged
        while not stop.is_set():
            add_key(store)
            acknowledged += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for i in range(count(5, 50)):
            before = acknowledged
            manifest = back_up(place.url, tmp_path / f"backup{i}")
            assert manifest.changes >= before
            opened = restored(tmp_path / f"backup{i}", place, tmp_path / f"restored{i}")
            number = manifest.changes
            assert last_change(opened) == number
            assert len(opened.database.read(_all_keys(opened)).result()) == number
            opened.close()
    finally:
        stop.set()
        writer.join()
        store.close()


def _all_keys(store: Store):  # type: ignore[no-untyped-def]
    return lambda connection: keys.list_keys(connection, store.rows, "", None, 100_000)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    place = place_with(tmp_path, 1)
    taken = tmp_path / "taken"
    taken.mkdir()
    with pytest.raises(ConfigurationError, match="is there already"):
        back_up(place.url, taken)
    dangling = tmp_path / "link"
    dangling.symlink_to(tmp_path / "nowhere")
    with pytest.raises(ConfigurationError, match="is there already"):
        back_up(place.url, dangling)
    before = set(tmp_path.iterdir())
    with pytest.raises(ConfigurationError, match="cannot be made"):
        back_up(place.url, tmp_path / "no" / "folder")
    assert set(tmp_path.iterdir()) == before


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    place = place_with(tmp_path, 1)
    place.file.write_bytes(b"x" * 8192)
    with pytest.raises(KmsError):
        back_up(place.url, tmp_path / "backup")
    with pytest.raises(ConfigurationError, match="no store"):
        back_up(f"sqlite:///{tmp_path}/none.db", tmp_path / "backup")
    assert {path.name for path in tmp_path.iterdir()} == {"data"}


def test_an_edited_root_row_is_not_passed_on(tmp_path: Path) -> None:
    place = place_with(tmp_path, 1)
    store = place.open()
    store.database.write(lambda c: c.exec_driver_sql("UPDATE root SET root_id = '\x1b[2J'").close()).result()
    store.close()
    with pytest.raises(StoreCorrupt, match="root"):
        back_up(place.url, tmp_path / "backup")
    assert not (tmp_path / "backup").exists()


@pytest.mark.parametrize("what", ["flip", "cut", "missing", "manifest", "root id", "format", "no manifest"])
def test_a_backup_that_was_changed_is_told(tmp_path: Path, what: str) -> None:
    place = place_with(tmp_path, 1)
    target = tmp_path / "backup"
    back_up(place.url, target)
    copy, note = target / COPY, target / MANIFEST
    content = bytearray(copy.read_bytes())
    match what:
        case "flip":
            content[4000] ^= 1
            copy.write_bytes(content)
        case "cut":
            copy.write_bytes(content[:-1])
        case "missing":
            copy.unlink()
        case "manifest":
            note.write_text("{}")
        case "root id":
            note.write_text(note.read_text().replace('"root_id": "', '"root_id": "\\u001b['))
        case "format":
            note.write_text(note.read_text().replace('"format": 2', '"format": 3'))
        case _:
            note.unlink()
    with pytest.raises(ConfigurationError):
        check_backup(target)


def test_the_command_while_the_service_runs(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    target = tmp_path / "backup"
    with serving(data_dir, workers="1") as service, service.client() as client:
        kid = create(client)
        signed = client.post("/sign", json={"kid": kid, "digest": DIGEST}).json()
        assert f"backed up to {target}: 3 changes" in done(data_dir, "backup", "--to", str(target))
        assert "is there already" in refused(data_dir, "backup", "--to", str(target))
        token = service.token
    other = tmp_path / "other"
    other.mkdir(mode=0o700)
    for name in ("root.key", "admin.token"):
        shutil.copy(data_dir / name, other / name)
    shutil.copy(target / COPY, other / "ron-kms.db")
    shutil.copytree(target / "audit", other / "audit")
    with serving(other, workers="1") as service, service.client() as client:
        assert service.token == token
        assert client.post("/verify", json={"digest": DIGEST, **signed}).json()["ok"] is True
        assert client.post("/sign", json={"kid": kid, "digest": DIGEST}).is_success


def test_without_a_store(tmp_path: Path) -> None:
    assert "there is no store at" in refused(tmp_path / "data", "backup", "--to", str(tmp_path / "backup"))
    assert not (tmp_path / "data").exists()
