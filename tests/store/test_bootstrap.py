"""The first start and every one after it: a root key is never made over old data."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pysqlite3 import dbapi2 as sqlite

from ron_kms._core import SecretKey
from ron_kms.errors import ConfigurationError, KmsError, RootKeyError, StoreCorrupt
from ron_kms.root.handle import RootKey
from ron_kms.root.keyfile import Keyfile
from ron_kms.store import keys
from ron_kms.store.bootstrap import attach, prepare
from ron_kms.store.rows import Rows
from ron_kms.store.schema import ROOT
from ron_kms.store.sqlite import transaction
from tests.store.sample import Place, add_key


def test_the_first_start_makes_a_root_and_later_ones_open_what_it_sealed(place: Place) -> None:
    store = place.open()
    seal = store.keys.tenant_seal("acme").id
    kid = add_key(store)
    store.close()
    store = place.open()
    assert store.keys.tenant_seal("acme").id == seal
    assert store.database.read(lambda connection: keys.load_version(connection, store.rows, kid)).result() is not None
    store.close()
    assert place.root.stat().st_mode & 0o777 == 0o600


def test_a_worker_attaches_with_the_root_that_it_was_handed(place: Place) -> None:
    root = prepare(place.url, place.seal)
    with os.fdopen(os.memfd_create("root"), "r+b") as carrier:
        root.send(carrier.fileno())
        root.release()
        carrier.seek(0)
        handed = RootKey.receive(carrier.fileno())
    store = attach(place.url, handed)
    handed.release()
    add_key(store)
    store.close()


def test_a_root_key_without_a_store_is_used(place: Place) -> None:
    """As after a crash between making the one and claiming it in the other."""
    made = Keyfile(place.root).create()
    root = prepare(place.url, place.seal)
    assert root.id == made.id


@pytest.mark.parametrize("with_keys", [False, True])
def test_a_store_without_its_root_key_is_refused(place: Place, with_keys: bool) -> None:
    store = place.open()
    if with_keys:
        add_key(store)
    store.close()
    kept = place.root.read_bytes()
    before = place.file.read_bytes()
    loaded = Keyfile(place.root).load()
    assert loaded is not None
    place.root.unlink()
    with pytest.raises(RootKeyError) as refused:
        place.open()
    assert str(place.root) in refused.value.message
    assert "is missing" in refused.value.message
    assert loaded.id in refused.value.message
    assert "backup" in refused.value.hint
    assert not place.root.exists()
    assert place.file.read_bytes() == before
    place.root.write_bytes(kept)
    place.root.chmod(0o600)
    place.open().close()


def test_a_wrong_root_key_is_refused_and_nothing_is_changed(place: Place) -> None:
    place.open().close()
    right = Keyfile(place.root).load()
    assert right is not None
    before = place.file.read_bytes()
    place.root.unlink()
    wrong = Keyfile(place.root).create()
    with pytest.raises(RootKeyError) as refused:
        place.open()
    for part in (str(place.root), right.id, wrong.id):
        assert part in refused.value.message
    with pytest.raises(RootKeyError):
        attach(place.url, wrong)
    assert place.file.read_bytes() == before


def test_a_malformed_or_open_root_key_is_refused(place: Place) -> None:
    place.open().close()
    place.root.chmod(0o644)
    with pytest.raises(RootKeyError, match="others"):
        place.open()
    place.root.write_bytes(b"nonsense")
    place.root.chmod(0o600)
    with pytest.raises(RootKeyError, match="does not hold a root key"):
        place.open()
    assert place.root.read_bytes() == b"nonsense"


def test_a_bad_root_key_is_refused_before_the_first_store_too(place: Place) -> None:
    place.folder.mkdir()
    place.root.write_bytes(b"nonsense")
    place.root.chmod(0o600)
    with pytest.raises(RootKeyError):
        place.open()
    place.root.unlink()
    place.open().close()  # nothing was claimed


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("UPDATE root SET root_id = 'ffffffffffffffff'", StoreCorrupt),
        ("UPDATE root SET root_id = x'00'", StoreCorrupt),
        ("UPDATE root SET seal = 'passphrase'", StoreCorrupt),
        ("UPDATE root SET format = 2", StoreCorrupt),
        ("UPDATE root SET created = created + 1", StoreCorrupt),
        ("UPDATE root SET slot = 2", StoreCorrupt),
        ("UPDATE root SET mac = x'00'", StoreCorrupt),
        ("UPDATE root SET mac = 'text'", StoreCorrupt),
        ("UPDATE root SET wrapped = x'00'", StoreCorrupt),
        ("UPDATE root SET wrapped = zeroblob(72)", StoreCorrupt),
        ("UPDATE root SET wrapped = 7", StoreCorrupt),
        # Both at once cannot be told from another root's row, and must not be taken either.
        ("UPDATE root SET wrapped = zeroblob(72), root_id = 'ffffffffffffffff'", RootKeyError),
    ],
)
def test_an_edited_root_row_is_refused_by_name(place: Place, statement: str, error: type[KmsError]) -> None:
    place.open().close()
    with sqlite.connect(str(place.file)) as raw:
        assert raw.execute(statement).rowcount == 1
    raw.close()
    with pytest.raises(error, match="root"):
        place.open()


def test_a_root_row_that_was_taken_out_is_never_made_anew(place: Place) -> None:
    store = place.open()
    add_key(store)
    store.close()
    with sqlite.connect(str(place.file)) as raw:
        raw.execute("DELETE FROM root")
    raw.close()
    with pytest.raises(StoreCorrupt, match="table root is empty"):
        place.open()
    place.root.unlink()
    with pytest.raises(StoreCorrupt, match="table root is empty"):
        place.open()
    assert not place.root.exists()


def test_a_genuine_row_of_a_later_format_is_refused(place: Place) -> None:
    root = prepare(place.url, place.seal)
    store = attach(place.url, root)
    with transaction(place.file) as connection:
        current = store.rows.find(connection, ROOT, 1)
        assert current is not None
        Rows(store.keys.row_key).update(connection, ROOT, current, {"format": 2})
    store.close()
    with pytest.raises(ConfigurationError, match="format"):
        attach(place.url, root)


def test_attaching_needs_a_prepared_store(place: Place) -> None:
    root = RootKey(SecretKey.generate())
    with pytest.raises(KmsError, match="cannot be opened"):
        attach(place.url, root)
    assert not place.folder.exists()


def test_relative_urls_and_seals_mean_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    prepare("sqlite:///keys.db", "keyfile:root.key").release()
    assert {path.name for path in tmp_path.iterdir()} >= {"keys.db", "root.key"}
