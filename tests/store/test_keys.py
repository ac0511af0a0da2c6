"""Keys and versions, and reading them page by page."""

from __future__ import annotations

from typing import Any

import pytest
from pysqlite3 import dbapi2 as sqlite
from sqlalchemy import Connection

from ron_kms.errors import BadRequest, StoreCorrupt
from ron_kms.model import Key, Kid, Version, new_uuid
from ron_kms.store import changes, keys
from ron_kms.store.bootstrap import Store
from ron_kms.store.rows import stored_time
from tests.counts import count
from tests.store.sample import NOW, Place, add_key, key, version


def load(store: Store, kid: Kid) -> tuple[Key, list[Version]] | None:
    return store.database.read(lambda connection: keys.load_key(connection, store.rows, kid)).result()


def load_one(store: Store, kid: Kid) -> tuple[Key, Version] | None:
    return store.database.read(lambda connection: keys.load_version(connection, store.rows, kid)).result()


def page(store: Store, prefix: tuple[str, ...] = (), after: Kid | None = None, limit: int = 100) -> list[Kid]:
    job = store.database.read(lambda connection: keys.list_keys(connection, store.rows, prefix, after, limit))
    return [found.kid for found in job.result()]


def test_a_key_comes_back_as_it_was(store: Store) -> None:
    new = key()
    kid = add_key(store, new)
    assert load(store, kid) == (new, [version()])
    assert load_one(store, kid) == (new, version())
    assert load_one(store, kid.at(1)) == (new, version())
    assert load(store, kid.at(7)) == (new, [version()])  # of the whole key, whatever version was named


def test_what_is_not_there_is_none(store: Store) -> None:
    kid = add_key(store)
    assert load_one(store, kid.at(2)) is None
    for other in (kid._replace(tenant="other"), kid._replace(purpose="other"), kid._replace(uuid=new_uuid())):
        assert load(store, other) is None
        assert load_one(store, other) is None


def test_a_new_key_is_announced_in_its_own_transaction(store: Store) -> None:
    kid = add_key(store)
    found = store.database.read(lambda connection: changes.since(connection, store.rows, 0, 10)).result()
    assert found == [changes.Change(1, "key", str(kid))]


def test_a_new_key_begins_with_its_first_version(store: Store) -> None:
    with pytest.raises(ValueError, match="version 1"):
        store.database.write(
            lambda connection: keys.insert_key(connection, store.rows, key(), version(number=2))
        ).result()
    assert page(store) == []


def test_pages_are_in_order_and_complete(store: Store) -> None:
    names = [("acme", "audit"), ("acme", "audit"), ("acme", "audit-2"), ("acme-prod", "audit"), ("b", "a"), ("b", "b")]
    kids = sorted(add_key(store, key(*name)) for name in names * 3)
    assert page(store) == kids
    for limit in (1, 4, 17):
        read: list[Kid] = []
        while found := page(store, (), read[-1] if read else None, limit):
            assert len(found) <= limit
            read += found
        assert read == kids


def test_prefixes_match_whole_segments(store: Store) -> None:
    kids = sorted(
        add_key(store, key(*name)) for name in [("acme", "audit"), ("acme", "audit-2"), ("acme-prod", "audit")]
    )
    assert page(store, ("acme",)) == [kid for kid in kids if kid.tenant == "acme"]
    assert page(store, ("acme", "audit")) == [kid for kid in kids if kid[:2] == ("acme", "audit")]
    assert page(store, kids[0][:3]) == kids[:1]
    assert page(store, ("ac",)) == []
    assert page(store, ("acme", "audit", "x")) == []
    assert page(store, ("acme",), kids[0]) == kids[1:2]
    assert page(store, ("acme", "audit"), kids[0]) == []
    assert page(store, kids[0][:3], kids[0]) == []
    with pytest.raises(BadRequest, match="outside"):
        page(store, ("acme",), kids[2])
    with pytest.raises(BadRequest, match="at most"):
        page(store, ("a", "b", "c", "d"))


def steps(connection: Connection, job: Any) -> int:
    """How many times SQLite's machine has done 10 instructions while the job ran."""
    driver = connection.connection.dbapi_connection
    assert driver is not None
    seen = 0

    def tick() -> int:
        nonlocal seen
        seen += 1
        return 0

    driver.set_progress_handler(tick, 10)
    try:
        job(connection)
    finally:
        driver.set_progress_handler(None, 0)
    return seen


def test_a_page_of_many_keys_reads_only_that_page(store: Store, place: Place) -> None:
    """The machine's work for a page is the same among 100 keys and among 100,000."""
    total = count(20_000, 100_000)
    uuids = sorted(new_uuid() for _ in range(total))
    middle = total // 2
    genuine = [add_key(store, key("acme", "audit", uuid)) for uuid in (*uuids[:10], *uuids[middle : middle + 11])]

    def work() -> list[int]:
        jobs = [
            lambda c: keys.list_keys(c, store.rows, (), None, 10),
            lambda c: keys.list_keys(c, store.rows, ("acme",), None, 10),
            lambda c: keys.list_keys(c, store.rows, ("acme", "audit"), None, 10),
            lambda c: keys.list_keys(c, store.rows, (), genuine[10], 10),
            lambda c: keys.list_keys(c, store.rows, ("acme",), genuine[10], 10),
            lambda c: keys.list_keys(c, store.rows, ("acme", "audit"), genuine[10], 10),
            lambda c: keys.load_version(c, store.rows, genuine[10]),
            lambda c: keys.load_versions(c, store.rows, genuine[10:14]),
            lambda c: keys.load_key(c, store.rows, genuine[10]),
            lambda c: keys.due_rotations(c, NOW, 10),
            lambda c: keys.due_destructions(c, NOW, 10),
        ]
        return [store.database.read(lambda c, job=job: steps(c, job)).result() for job in jobs]

    few = work()
    known = {kid.uuid for kid in genuine}
    raw = sqlite.connect(str(place.file))
    raw.executemany(  # rows that would be refused if they were read
        "INSERT INTO keys (uuid, tenant, purpose, use, raw_messages, labels, newest, revision, created, mac)"
        " VALUES (?, 'acme', 'audit', 'sign', 0, '{}', 1, 1, ?, x'00')",
        [(uuid, stored_time(NOW)) for uuid in uuids if uuid not in known],
    )
    raw.commit()
    raw.close()
    many = work()
    assert all(after <= before + 5 for before, after in zip(few, many, strict=True)), (few, many)
    assert page(store, ("acme",), genuine[10], 10) == genuine[11:]


def test_many_are_read_as_each_by_itself(store: Store, place: Place) -> None:
    made = [add_key(store, key(purpose=purpose)) for purpose in ("audit", "other") * 70]
    spoilt, gone, orphan = made[3], made[5], made[7]
    raw = sqlite.connect(str(place.file))
    raw.execute("UPDATE key_versions SET suite = 'ed25519x' WHERE uuid = ?", (spoilt.uuid,))
    raw.execute("DELETE FROM key_versions WHERE uuid = ?", (gone.uuid,))
    raw.execute("PRAGMA foreign_keys = OFF")
    raw.execute("DELETE FROM keys WHERE uuid = ?", (orphan.uuid,))
    raw.commit()
    raw.close()
    asked = [*made, *(kid.at(1) for kid in made), *(kid.at(2) for kid in made[:9]), made[0]._replace(tenant="foreign")]
    asked += [made[0]._replace(uuid=new_uuid()), made[1].at(99)]

    def each(connection: Connection) -> dict[Kid, object]:
        found: dict[Kid, object] = {}
        for kid in asked:
            try:
                pair = keys.load_version(connection, store.rows, kid)
            except StoreCorrupt as error:
                found[kid] = error.message
            else:
                if pair is not None:
                    found[kid] = pair
        return found

    together = store.database.read(lambda c: keys.load_versions(c, store.rows, asked)).result()
    told = {kid: pair.message if isinstance(pair, StoreCorrupt) else pair for kid, pair in together.items()}
    assert told == store.database.read(each).result()
    assert {kid.uuid for kid, pair in together.items() if isinstance(pair, StoreCorrupt)} == {
        spoilt.uuid,
        gone.uuid,
        orphan.uuid,
    }


def test_reading_uses_indexes_only(store: Store) -> None:
    kid, other = add_key(store), add_key(store)
    plans: list[str] = []

    def explain(connection: Connection) -> None:
        driver = connection.connection.dbapi_connection
        assert driver is not None
        statements: list[str] = []
        driver.set_trace_callback(statements.append)
        keys.load_version(connection, store.rows, kid)
        keys.load_versions(connection, store.rows, [kid, kid._replace(uuid=other.uuid), kid.at(1)])
        keys.load_key(connection, store.rows, kid)
        keys.due_rotations(connection, NOW, 10)
        keys.due_destructions(connection, NOW, 10)
        keys.load_version(connection, store.rows, kid._replace(uuid=new_uuid()))
        for prefix in ((), ("acme",), ("acme", "audit"), kid[:3]):
            keys.list_keys(connection, store.rows, prefix, None, 10)
            keys.list_keys(connection, store.rows, prefix, kid, 10)
        driver.set_trace_callback(None)
        assert len(statements) == 16
        for statement in statements:
            plans.extend(row[3] for row in driver.execute(f"EXPLAIN QUERY PLAN {statement}"))

    store.database.read(explain).result()
    assert plans
    for plan in plans:
        assert "USING" in plan
        assert "INDEX" in plan
        assert "TEMP B-TREE" not in plan
