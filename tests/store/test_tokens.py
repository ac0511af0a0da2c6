"""The root keys of tokens at rest."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from ron_kms._core import SecretKey
from ron_kms.errors import NotFound
from ron_kms.store import changes, tokens
from ron_kms.store.bootstrap import Store
from ron_kms.store.tokens import TokenRoot
from tests.store.sample import NOW, Place


@pytest.fixture
def sealing(store: Store) -> Iterator[SecretKey]:
    key = store.keys.derive("token-roots")
    yield key
    key.release()


def insert(store: Store, sealing: SecretKey, root: TokenRoot) -> None:
    store.database.write(lambda c: tokens.insert_token_root(c, store.rows, sealing, root)).result()


def load(store: Store, sealing: SecretKey) -> list[TokenRoot]:
    return store.database.read(lambda c: tokens.load_token_roots(c, store.rows, sealing)).result()


def test_roots_come_back_the_oldest_first(store: Store, sealing: SecretKey) -> None:
    assert load(store, sealing) == []
    roots = [TokenRoot(f"root-{n}", SecretKey.generate(), NOW - timedelta(days=n), None) for n in range(3)]
    for root in roots:
        insert(store, sealing, root)
    loaded = load(store, sealing)
    assert [root.id for root in loaded] == ["root-2", "root-1", "root-0"]
    assert [root.key.id for root in loaded] == [root.key.id for root in reversed(roots)]
    assert [root.created for root in loaded] == [root.created for root in reversed(roots)]


def test_roots_outlive_a_restart(store: Store, sealing: SecretKey, place: Place) -> None:
    root = TokenRoot("a", SecretKey.generate(), NOW, None)
    insert(store, sealing, root)
    again = place.open()
    key = again.keys.derive("token-roots")
    assert [loaded.key.id for loaded in load(again, key)] == [root.key.id]
    again.close()


def test_a_root_is_retired_once(store: Store, sealing: SecretKey) -> None:
    insert(store, sealing, TokenRoot("a", SecretKey.generate(), NOW, None))
    for days in (1, 2):
        moment = NOW + timedelta(days=days)
        store.database.write(lambda c, m=moment: tokens.retire_token_root(c, store.rows, "a", m)).result()
    assert load(store, sealing)[0].retired == NOW + timedelta(days=1)
    found = store.database.read(lambda c: changes.since(c, store.rows, 0, 10)).result()
    assert [(change.kind, change.id) for change in found] == [("token-root", "a"), ("token-root", "a")]
    with pytest.raises(NotFound):
        store.database.write(lambda c: tokens.retire_token_root(c, store.rows, "b", NOW)).result()
