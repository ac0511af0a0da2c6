"""From a store URL and a seal to an opened store: the first start, and every one after it.

The order of the first start: the root key is made and on disk; in the same transaction that found the store empty its
id is claimed there, with the store key that it wraps; only then can anything be sealed. A crash between the two leaves
a root key without a store, which the next start uses. A root key is never made for a store that has one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from ron_kms._core import CoreError
from ron_kms.errors import ConfigurationError, RootKeyError, StoreCorrupt
from ron_kms.root.handle import RootKey, StoreKeys
from ron_kms.root.seals import Seal, parse_seal
from ron_kms.store.database import Database
from ron_kms.store.migrate import migrate
from ron_kms.store.rows import Rows
from ron_kms.store.schema import METADATA, ROOT
from ron_kms.store.sqlite import database_path, transaction

_FORMAT = 1
_ROOT_ID = re.compile(r"[0-9a-f]{16}")


class Store(NamedTuple):
    """An opened store."""

    database: Database
    keys: StoreKeys
    rows: Rows

    def close(self) -> None:
        """Finish what was handed in, then wipe the keys."""
        self.database.close()
        self.keys.release()


def prepare(url: str, seal: str) -> RootKey:
    """Make or migrate the store, and take the root key from its seal; on the first start, make it.

    For the one process that unseals the root. The store is proven to open with it.

    :param url: ``sqlite:///<path>``.
    :param seal: ``keyfile:<path>``.
    :raises RootKeyError: the root key is missing, wrong, malformed or open to others.
    :raises ConfigurationError: URL or seal are not understood, or a newer ron-kms has made the store.
    :raises StoreCorrupt: the root's row was edited.
    :raises StoreUnavailable: the store cannot be used now.
    """
    place = parse_seal(seal)
    migrate(url)
    with transaction(database_path(url)) as connection:
        row = _root_row(connection)
        root = place.load()
        if root is None:
            if row is not None:
                raise RootKeyError(
                    f"the {place} is missing, and the store at {database_path(url)} is sealed with root key {_id(row)}",
                    hint="Put the root key back from its backup, or name its place. A new one would open nothing, so"
                    " none is made.",
                )
            root = place.create()
        try:
            if row is None:
                _claim(connection, root, place)
                row = _root_row(connection)
            _unlock(row, root, str(place)).release()
        except BaseException:
            root.release()
            raise
    return root


def attach(url: str, root: RootKey, *, readers: int = 2) -> Store:
    """Open a prepared store with the root key, which is not needed afterwards.

    :raises RootKeyError: the store belongs to another root.
    :raises StoreCorrupt: the root's row was edited or is missing.
    :raises StoreUnavailable: the store cannot be used now.
    """
    database = Database(url, readers=readers)
    try:
        keys = _unlock(database.read(_root_row).result(), root, "root key")
    except BaseException:
        database.close()
        raise
    return Store(database, keys, Rows(keys.row_key))


def open_store(url: str, seal: str) -> Store:
    """:func:`prepare` and :func:`attach` in one, for a single process."""
    root = prepare(url, seal)
    try:
        return attach(url, root)
    finally:
        root.release()


def _root_row(connection: Connection) -> Sequence[Any] | None:
    found = connection.execute(select(ROOT).limit(2)).all()
    if len(found) > 1:
        raise StoreCorrupt("table root holds more than one row: it was changed outside ron-kms")
    if found:
        return found[0]
    for table in METADATA.sorted_tables:
        if connection.execute(select(table).limit(1)).first() is not None:
            raise StoreCorrupt(f"table root is empty, though table {table.name} is not: its row was taken out")
    return None


def _claim(connection: Connection, root: RootKey, place: Seal) -> None:
    keys = StoreKeys.generate()
    try:
        values = {
            "slot": 1,
            "root_id": root.id,
            "seal": place.name,
            "format": _FORMAT,
            "wrapped": root.wrap(keys),
            "created": datetime.now(UTC),
        }
        Rows(keys.row_key).insert(connection, ROOT, values)
    finally:
        keys.release()


def _unlock(row: Sequence[Any] | None, root: RootKey, place: str) -> StoreKeys:
    """The store key, from a row that is proven genuine by the key that it holds."""
    if row is None:
        raise StoreCorrupt("table root is empty: the store was never started, or its row was taken out")
    wrapped = row[ROOT.columns.keys().index("wrapped")]
    try:
        keys = root.unwrap(wrapped if isinstance(wrapped, bytes) else b"")
    except CoreError:
        if _id(row) == root.id:
            raise StoreCorrupt("row 1 of table root holds a store key that does not open: it was changed") from None
        raise RootKeyError(
            f"the {place} holds root key {root.id}, and the store is sealed with root key {_id(row)}",
            hint="Name the root key that belongs to this store, or the store that belongs to this root key.",
        ) from None
    try:
        if Rows(keys.row_key).load(ROOT, row)["format"] != _FORMAT:
            raise ConfigurationError("row 1 of table root has a format that this version of ron-kms does not know")
    except BaseException:
        keys.release()
        raise
    return keys


def _id(row: Sequence[Any]) -> str:
    """The root's id as the row says, which is not proven at this point."""
    text = str(row[ROOT.columns.keys().index("root_id")])
    return text if _ROOT_ID.fullmatch(text) else "(unreadable)"
