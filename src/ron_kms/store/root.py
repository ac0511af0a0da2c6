"""The root's row: which root key the store belongs to, and the store key that it wraps."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, select

from ron_kms._core import CoreError
from ron_kms.errors import ConfigurationError, RootKeyError, StoreCorrupt
from ron_kms.root.handle import RootKey, StoreKeys
from ron_kms.root.seals import Seal
from ron_kms.store import changes
from ron_kms.store.rows import Rows
from ron_kms.store.schema import METADATA, ROOT

_FORMAT = 1
_ROOT_ID = re.compile(r"[0-9a-f]{16}")
_SEAL = re.compile(r"[a-z0-9]{1,20}")


def root_row(connection: Connection) -> Sequence[Any] | None:
    """The one row, or None in a store that holds nothing at all.

    :raises StoreCorrupt: it was taken out, or there are several.
    """
    found = connection.execute(select(ROOT).limit(2)).all()
    if len(found) > 1:
        raise StoreCorrupt("table root holds more than one row: it was changed outside ron-kms")
    if found:
        return found[0]
    for table in METADATA.sorted_tables:
        if connection.execute(select(table).limit(1)).first() is not None:
            raise StoreCorrupt(f"table root is empty, though table {table.name} is not: its row was taken out")
    return None


def claim(connection: Connection, root: RootKey, seal: str) -> None:
    """Give a new store its key, wrapped by the root, which rests in a seal of this name."""
    keys = StoreKeys.generate()
    try:
        values = {
            "slot": 1,
            "root_id": root.id,
            "seal": seal,
            "format": _FORMAT,
            "wrapped": root.wrap(keys),
            "created": datetime.now(UTC),
        }
        Rows(keys.row_key).insert(connection, ROOT, values)
    finally:
        keys.release()


def rewrap(
    connection: Connection, root: RootKey, by: RootKey, place: Seal, note: Callable[[Connection, Rows, str, str], None]
) -> None:
    """Have another root key wrap the store key.

    :param root: the one in force.
    :param by: the one that takes its place, and rests in ``place``.
    :param note: records it, with the ids of both.
    :raises RootKeyError, StoreCorrupt: as :func:`unlock`.
    """
    row = root_row(connection)
    keys = unlock(row, root, "root key")
    assert row is not None  # noqa: S101 - it was unlocked
    try:
        rows = Rows(keys.row_key)
        values = {"root_id": by.id, "seal": place.name, "wrapped": by.wrap(keys), "created": datetime.now(UTC)}
        rows.update(connection, ROOT, rows.load(ROOT, row), values)
        changes.record(connection, rows, "root", by.id)
        note(connection, rows, root.id, by.id)
    finally:
        keys.release()


def unlock(row: Sequence[Any] | None, root: RootKey, place: str) -> StoreKeys:
    """The store key, from a row that is proven genuine by the key that it holds.

    :param place: where the root key was found, in words.
    :raises RootKeyError: the store belongs to another root.
    :raises StoreCorrupt: the row was edited or is missing.
    """
    if row is None:
        raise StoreCorrupt("table root is empty: the store was never started, or its row was taken out")
    wrapped = row[ROOT.columns.keys().index("wrapped")]
    try:
        keys = root.unwrap(wrapped if isinstance(wrapped, bytes) else b"")
    except CoreError:
        if root_id(row) == root.id:
            raise StoreCorrupt("row 1 of table root holds a store key that does not open: it was changed") from None
        raise RootKeyError(
            f"the {place} holds root key {root.id}, and the store is sealed with root key {root_id(row)}"
            f" (seal: {seal_name(row)})",
            hint="Name the root key that belongs to this store, or the store that belongs to this root key.",
        ) from None
    try:
        if Rows(keys.row_key).load(ROOT, row)["format"] != _FORMAT:
            raise ConfigurationError("row 1 of table root has a format that this version of ron-kms does not know")
    except BaseException:
        keys.release()
        raise
    return keys


def root_id(row: Sequence[Any]) -> str:
    """The root's id as the row says, which is not proven at this point."""
    text = str(row[ROOT.columns.keys().index("root_id")])
    return text if _ROOT_ID.fullmatch(text) else "(unreadable)"


def seal_name(row: Sequence[Any]) -> str:
    """The kind of seal that the root rests in, as the row says, unproven."""
    text = str(row[ROOT.columns.keys().index("seal")])
    return text if _SEAL.fullmatch(text) else "(unreadable)"
