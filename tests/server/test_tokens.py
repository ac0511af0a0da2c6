"""The administrator's first token: once, private, and never at the expense of another one."""

from __future__ import annotations

import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ron_kms.errors import Unauthenticated
from ron_kms.keys.freshness import Watcher
from ron_kms.server.data_dir import DataDirectory
from ron_kms.server.tokens import LABEL, first_token, reset_tokens
from ron_kms.service.issuer import Issuer
from ron_kms.store.bootstrap import Store, open_store
from ron_kms.store.minted import list_minted


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[DataDirectory]:
    with DataDirectory(tmp_path / "data") as opened:
        yield opened


def _open(directory: DataDirectory, name: str = "keys.db") -> Store:
    return open_store(f"sqlite:///{directory.path / name}", f"keyfile:{directory.path / name}.root")


def _tokens(store: Store) -> tuple[Issuer, Watcher]:
    watcher = Watcher(store.database, store.rows)
    return Issuer(store, watcher), watcher


def test_the_first_start_makes_one_and_no_other_does(directory: DataDirectory) -> None:
    store = _open(directory)
    path = first_token(store, directory)
    assert path == directory.path / "admin.token"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    token = path.read_text().strip()
    tokens, watcher = _tokens(store)
    for scope in ("kms:create", "kms:read", "kms:sign", "kms:verify", "kms:admin"):
        caller = tokens.checker.check(token, scope, time.time())
        assert (caller.tenant, caller.prefixes, caller.expires) == (None, (), None)
    watcher.close()
    tokens.release()
    assert first_token(store, directory) is None
    path.unlink()
    assert first_token(store, directory) is None, "whoever took it away meant it"
    store.close()


def test_after_a_crash_before_its_root_was_stored_there_is_a_new_one(directory: DataDirectory) -> None:
    directory.write_secret("admin.token", "worthless\n")
    store = _open(directory)
    path = first_token(store, directory)
    assert path is not None
    tokens, watcher = _tokens(store)
    tokens.checker.check(path.read_text().strip(), "kms:sign", time.time())
    watcher.close()
    tokens.release()
    store.close()


def test_another_store_does_not_cost_the_first_one_its_token(directory: DataDirectory) -> None:
    stores = [_open(directory, "one.db"), _open(directory, "two.db")]
    first = first_token(stores[0], directory)
    assert first is not None
    old = first.read_text()
    first_token(stores[1], directory)
    (kept,) = directory.path.glob("admin.token.*.old")
    assert kept.read_text() == old
    tokens, watcher = _tokens(stores[1])
    with pytest.raises(Unauthenticated):
        tokens.checker.check(old.strip(), "kms:sign", time.time())
    watcher.close()
    tokens.release()
    for store in stores:
        store.close()


@pytest.mark.parametrize("retire", [False, True])
def test_a_lost_token_is_replaced_and_the_others_end_where_that_is_asked_for(
    directory: DataDirectory, retire: bool
) -> None:
    store = _open(directory)
    path = first_token(store, directory)
    assert path is not None
    lost = path.read_text().strip()
    path.unlink()
    assert reset_tokens(store, directory, retire=retire) == path
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    tokens, watcher = _tokens(store)
    caller = tokens.checker.check(path.read_text().strip(), "kms:admin", time.time())
    assert caller.listable() == ()
    if retire:
        with pytest.raises(Unauthenticated):
            tokens.checker.check(lost, "kms:admin", time.time())
    else:
        tokens.checker.check(lost, "kms:admin", time.time())
    listed = store.database.read(lambda connection: list_minted(connection, store.rows, (), None, 10)).result()
    assert {one.label for one in listed} == {LABEL}
    assert caller.token_id in {one.id for one in listed}
    watcher.close()
    tokens.release()
    store.close()
