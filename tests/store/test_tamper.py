"""Someone edits the file by hand: every column of every table, and rows moved, swapped and taken out."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pysqlite3 import dbapi2 as sqlite
from sqlalchemy import Column, Connection, Table, select

from ron_kms._core import SecretKey
from ron_kms.errors import ConfigurationError, KmsError, StoreCorrupt
from ron_kms.model import Policy, new_uuid
from ron_kms.root.handle import RootKey
from ron_kms.root.seals import parse_seal
from ron_kms.store import audit, changes, keys, leases, minted, operations, outbox, policies, revocations, tokens
from ron_kms.store.bootstrap import Store, attach
from ron_kms.store.operations import OpId
from ron_kms.store.schema import KEYS, LEASES, METADATA, OPERATIONS
from tests.store.sample import NOW, Place, add_key

OP = OpId("acme", "token-1", "create", "0b0e4d34-31b0-4d3f-9d6c-2f7a1f0e8f11")
MARK = "tampered-by-hand"
LOG = "a/b/1"


def load_keys(connection: Connection, store: Store) -> None:
    for key in keys.list_keys(connection, store.rows, (), None, 100):
        keys.load_version(connection, store.rows, key.kid)
        keys.load_key(connection, store.rows, key.kid)


def load_operations(connection: Connection, store: Store) -> None:
    for tenant, token, verb, op in connection.execute(select(*OPERATIONS.primary_key)).all():
        operations.find_answer(connection, store.rows, OpId(tenant, token, verb, op), b"digest", NOW)


def load_policies(connection: Connection, store: Store) -> None:
    for tenant in ("acme", "other", "unknown"):
        policies.load_policy(connection, store.rows, tenant)
        policies.load_named(connection, store.rows, tenant, 1)


LOADERS: dict[str, Callable[[Connection, Store], object]] = {
    "root": lambda connection, store: None,  # loaded by attaching
    "keys": load_keys,
    "key_versions": load_keys,
    "changes": lambda connection, store: changes.since(connection, store.rows, 0, 100),
    "operations": load_operations,
    "leases": lambda connection, store: [
        store.rows.load(LEASES, row) for row in connection.execute(select(LEASES)).all()
    ],
    "token_roots": lambda connection, store: tokens.load_token_roots(
        connection, store.rows, store.keys.derive("token-roots")
    ),
    "tokens": lambda connection, store: minted.list_minted(connection, store.rows, (), None, 100),
    "revocations": lambda connection, store: revocations.load_revocations(connection, store.rows),
    "policies": load_policies,
    "policy_plans": load_policies,
    "tenant_heads": load_policies,
    "audit": lambda connection, store: audit.load_logs(connection, store.rows),
    "audit_logs": lambda connection, store: audit.load_logs(connection, store.rows),
    "audit_heads": lambda connection, store: [audit.load_head(connection, store.rows, name) for name in ("a/b/0", LOG)],
    "outbox": lambda connection, store: outbox.waiting_for(connection, store.rows, LOG),
}
"""How each table is read by the rest of ron-kms."""


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A store with rows in every table, and without the rules that would keep a hand from editing it."""
    place = Place(tmp_path_factory.mktemp("tamper") / "data")
    store = place.open()
    for n in range(2):
        add_key(store, blob=b"blob-%d" % n)
    seal = store.keys.derive("token-roots")

    def fill(connection: Connection) -> None:
        operations.keep_answer(connection, store.rows, OP, b"digest", b"answer", NOW)
        leases.acquire(connection, store.rows, "schedule", "holder", NOW, timedelta(seconds=10))
        for n in range(2):
            tokens.insert_token_root(
                connection, store.rows, seal, tokens.TokenRoot(f"t{n}", SecretKey.generate(), NOW, None)
            )

        for n, until in enumerate((None, NOW + timedelta(days=9))):
            one = minted.Minted(new_uuid(), ("acme",), ("kms:sign",), n + 1, until, "t0", "by", "", NOW)
            minted.insert_minted(connection, store.rows, one._replace(created=datetime.now(UTC), expires=None))
            gone = revocations.Revocation(new_uuid(), datetime.now(UTC), "by", None)
            revocations.revoke(connection, store.rows, "acme", [gone])
        for tenant in ("acme", "other"):
            policies.save_policy(connection, store.rows, tenant, Policy(1, 100, stepped=NOW), b"named")
        audit.deployment(connection, store.rows)
        for origin in ("a/b/0", LOG):
            log = audit.AuditLog(origin, "b", "0", "0", b"k", b"blob-", b"k", b"blob-", NOW, "damage", NOW)
            audit.register_log(connection, store.rows, log, b"root")
            outbox.put(connection, store.rows, outbox.Waiting(new_uuid(), origin, b"record"))

    store.database.write(fill).result()
    store.close()
    with sqlite.connect(str(place.file)) as raw:
        raw.execute("PRAGMA writable_schema = ON")
        raw.execute("UPDATE sqlite_master SET sql = replace(sql, ' NOT NULL', '') WHERE type = 'table'")
    raw.close()
    return place


@pytest.fixture(scope="module")
def root(original: Place) -> Iterator[RootKey]:
    loaded = parse_seal(original.seal).load()
    assert loaded is not None
    yield loaded
    loaded.release()


@pytest.fixture
def copy(original: Place, tmp_path: Path) -> Place:
    place = Place(tmp_path / "copy")
    shutil.copytree(original.folder, place.folder)
    return place


def edit(place: Place, *statements: str) -> int:
    """Run statements on the file as a hand would; how many rows they changed."""
    raw = sqlite.connect(str(place.file), isolation_level=None)
    try:
        return sum(raw.execute(part).rowcount for statement in statements for part in statement.split("; "))
    finally:
        raw.close()


def load(place: Place, root: RootKey, table: str) -> None:
    store = attach(place.url, root, readers=1)
    try:
        store.database.read(lambda connection: LOADERS[table](connection, store)).result()
    finally:
        store.close()


def load_all(place: Place, root: RootKey) -> None:
    for table in LOADERS:
        load(place, root, table)


def hand_edits(column: Column[Any]) -> list[str]:
    """SQL expressions: another value of the right kind, and values of every other storage class."""
    name = f'"{column.name}"'
    return [
        "NULL",
        f"coalesce({name}, 0) + 1",
        f"CAST(coalesce({name}, 'x') AS TEXT) || '{MARK}'",
        f"CAST(coalesce({name}, 'x') || '{MARK}' AS BLOB)",
        f"CAST({name} AS TEXT)",
        f"CAST({name} AS BLOB)",
        "CAST(x'ff00fe' AS TEXT)",
        "x'00'",
        "''",
        "0",
        "-9223372036854775807",
        "1.5",
        "'1'",
    ]


def test_every_table_is_read_somewhere() -> None:
    assert LOADERS.keys() == METADATA.tables.keys()


def test_the_untouched_store_loads(copy: Place, root: RootKey) -> None:
    load_all(copy, root)


@pytest.mark.parametrize("table", METADATA.sorted_tables, ids=lambda table: table.name)
def test_every_edit_of_every_column_is_refused_by_name(
    original: Place, root: RootKey, tmp_path: Path, table: Table
) -> None:
    seen = 0
    for column in table.columns:
        for expression in hand_edits(column):
            place = Place(tmp_path / "copy")
            shutil.copytree(original.folder, place.folder)
            change = f'UPDATE "{table.name}" SET "{column.name}" = {expression}'
            where = f'rowid = (SELECT max(rowid) FROM "{table.name}") AND "{column.name}" IS NOT {expression}'
            before = dump(place, table)
            with suppress(sqlite.IntegrityError):  # an integer primary key takes integers only
                edit(place, f"{change} WHERE {where}")
            if dump(place, table) != before and not _absent(table, column, place):
                seen += 1
                with pytest.raises(StoreCorrupt) as refused:
                    load(place, root, table.name)
                message = refused.value.message
                assert table.name in message, (column.name, expression)
                assert "row " in message
                if not column.primary_key:
                    assert MARK not in message
                assert "digest" not in message
                assert "blob-" not in message
            shutil.rmtree(place.folder)
    assert seen >= 4 * len(table.columns)


def dump(place: Place, table: Table) -> list[tuple[object, ...]]:
    raw = sqlite.connect(str(place.file))
    raw.text_factory = bytes
    try:
        columns = ", ".join(f'"{c.name}", typeof("{c.name}")' for c in table.columns)
        return list(raw.execute(f'SELECT {columns} FROM "{table.name}" ORDER BY rowid'))
    finally:
        raw.close()


def _absent(table: Table, column: Column[Any], place: Place) -> bool:
    """Whether the edit gave an operation a name that no request can have: it is then as if it had been deleted."""
    if table is not OPERATIONS or not column.primary_key:
        return False
    raw = sqlite.connect(str(place.file))
    raw.text_factory = bytes
    try:
        kind, text = raw.execute(f'SELECT typeof("{column.name}"), "{column.name}" FROM operations').fetchone()
    finally:
        raw.close()
    return kind != "text" or b"\xff" in text


@pytest.mark.parametrize(
    ("table", "statement"),
    [
        (
            "key_versions",
            "UPDATE key_versions SET blob = (SELECT o.blob FROM key_versions o WHERE o.uuid != key_versions.uuid)",
        ),
        (
            "key_versions",
            "UPDATE key_versions SET (suite, state, public, blob, mac) = (SELECT suite, state, public, blob, mac"  # noqa: ISC004
            " FROM key_versions o WHERE o.uuid != key_versions.uuid)",
        ),
        ("key_versions", "UPDATE key_versions SET mac = (SELECT mac FROM keys k WHERE k.uuid = key_versions.uuid)"),
        ("key_versions", "UPDATE key_versions SET number = 2"),
        (
            "key_versions",
            "INSERT INTO key_versions SELECT uuid, 2, suite, state, public, blob, created, mac, NULL, NULL, NULL"  # noqa: ISC004
            " FROM key_versions",
        ),
        ("key_versions", "DELETE FROM key_versions"),
        ("keys", "UPDATE keys SET tenant = 'other'"),
        ("keys", "UPDATE keys SET newest = 2"),
        ("keys", "UPDATE keys SET uuid = 'f' || substr(uuid, 2)"),
        ("changes", "DELETE FROM changes WHERE n = 2"),
        ("changes", "UPDATE changes SET n = n + 10"),
        ("changes", "INSERT INTO changes SELECT 1 + max(n), kind, id, mac FROM changes"),
        ("token_roots", "UPDATE token_roots SET wrapped = (SELECT wrapped FROM token_roots WHERE id = 't0')"),
        ("token_roots", "UPDATE token_roots SET retired = 0"),
        ("token_roots", "INSERT INTO token_roots SELECT 't2', wrapped, created, retired, mac FROM token_roots LIMIT 1"),
        ("operations", "UPDATE operations SET token_id = 'token-2'"),
        ("revocations", "DELETE FROM revocations"),
        ("revocations", "DELETE FROM revocations WHERE n = 1"),
        ("revocations", "DELETE FROM revocations WHERE n = 2"),
        ("revocations", "UPDATE revocations SET n = n + 1 WHERE n = 2"),
        ("revocations", "UPDATE revocations SET tenant = 'other'"),
        ("tenant_heads", "DELETE FROM revocations; DELETE FROM tenant_heads WHERE tenant = 'acme'"),
        ("tenant_heads", "UPDATE tenant_heads SET last_revocation = 1 WHERE tenant = 'acme'"),
        ("root", "DELETE FROM root"),
        ("root", "INSERT INTO root SELECT 2, root_id, seal, format, wrapped, created, mac FROM root"),
    ],
)
def test_rows_moved_swapped_copied_or_taken_out_are_refused(
    copy: Place, root: RootKey, table: str, statement: str
) -> None:
    assert edit(copy, statement) > 0
    with pytest.raises(StoreCorrupt, match=table):
        load(copy, root, table)


def test_a_key_is_refused_and_not_merely_absent_when_its_row_is_renamed_or_gone(copy: Place, root: RootKey) -> None:
    store = attach(copy.url, root)
    kid = store.database.read(lambda c: keys.list_keys(c, store.rows, (), None, 1)).result()[0].kid
    for statement in (
        f"UPDATE keys SET tenant = 'other' WHERE uuid = '{kid.uuid}'",
        f"UPDATE keys SET uuid = 'x' WHERE uuid = '{kid.uuid}'",
        f"DELETE FROM keys WHERE uuid = '{kid.uuid}'",
    ):
        edit(copy, statement)
        for read in (keys.load_key, keys.load_version):
            with pytest.raises(StoreCorrupt, match=f"row {kid.uuid} of table keys"):
                store.database.read(lambda c, read=read: read(c, store.rows, kid)).result()
        edit(copy, f"UPDATE keys SET uuid = '{kid.uuid}' WHERE uuid = 'x'")
    store.close()


def test_a_forged_row_cannot_be_laundered_by_an_update(copy: Place, root: RootKey) -> None:
    edit(copy, "UPDATE token_roots SET created = created + 1")
    store = attach(copy.url, root)
    with pytest.raises(StoreCorrupt, match="row t0 of table token_roots"):
        store.database.write(lambda c: tokens.retire_token_root(c, store.rows, "t0", NOW)).result()
    store.close()


def test_one_bad_row_spoils_no_other_key(copy: Place, root: RootKey) -> None:
    store = attach(copy.url, root)
    bad, good = store.database.read(lambda c: keys.list_keys(c, store.rows, (), None, 2)).result()
    edit(copy, f"UPDATE key_versions SET state = 'disabled' WHERE uuid = '{bad.uuid}'")
    assert store.database.read(lambda c: keys.load_version(c, store.rows, good.kid)).result() is not None
    with pytest.raises(StoreCorrupt, match=f"row {bad.uuid}/1 of table key_versions"):
        store.database.read(lambda c: keys.load_version(c, store.rows, bad.kid)).result()
    store.close()


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("UPDATE alembic_version SET version_num = '9999'", ConfigurationError),
        ("UPDATE alembic_version SET version_num = x'00ff'", ConfigurationError),
        ("UPDATE alembic_version SET version_num = NULL", ConfigurationError),
        ("UPDATE alembic_version SET version_num = 7", ConfigurationError),
        ("DELETE FROM alembic_version", StoreCorrupt),
        ("INSERT INTO alembic_version VALUES ('0000')", StoreCorrupt),
        ("DROP TABLE alembic_version", StoreCorrupt),
    ],
)
def test_the_start_refuses_an_edited_revision(copy: Place, statement: str, error: type[KmsError]) -> None:
    edit(copy, statement)
    with pytest.raises(error, match="table alembic_version"):
        copy.open()


def test_a_missing_table_or_column_is_a_refusal(copy: Place, root: RootKey) -> None:
    edit(copy, "ALTER TABLE keys DROP COLUMN labels")
    with pytest.raises(StoreCorrupt, match="tables"):
        load(copy, root, "keys")
    edit(copy, f"DROP TABLE {KEYS.name}")
    with pytest.raises(StoreCorrupt, match="tables"):
        load(copy, root, "keys")
