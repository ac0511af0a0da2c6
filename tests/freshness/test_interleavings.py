"""Reading and hearing of a change, in every order."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

import pytest
from sqlalchemy import Table

from ron_kms.crypto.suites import SUITES
from ron_kms.custody.core import Custodian
from ron_kms.keys.directory import Directory, Entry
from ron_kms.model import Kid, Version
from ron_kms.store.bootstrap import Store
from ron_kms.store.horizon import Horizon
from ron_kms.store.keys import load_version
from ron_kms.store.rows import Rows
from ron_kms.store.schema import KEY_VERSIONS
from tests.freshness.parts import make, run, serve, set_state, touch


class SlowRows(Rows):
    """Stops a reader where it has read a version and holds it."""

    def __init__(self, rows: Rows) -> None:
        self.__dict__ = rows.__dict__
        self.holding, self.go_on = threading.Event(), threading.Event()

    def load(self, table: Table, row: Sequence[Any]) -> dict[str, Any]:
        values = super().load(table, row)
        if table is KEY_VERSIONS:
            self.holding.set()
            assert self.go_on.wait(10)
        return values


async def block(future: Future[Any]) -> Any:
    return future.result()


def find(directory: Directory, kid: Kid) -> Entry:
    looking = directory.find([kid])
    try:
        looking.send(None)  # type: ignore[attr-defined]
    except StopIteration as end:
        entry = end.value[kid]
        assert isinstance(entry, Entry)
        return entry
    raise AssertionError


@pytest.fixture
def kid(store: Store) -> Kid:
    async def made() -> Kid:
        kms = serve(store)
        try:
            return await make(kms)
        finally:
            kms.watcher.close()
            kms.queue.close()

    return run(made())


@pytest.mark.parametrize("heard_first", [True, False])
def test_an_entry_read_before_a_change_is_not_kept_beyond_it(store: Store, kid: Kid, heard_first: bool) -> None:
    horizon = Horizon()
    slow = SlowRows(store.rows)
    directory = Directory(store.database, slow, block, horizon)
    found: list[Entry] = []
    reading = threading.Thread(target=lambda: found.append(find(directory, kid)))
    reading.start()
    assert slow.holding.wait(10)
    n = set_state(store, kid, "disabled")
    if heard_first:
        horizon.note(kid.uuid, n)
    slow.go_on.set()
    reading.join(10)
    assert found[0].state == "enabled"
    if not heard_first:
        cached = directory.cached(kid)
        assert cached is not None
        assert cached.state == "enabled"
        horizon.note(kid.uuid, n)
    assert horizon.outdated(kid.uuid, found[0].seen)
    assert directory.cached(kid) is None
    assert directory.cached(kid.at(None)) is None
    assert find(directory, kid).state == "disabled"
    assert directory.cached(kid) is not None


def test_an_older_reading_that_ends_later_replaces_nothing_newer(store: Store, kid: Kid) -> None:
    directory = Directory(store.database, store.rows, block, Horizon())
    slow = SlowRows(store.rows)
    slowly = threading.Thread(
        target=lambda: store.database.read(
            lambda c: [directory.remember(*row, 1) for row in [load_version(c, slow, kid)] if row]
        ).result()
    )
    slowly.start()
    assert slow.holding.wait(10)
    set_state(store, kid, "disabled")
    assert find(directory, kid).state == "disabled"
    slow.go_on.set()
    slowly.join(10)
    for name in (kid, kid.at(None)):
        cached = directory.cached(name)
        assert cached is not None
        assert cached.state == "disabled"


def test_what_a_process_reads_after_its_own_change_is_kept(store: Store, kid: Kid) -> None:
    horizon = Horizon()
    directory = Directory(store.database, store.rows, block, horizon)
    find(directory, kid)
    horizon.note(kid.uuid, touch(store, kid))
    assert directory.cached(kid) is None
    find(directory, kid)
    assert directory.cached(kid) is not None


def test_a_private_key_read_before_a_change_is_not_kept_beyond_it(store: Store) -> None:
    horizon = Horizon()
    custodian = Custodian(store.keys, 16, horizon)
    kid = Kid("acme", "audit", "01932c07-209c-7e1b-8f31-2f1c4c0d5f1a", 1)
    version: Version = custodian.create(kid, SUITES["ed25519"])
    custodian.unseal(kid, version, 3)
    assert custodian.find(kid) is not None
    horizon.note(kid.uuid, 4)
    custodian.forget({kid.uuid})
    assert custodian.find(kid) is None
    slot = custodian.unseal(kid, version, 3)
    assert not slot.closed
    assert custodian.find(kid) is None
    custodian.unseal(kid, version, 4)
    assert custodian.loaded == 1
