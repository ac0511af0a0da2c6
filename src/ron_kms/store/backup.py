"""Backups: a folder with a copy of the store and a manifest that says what it is and how to tell that it is whole.

The root key is not in it, and making one needs no root key: rows are copied as they are, sealed and authenticated.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Protocol

import msgspec
from blake3 import blake3
from sqlalchemy import func, select

from ron_kms.disk import sync_path
from ron_kms.errors import ConfigurationError, KmsError, StoreCorrupt
from ron_kms.store.root import root_id, root_row
from ron_kms.store.schema import CHANGES
from ron_kms.store.sqlite import copy_store, database_path, resting

MANIFEST = "manifest.json"
COPY = "ron-kms.db"
_FORMAT = 2
_FORMATS = (1, 2)
_ROOT_ID = re.compile("[0-9a-f]{16}")
_MOST_BYTES = 256 * 1024 * 1024
"""Of a manifest."""


class File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of a backup; ``blake3`` is its BLAKE3-256 digest, 64 hexadecimal digits."""

    name: str
    bytes: int
    blake3: str


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a backup is: ``root_id`` names the root key that opens it, ``changes`` is the number of its last change."""

    format: int
    made: datetime
    root_id: Annotated[str, msgspec.Meta(pattern=f"^{_ROOT_ID.pattern}$")]
    changes: int
    files: tuple[File, ...]


class Beside(Protocol):
    """What is copied with the store."""

    def before(self, target: Path) -> None:
        """Into the backup's folder, before the store is."""

    def after(self, target: Path) -> None:
        """And after it."""


def back_up(url: str, folder: Path, beside: Beside | None = None) -> Manifest:
    """Copy the store, running or not, into a new folder (0700, files 0600), which is there whole or not at all.

    :raises ConfigurationError: the folder is there already, or cannot be made.
    :raises KmsError: the store cannot be read.
    """
    path = database_path(url)
    if not path.is_file():
        raise ConfigurationError(f"there is no store at {path}", hint="Name the data folder or the store's URL.")
    target = folder.absolute()
    if os.path.lexists(target):
        raise _taken(target)
    fresh = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    try:
        fresh.mkdir(mode=0o700)
        try:
            manifest = _fill(path, fresh, beside)
            # A folder takes another's place only where that one is empty.
            fresh.rename(target)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
        sync_path(target.parent)
    except FileExistsError:
        raise _taken(target) from None
    except OSError as error:
        raise ConfigurationError(f"the backup {target} cannot be made: {error.strerror}") from None
    return manifest


def check_backup(folder: Path) -> Manifest:
    """Read a backup's manifest and compare its files with it.

    :raises ConfigurationError: it is not a whole backup of a format that this version knows.
    """
    try:
        with (folder / MANIFEST).open("rb") as file:
            manifest = msgspec.json.decode(file.read(_MOST_BYTES), type=Manifest)
        if manifest.format not in _FORMATS or not _is_known(manifest):
            raise ConfigurationError(f"the backup {folder} has a format that this version of ron-kms does not know")
        for entry in manifest.files:
            if _describe(folder / entry.name, folder) != entry:
                raise ConfigurationError(
                    f"{entry.name} in the backup {folder} is not as it was made", hint="Take another backup."
                )
    except OSError as error:
        raise ConfigurationError(f"the backup {folder} cannot be read: {error.strerror}") from None
    except msgspec.DecodeError:
        raise ConfigurationError(f"{MANIFEST} in {folder} is not the manifest of a backup") from None
    return manifest


def _is_known(manifest: Manifest) -> bool:
    """Whether it names the store and, since format 2, what lies in the folder of the audit logs."""
    store, *others = [entry.name for entry in manifest.files] or [""]
    plain = (not {"", ".", ".."} & set(name.split("/")) for name in others)
    return store == COPY and all(name.startswith("audit/") for name in others) and all(plain)


def _fill(path: Path, fresh: Path, beside: Beside | None) -> Manifest:
    copy = fresh / COPY
    if beside is not None:
        beside.before(fresh)
    # Empty and private before anything is in it.
    os.close(os.open(copy, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    copy_store(path, copy)
    if beside is not None:
        beside.after(fresh)
    with resting(copy) as connection:
        row = root_row(connection)
        changes = connection.execute(select(func.max(CHANGES.c.n))).scalar() or 0
    if row is None:
        raise ConfigurationError("the store was never started: there is nothing to back up")
    if not _ROOT_ID.fullmatch(root_id(row)):
        raise StoreCorrupt("row 1 of table root does not name a root key: it was changed outside ron-kms")
    manifest = Manifest(_FORMAT, datetime.now(UTC), root_id(row), int(changes), _describe_all(fresh))
    note = fresh / MANIFEST
    with open(os.open(note, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600), "wb") as file:  # noqa: PTH123
        file.write(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    sync_path(fresh)
    return manifest


def _describe_all(fresh: Path) -> tuple[File, ...]:
    """All that there is, the store first, on the disk by then."""
    found = sorted(fresh.rglob("*"), key=lambda path: (path.name != COPY or path.parent != fresh, path))
    for path in found:
        sync_path(path)
    return tuple(_describe(path, fresh) for path in found if path.is_file())


def _describe(path: Path, folder: Path) -> File:
    digest = blake3()
    size = path.stat().st_size
    if size:  # nothing cannot be mapped
        digest.update_mmap(path)
    return File(path.relative_to(folder).as_posix(), size, digest.hexdigest())


def _taken(target: Path) -> KmsError:
    return ConfigurationError(f"{target} is there already", hint="A backup takes a new folder and overwrites nothing.")
