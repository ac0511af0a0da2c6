"""A new root key, or another seal: one row is wrapped anew, and everything else stays as it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection

from ron_kms.errors import ConfigurationError
from ron_kms.root.rotation import keep_apart, prepare_next, settle
from ron_kms.root.seals import Seal
from ron_kms.store.migrate import migrate
from ron_kms.store.root import rewrap, root_id, root_row, seal_name, unlock
from ron_kms.store.rows import Rows
from ron_kms.store.sqlite import database_path, reading, transaction


class Rotated(NamedTuple):
    """What a rotation did; ``kept`` is where the root key before is, for backups that were made under it."""

    before: str
    after: str
    kept: Path | None


class Named(NamedTuple):
    """The root key that a store says it is sealed with, and the kind of its seal, as they stand there unproven."""

    root_id: str
    seal: str


Note = Callable[[Connection, Rows, str, str], None]
"""Records what was done, in its own transaction: the ids of the root key before and of the new one."""


def rotate_root(url: str, current: Seal, target: Seal, note: Note) -> Rotated:
    """Make a new root key in ``target``, which may be the place of the one in force, and wrap the store key with it.

    May be killed at any moment: the store names the one or the other root key, and that one is on disk, in its place or
    waiting beside it, where the next start finds it. What was opened with the one before stays open.

    :raises RootKeyError: the root key in force is missing or wrong, or the new one cannot be kept safely.
    :raises ConfigurationError: the target is taken, or in force already.
    :raises StoreCorrupt: the root's row was edited.
    :raises StoreUnavailable: the store cannot be used now.
    """
    path = database_path(url)
    keep_apart(current, target)
    migrate(url)
    with transaction(path) as connection:
        row = root_row(connection)
        if row is None:
            raise ConfigurationError("the store was never started: it has no root key yet")
        named = root_id(row)
        settle(current, named)
        settle(target, named)
    if target.path != current.path and target.identify() == named:
        raise ConfigurationError(f"the {target} is in force already", hint="Name it with KMS_SEAL.")
    old = current.load()
    if old is None:
        raise ConfigurationError(f"the {current} is missing", hint="Name the seal in force with KMS_SEAL.")
    try:
        # One writing transaction from the proof that the old root is in force to the row that names the new one: what
        # waits beside the place is then a leftover for certain, and not another rotation's new key.
        with transaction(path) as connection:
            unlock(root_row(connection), old, str(current)).release()
            new = prepare_next(current, target)
            try:
                rewrap(connection, old, new, target, note)
            except BaseException:
                new.release()
                raise
        try:
            with transaction(path):
                kept = settle(target, new.id)
            return Rotated(old.id, new.id, kept or current.path)
        finally:
            new.release()
    finally:
        old.release()


def root_of(url: str) -> Named:
    """:raises ConfigurationError: there is no store, or it was never started."""
    path = database_path(url)
    if not path.is_file():
        raise ConfigurationError(f"there is no store at {path}", hint="Name the data folder or the store's URL.")
    with reading(path) as connection:
        row = root_row(connection)
        if row is None:
            raise ConfigurationError("the store was never started: it has no root key yet")
        return Named(root_id(row), seal_name(row))
