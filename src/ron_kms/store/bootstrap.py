"""From a store URL and a seal to an opened store: the first start, and every one after it.

The order of the first start: the root key is made and on disk; in the same transaction that found the store empty its
id is claimed there, with the store key that it wraps; only then can anything be sealed. A crash between the two leaves
a root key without a store, which the next start uses. A root key is never made for a store that has one.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from ron_kms.errors import RootKeyError
from ron_kms.root.handle import RootKey, StoreKeys
from ron_kms.root.rotation import settle
from ron_kms.root.seals import parse_seal
from ron_kms.store.database import Database
from ron_kms.store.migrate import migrate
from ron_kms.store.root import claim, root_id, root_row, seal_name, unlock
from ron_kms.store.rows import Rows
from ron_kms.store.sqlite import database_path, transaction


class Store(NamedTuple):
    """An opened store."""

    database: Database
    keys: StoreKeys
    rows: Rows

    def close(self) -> None:
        """Finish what was handed in, then wipe the keys."""
        self.database.close()
        self.keys.release()


def prepare(url: str, seal: str, passphrase_file: Path | None = None) -> RootKey:
    """Make or migrate the store, and take the root key from its seal; on the first start, make it.

    For the one process that unseals the root. The store is proven to open with it.

    :param url: ``sqlite:///<path>``.
    :param seal: ``keyfile:<path>`` or ``passphrase:<path>``.
    :param passphrase_file: where the passphrase is read; None asks at the terminal.
    :raises RootKeyError: the root key is missing, wrong, malformed or open to others.
    :raises ConfigurationError: URL or seal are not understood, or a newer ron-kms has made the store.
    :raises StoreCorrupt: the root's row was edited.
    :raises StoreUnavailable: the store cannot be used now.
    """
    place = parse_seal(seal, passphrase_file)
    path = database_path(url)
    migrate(url)
    with transaction(path) as connection:
        row = root_row(connection)
        if row is not None:
            settle(place, root_id(row))
    # Not in a transaction: a person may be asked for a passphrase.
    root = place.load()
    with transaction(path) as connection:
        row = root_row(connection)
        if root is None and row is not None:
            root = place.load()  # another process may have been first
            if root is None:
                raise RootKeyError(
                    f"the {place} is missing, and the store at {path} is sealed with root key {root_id(row)}"
                    f" (seal: {seal_name(row)})",
                    hint="Put the root key back from its backup, or name its place. A new one would open nothing, so"
                    " none is made.",
                )
        root = root or place.create()
        try:
            if row is None:
                claim(connection, root, place.name)
                row = root_row(connection)
            unlock(row, root, str(place)).release()
        except BaseException:
            root.release()
            raise
    return root


def prepare_in_memory(url: str) -> RootKey:
    """Make a store whose root key is nowhere but in the memory that is returned, so that it ends with this process.

    :param url: ``sqlite:///<path>`` of no file yet, on a file system that is memory.
    :raises ConfigurationError, StoreUnavailable: it cannot be made.
    """
    migrate(url)
    root = RootKey.generate()
    try:
        with transaction(database_path(url)) as connection:
            claim(connection, root, "memory")
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
        keys = unlock(database.read(root_row).result(), root, "root key")
    except BaseException:
        database.close()
        raise
    return Store(database, keys, Rows(keys.row_key))


def open_store(url: str, seal: str, passphrase_file: Path | None = None) -> Store:
    """:func:`prepare` and :func:`attach` in one, for a single process."""
    root = prepare(url, seal, passphrase_file)
    try:
        return attach(url, root)
    finally:
        root.release()
