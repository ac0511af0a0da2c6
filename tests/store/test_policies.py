"""Policies at rest: written with their plan and head, and refused when anything of it was edited or taken out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pysqlite3 import dbapi2 as sqlite

from ron_kms.errors import StoreCorrupt
from ron_kms.model import Policy
from ron_kms.policy.cache import Policies
from ron_kms.store import changes
from ron_kms.store.bootstrap import Store, open_store
from ron_kms.store.policies import load_named, load_policy, rolled_back, save_policy

NOW = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(f"sqlite:///{tmp_path}/keys.db", f"keyfile:{tmp_path}/root.key")
    yield store
    store.close()


def _save(store: Store, tenant: str, policy: Policy, named: bytes = b"") -> Policy:
    return store.database.write(lambda c: save_policy(c, store.rows, tenant, policy, named)).result()


def _load(store: Store, tenant: str) -> Policy | None:
    return store.database.read(lambda c: load_policy(c, store.rows, tenant)).result()


def _named(store: Store, tenant: str, revision: int) -> bytes:
    return store.database.read(lambda c: load_named(c, store.rows, tenant, revision)).result()


def test_written_and_read(store: Store) -> None:
    assert _load(store, "acme") is None
    first = _save(store, "acme", Policy(2, 40, stepped=NOW), b"n" * 20)
    assert first == Policy(2, 40, revision=1, stepped=NOW)
    assert _load(store, "acme") == first
    assert _named(store, "acme", 1) == b"n" * 20
    second = _save(store, "acme", Policy(1, 100, 1, NOW, rolled_back=NOW, rolled_back_by="k#v1"))
    assert _load(store, "acme") == second
    assert (_named(store, "acme", 1), _named(store, "acme", 2)) == (b"", b"")
    _save(store, "other", Policy(3, 100, stepped=NOW))
    assert store.database.read(lambda c: rolled_back(c, store.rows, 9)).result() == ["acme"]
    found = store.database.read(lambda c: changes.since(c, store.rows, 0, 9)).result()
    assert [(change.kind, change.id) for change in found][-3:] == [
        ("policy", "acme"),
        ("policy", "acme"),
        ("policy", "other"),
    ]


def test_a_policy_is_written_over_the_one_that_was_read(store: Store) -> None:
    _save(store, "acme", Policy(2, 40, stepped=NOW))
    with pytest.raises(ValueError, match="was read"):
        _save(store, "acme", Policy(3, 40, stepped=NOW))


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE policies SET phase = 1",
        "UPDATE policies SET rollout_percent = 0",
        "DELETE FROM policies WHERE tenant = 'acme'",
        "DELETE FROM tenant_heads WHERE tenant = 'acme'",
        "UPDATE tenant_heads SET digest = x'00' WHERE tenant = 'acme'",
        "DELETE FROM policies WHERE tenant = 'acme'; DELETE FROM tenant_heads WHERE tenant = 'acme'",
        "DELETE FROM policies; DELETE FROM tenant_heads WHERE tenant != ''",
        "UPDATE policies SET tenant = 'acme2' WHERE tenant = 'acme'",
        "DELETE FROM policies WHERE tenant = 'acme'; UPDATE tenant_heads SET tenant = 'x' WHERE tenant = 'acme'",
        (
            "DELETE FROM policies WHERE tenant = 'acme'; DELETE FROM tenant_heads WHERE tenant = 'acme'; "
            "UPDATE tenant_heads SET revision = 1 WHERE tenant = ''"
        ),
    ],
)
def test_whatever_is_edited_or_taken_out_is_refused(store: Store, tmp_path: Path, edit: str) -> None:
    for tenant in ("acme", "other"):
        _save(store, tenant, Policy(2, 100, stepped=NOW))
    _edit(tmp_path, edit)
    with pytest.raises(StoreCorrupt):
        _load(store, "acme")


def test_an_older_policy_row_put_back_is_refused(store: Store, tmp_path: Path) -> None:
    _save(store, "acme", Policy(1, 100, stepped=NOW))
    with sqlite.connect(str(tmp_path / "keys.db")) as raw:
        old: Any = raw.execute("SELECT * FROM policies").fetchone()
    raw.close()
    _save(store, "acme", Policy(2, 100, 1, NOW))
    with sqlite.connect(str(tmp_path / "keys.db")) as raw:
        raw.execute("DELETE FROM policies")
        raw.execute(f"INSERT INTO policies VALUES ({','.join('?' * len(old))})", old)
    raw.close()
    with pytest.raises(StoreCorrupt, match="tenant_heads"):
        _load(store, "acme")


def test_a_plan_that_was_changed_is_refused(store: Store, tmp_path: Path) -> None:
    _save(store, "acme", Policy(2, 100, stepped=NOW), b"n" * 20)
    _save(store, "other", Policy(2, 100, stepped=NOW), b"m" * 20)
    _edit(tmp_path, "DELETE FROM policy_plans WHERE tenant = 'acme'")
    with pytest.raises(StoreCorrupt, match="policy_plans"):
        _named(store, "acme", 1)
    _edit(tmp_path, "UPDATE policy_plans SET named = x'00' WHERE tenant = 'other'")
    with pytest.raises(StoreCorrupt, match="policy_plans"):
        _named(store, "other", 1)


def _edit(place: Path, script: str) -> None:
    with sqlite.connect(str(place / "keys.db")) as raw:
        raw.executescript(script)
    raw.close()


class _Readers:
    """A store whose reads can be held up."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.meanwhile: Any = None

    def read(self, job: Any) -> Any:
        future = self._store.database.read(job)
        future.exception()
        if self.meanwhile is not None:
            self.meanwhile()
        return future


async def _now(future: Any) -> Any:
    return future.result()


def _find(policies: Policies, *tenants: str) -> Any:
    try:
        policies.find(tenants).send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waited")


def test_the_cache_is_bounded_and_never_keeps_what_is_older_than_a_change(store: Store) -> None:
    readers = _Readers(store)
    told: list[str] = []
    policies = Policies(
        readers,  # type: ignore[arg-type]
        store.rows,
        _now,
        Policy(1, 100),
        lambda tenant, _: told.append(tenant),
        bound=2,
    )
    assert _find(policies, "a", "b") == {"a": Policy(1, 100), "b": Policy(1, 100)}
    assert _find(policies, "a", "b")
    assert told == ["a", "b"]
    _find(policies, "c")
    _find(policies, "a")
    assert told == ["a", "b", "c", "a"], "the least recently used made room"
    saved = _save(store, "a", Policy(2, 100, stepped=NOW))
    policies.forget(["a"])
    assert _find(policies, "a")["a"] == saved
    policies.forget(["a"])
    readers.meanwhile = lambda: policies.forget(["a"])  # told of a change between reading and keeping
    _find(policies, "a")
    readers.meanwhile = None
    newer = _save(store, "a", Policy(3, 100, 1, NOW))
    assert _find(policies, "a")["a"] == newer


def test_a_corrupt_policy_fails_its_tenant_alone(store: Store, tmp_path: Path) -> None:
    for tenant in ("acme", "other"):
        _save(store, tenant, Policy(2, 100, stepped=NOW))
    _edit(tmp_path, "UPDATE policies SET phase = 0 WHERE tenant = 'acme'")
    policies = Policies(store.database, store.rows, _now, Policy(1, 100), lambda *_: None)
    found = _find(policies, "acme", "other")
    assert isinstance(found["acme"], StoreCorrupt)
    assert isinstance(found["other"], Policy)
