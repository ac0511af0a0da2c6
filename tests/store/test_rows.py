"""Row authentication: what is written comes back, and nothing else is taken."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, Table, create_engine, select

import ron_kms.store
from ron_kms._core import SecretKey
from ron_kms.errors import Conflict, StoreCorrupt
from ron_kms.store.rows import Rows
from ron_kms.store.schema import CHANGES, KEY_VERSIONS, KEYS, METADATA, OPERATIONS, TOKEN_ROOTS, Kind
from tests.store.sample import NOW

ROWS = Rows(SecretKey.generate())

VALUES = {
    Kind.INTEGER: st.integers(-(2**63), 2**63 - 1),
    Kind.TEXT: st.text(st.characters(codec="utf-8")),
    Kind.BYTES: st.binary(max_size=100),
    Kind.FLAG: st.booleans(),
    Kind.TIME: st.datetimes(timezones=st.just(UTC)),
}


@st.composite
def table_and_values(draw: st.DrawFn) -> tuple[Table, dict[str, Any]]:
    table = draw(st.sampled_from(METADATA.sorted_tables))
    values = {}
    for column in table.columns:
        if column.name != "mac":
            strategy = VALUES[column.info["kind"]]
            values[column.name] = draw(st.none() | strategy if column.nullable else strategy)
    return table, values


@pytest.fixture(scope="module")
def connection() -> Iterator[Connection]:
    with create_engine("sqlite://").connect() as connection:
        METADATA.create_all(connection)
        yield connection


def stored(connection: Connection, table: Table, values: dict[str, Any]) -> tuple[Any, ...]:
    """The row as the database gives it back, which then holds nothing again."""
    connection.rollback()
    ROWS.insert(connection, table, values)
    row = tuple(connection.execute(select(table)).one())
    connection.rollback()
    return row


@given(table_and_values())
def test_what_was_written_comes_back(connection: Connection, sample: tuple[Table, dict[str, Any]]) -> None:
    table, values = sample
    connection.rollback()
    METADATA.create_all(connection)
    assert ROWS.load(table, stored(connection, table, values)) == values


@given(table_and_values(), st.data())
def test_any_other_value_in_any_column_is_refused(
    connection: Connection, sample: tuple[Table, dict[str, Any]], data: st.DataObject
) -> None:
    table, values = sample
    connection.rollback()
    METADATA.create_all(connection)
    row = list(stored(connection, table, values))
    place = data.draw(st.integers(0, len(row) - 1))
    other = data.draw(
        st.none()
        | st.integers(-(2**63), 2**63 - 1)
        | st.floats()
        | st.text()
        | st.binary()
        | st.sampled_from([0, 1, b"", "", *row])
    )
    if type(other) is type(row[place]) and other == row[place]:
        return
    row[place] = other
    with pytest.raises(StoreCorrupt, match=f"of table {table.name} "):
        ROWS.load(table, row)


@given(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8")))
def test_moving_the_border_between_two_columns_is_refused(connection: Connection, kind: str, name: str) -> None:
    connection.rollback()
    METADATA.create_all(connection)
    n, _, _, mac = stored(connection, CHANGES, {"n": 1, "kind": kind, "id": name})
    for cut in range(len(kind + name) + 1):
        moved = (kind + name)[:cut], (kind + name)[cut:]
        if moved != (kind, name):
            with pytest.raises(StoreCorrupt):
                ROWS.load(CHANGES, (n, *moved, mac))


def test_rows_of_one_table_are_no_rows_of_another(connection: Connection) -> None:
    twin = Table("twin", METADATA.__class__(), *[column._copy() for column in CHANGES.columns])
    row = stored(connection, CHANGES, {"n": 1, "kind": "key", "id": "x"})
    with pytest.raises(StoreCorrupt, match="row 1 of table twin"):
        ROWS.load(twin, row)


def test_a_row_under_another_key_is_refused(connection: Connection) -> None:
    row = stored(connection, CHANGES, {"n": 1, "kind": "key", "id": "x"})
    with pytest.raises(StoreCorrupt):
        Rows(SecretKey.generate()).load(CHANGES, row)


def test_a_nullable_column_added_later_leaves_old_rows_valid(connection: Connection) -> None:
    row = stored(connection, CHANGES, {"n": 1, "kind": "key", "id": "x"})
    columns = [column._copy() for column in CHANGES.columns]
    extra = TOKEN_ROOTS.c.retired._copy()
    later = Table("changes", METADATA.__class__(), *columns, extra)
    assert ROWS.load(later, (*row, None)) == {"n": 1, "kind": "key", "id": "x", "retired": None}
    with pytest.raises(StoreCorrupt):
        ROWS.load(later, (*row, 0))


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        (CHANGES, "n", True),
        (CHANGES, "n", "1"),
        (CHANGES, "n", None),
        (CHANGES, "id", b"x"),
        (CHANGES, "id", 1),
        (KEYS, "raw_messages", 1),
        (KEYS, "created", NOW.replace(tzinfo=None)),
        (KEYS, "created", 1),
        (KEY_VERSIONS, "blob", "text"),
        (KEY_VERSIONS, "blob", bytearray(b"x")),
        (OPERATIONS, "answer", None),
    ],
)
def test_wrong_types_are_refused_when_written(connection: Connection, table: Table, column: str, value: object) -> None:
    defaults: dict[Kind, object] = {
        Kind.INTEGER: 1,
        Kind.TEXT: "x",
        Kind.BYTES: b"x",
        Kind.FLAG: False,
        Kind.TIME: NOW,
    }
    values = {c.name: defaults[c.info["kind"]] for c in table.columns if c.name != "mac"}
    with pytest.raises(TypeError, match=f"column {column} of table {table.name}"):
        ROWS.insert(connection, table, values | {column: value})


def test_missing_and_unknown_columns_are_refused_when_written(connection: Connection) -> None:
    with pytest.raises(TypeError, match="column id "):
        ROWS.insert(connection, CHANGES, {"n": 1, "kind": "key"})
    with pytest.raises(TypeError, match="no column colour"):
        ROWS.insert(connection, CHANGES, {"n": 1, "kind": "key", "id": "x", "colour": "red"})
    with pytest.raises(TypeError, match="no column mac"):
        ROWS.insert(connection, CHANGES, {"n": 1, "kind": "key", "id": "x", "mac": b"x"})


def test_times_of_any_zone_are_kept_to_the_microsecond(connection: Connection) -> None:
    east = NOW.astimezone(timezone(timedelta(hours=5, minutes=45)))
    row = stored(connection, TOKEN_ROOTS, {"id": "a", "wrapped": b"", "created": east, "retired": None})
    loaded = ROWS.load(TOKEN_ROOTS, row)["created"]
    assert loaded == NOW
    assert loaded.tzinfo is UTC
    assert isinstance(loaded, datetime)


def test_an_update_needs_the_row_as_it_is(connection: Connection) -> None:
    connection.rollback()
    METADATA.create_all(connection)
    ROWS.insert(connection, CHANGES, {"n": 1, "kind": "key", "id": "x"})
    current = ROWS.find(connection, CHANGES, 1)
    assert current is not None
    assert ROWS.update(connection, CHANGES, current, {"id": "y"}) == {"n": 1, "kind": "key", "id": "y"}
    assert ROWS.find(connection, CHANGES, 1) == {"n": 1, "kind": "key", "id": "y"}
    with pytest.raises(Conflict, match="row 1 of table changes"):
        ROWS.update(connection, CHANGES, current, {"id": "z"})
    assert ROWS.find(connection, CHANGES, 2) is None
    connection.rollback()


def test_the_message_names_no_key_that_does_not_look_like_one(connection: Connection) -> None:
    row = list(stored(connection, KEYS, {
        "uuid": "u", "tenant": "t", "purpose": "p", "use": "sign", "raw_messages": False, "labels": "{}",
        "newest": 1, "revision": 1, "created": NOW,
    }))  # fmt: skip
    row[0] = "<script>\n" * 1000
    with pytest.raises(StoreCorrupt) as refused:
        ROWS.load(KEYS, row)
    assert refused.value.message.startswith("row (unreadable) of table keys ")


def test_the_module_is_where_rows_are_written() -> None:
    """No other module of the store inserts or updates: the MAC cannot be forgotten."""
    folder = Path(ron_kms.store.__path__[0])
    for file in folder.glob("*.py"):
        if file.name != "rows.py":
            text = file.read_text()
            assert ".insert()" not in text
            assert not re.search(r"(?<![.\w])update\(|[A-Z]\.update\(", text)
