"""Row authentication: the one way in which rows enter and leave the tables.

A row's ``mac`` is HMAC-SHA256 under the store's row key over the table's name and every column that is not NULL, each
as name, kind, length and value, in the order of their names. So no column can be changed, no value moved to another
column, row or table, and no type swapped for another, without the row being refused when it is next loaded.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, Table, and_, select, update

from ron_kms._core import SecretKey
from ron_kms.errors import Conflict, StoreCorrupt
from ron_kms.store.schema import Kind

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_HARMLESS = re.compile(r"[A-Za-z0-9._:/@-]{1,200}")
_NUMBER = struct.Struct(">q")
_SIZE = struct.Struct(">Q")


class Rows:
    """Writes rows with their MAC and checks it on every row that is read.

    Values are None, int, str, bytes, bool and aware datetimes, as the table's :class:`~ron_kms.store.schema.Kind` say;
    anything else is a TypeError that names the column.
    """

    def __init__(self, key: SecretKey) -> None:
        self._key = key

    def insert(self, connection: Connection, table: Table, values: Mapping[str, object]) -> None:
        """:raises ron_kms.errors.Conflict: a row with this primary key exists (said by the database's threads)."""
        connection.execute(table.insert(), self._stored(table, values))

    def update(
        self, connection: Connection, table: Table, current: Mapping[str, object], changes: Mapping[str, object]
    ) -> dict[str, Any]:
        """Change a row that was loaded in this transaction, and return it as it is now.

        :param current: the whole row as :meth:`load` gave it.
        :raises ron_kms.errors.Conflict: the row is no longer as ``current`` says.
        """
        changed = {**current, **changes}
        before = self._stored(table, current)
        same = and_(*(column == before[column.name] for column in (*table.primary_key, table.c.mac)))
        if connection.execute(update(table).where(same).values(self._stored(table, changed))).rowcount != 1:
            raise Conflict(f"row {_name(table, before)} of table {table.name} was changed meanwhile")
        return changed

    def find(self, connection: Connection, table: Table, *primary: object) -> dict[str, Any] | None:
        """The row with this primary key, checked, or None."""
        same = and_(*(column == value for column, value in zip(table.primary_key, primary, strict=True)))
        row = connection.execute(select(table).where(same)).one_or_none()
        return None if row is None else self.load(table, row)

    def tag(self, table: Table, values: Mapping[str, object]) -> bytes:
        """The MAC of a row with these values."""
        tag: bytes = self._stored(table, values)["mac"]
        return tag

    def load(self, table: Table, row: Sequence[Any]) -> dict[str, Any]:
        """The values of a row as it came from the database.

        :param row: all columns of the table, in its order.
        :raises ron_kms.errors.StoreCorrupt: the row is not as ron-kms wrote it.
        """
        shape = _shape(table)
        message = [shape.header]
        values: dict[str, Any] = {}
        for column in shape.columns:
            stored = row[column.place]
            values[column.name] = stored
            if stored is None:
                continue
            if type(stored) is not column.kind.stored:
                raise _corrupt(table, row)
            message += column.encode(stored)
        tag = row[shape.mac]
        if type(tag) is not bytes or not self._key.check(b"".join(message), tag):
            raise _corrupt(table, row)
        for name in shape.flags:
            values[name] = None if values[name] is None else bool(values[name])
        for name in shape.times:
            values[name] = None if values[name] is None else _EPOCH + values[name] * _MICROSECOND
        return values

    def _stored(self, table: Table, values: Mapping[str, object]) -> dict[str, Any]:
        shape = _shape(table)
        unknown = values.keys() - shape.names
        if unknown:
            raise TypeError(f"table {table.name} has no column {', '.join(sorted(unknown))}")
        message = [shape.header]
        stored: dict[str, Any] = {}
        for column in shape.columns:
            value = stored[column.name] = column.store(values.get(column.name), table)
            if value is not None:
                message += column.encode(value)
        stored["mac"] = self._key.mac(b"".join(message))
        return stored


def stored_time(moment: datetime) -> int:
    """An aware time as the tables hold it, for comparisons in queries."""
    return (moment - _EPOCH) // _MICROSECOND


class _Column(NamedTuple):
    name: str
    place: int
    kind: Kind
    nullable: bool
    prefix: bytes

    def store(self, value: object, table: Table) -> int | str | bytes | None:
        """The value as the database holds it."""
        match self.kind, value:
            case _, None if self.nullable:
                return None
            case Kind.FLAG, bool():
                return int(value)
            case Kind.TIME, datetime() if value.tzinfo is not None:
                return stored_time(value)
            case Kind.INTEGER, int() if not isinstance(value, bool):
                return value
            case (Kind.TEXT, str()) | (Kind.BYTES, bytes()):
                return value  # type: ignore[return-value] # a tuple's patterns do not narrow it
        raise TypeError(f"column {self.name} of table {table.name} does not take a {type(value).__name__}")

    def encode(self, value: Any) -> tuple[bytes, bytes, bytes]:
        """Name and kind, length, value: what of this column goes into the row's MAC."""
        if self.kind.stored is int:
            value = _NUMBER.pack(value)
        elif self.kind.stored is str:
            # The way back of what sqlite.py does to text that is not UTF-8, so that the bytes are those of the file.
            value = value.encode("utf-8", "surrogateescape")
        return self.prefix, _SIZE.pack(len(value)), value


class _Shape(NamedTuple):
    header: bytes
    columns: tuple[_Column, ...]
    names: frozenset[str]
    flags: tuple[str, ...]
    times: tuple[str, ...]
    mac: int


@cache
def _shape(table: Table) -> _Shape:
    columns = []
    for place, column in enumerate(table.columns):
        kind = column.info["kind"]
        if column.name != "mac":
            prefix = _counted(column.name) + bytes([kind.tag])
            columns.append(_Column(column.name, place, kind, bool(column.nullable), prefix))
    columns.sort()
    return _Shape(
        header=b"ron-kms/row/v1\0" + _counted(table.name),
        columns=tuple(columns),
        names=frozenset(column.name for column in columns),
        flags=tuple(column.name for column in columns if column.kind is Kind.FLAG),
        times=tuple(column.name for column in columns if column.kind is Kind.TIME),
        mac=list(table.columns.keys()).index("mac"),
    )


def _counted(name: str) -> bytes:
    return _SIZE.pack(len(name.encode())) + name.encode()


def _corrupt(table: Table, row: Sequence[Any]) -> StoreCorrupt:
    stored = dict(zip(table.columns.keys(), row, strict=True))
    return StoreCorrupt(
        f"row {_name(table, stored)} of table {table.name} fails its authentication: it was changed outside ron-kms"
    )


def _name(table: Table, stored: Mapping[str, object]) -> str:
    """A row's primary key as messages tell it; whatever does not look like a name is left out."""
    parts = [str(stored[column.name]) for column in table.primary_key]
    return "/".join(part if _HARMLESS.fullmatch(part) else "(unreadable)" for part in parts)
