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
from ron_kms.server.tokens import Tokens, first_token
from ron_kms.store.bootstrap import Store, open_store


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[DataDirectory]:
    with DataDirectory(tmp_path / "data") as opened:
        yield opened


def _open(directory: DataDirectory, name: str = "keys.db") -> Store:
    return open_store(f"sqlite:///{directory.path / name}", f"keyfile:{directory.path / name}.root")


def _tokens(store: Store) -> tuple[Tokens, Watcher]:
    watcher = Watcher(store.database, store.rows)
    return Tokens(store, watcher), watcher


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
