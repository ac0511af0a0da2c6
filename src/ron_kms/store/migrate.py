"""The schema, brought up to date when the service starts; safe when two start at once."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, inspect

from ron_kms.errors import ConfigurationError, StoreCorrupt, StoreUnavailable
from ron_kms.store.sqlite import database_path, transaction

_LOCK_SECONDS = 60.0
_MIGRATIONS = Path(__file__).with_name("migrations")
_alembic = threading.Lock()  # Alembic keeps what it is working on in globals


def migrate(url: str) -> None:
    """Make the store, mode 0600, or bring its tables up to date, in one transaction.

    :raises ConfigurationError: the URL is no store's, its folder or file cannot be used, or a newer version of ron-kms
        has made the store.
    :raises StoreCorrupt: it is not a store of ron-kms.
    :raises StoreUnavailable: it cannot be opened or is locked by someone else.
    """
    path = database_path(url)
    with _starting(path):
        _make(path)
        with _alembic, transaction(path) as connection:
            _upgrade(connection)


def _upgrade(connection: Connection) -> None:
    known = revisions()
    tables = set(inspect(connection).get_table_names())
    heads = _heads(connection) if "alembic_version" in tables else []
    if tables and len(heads) != 1:
        raise StoreCorrupt("table alembic_version does not name the store's revision: it was changed outside ron-kms")
    if not set(known).issuperset(heads):
        name = str(heads[0])
        raise ConfigurationError(
            f"table alembic_version says that the store is at revision {name if name.isalnum() else '(unreadable)'},"
            " which this version of ron-kms does not know",
            hint="Start the version of ron-kms that has last used this store, or a newer one.",
        )
    if heads != known[-1:]:
        _take_steps(connection)


def revisions() -> list[str]:
    """All steps of the schema, oldest first: a step's file begins with its revision."""
    return sorted(path.name.partition("_")[0] for path in (_MIGRATIONS / "versions").glob("[0-9]*.py"))


def _heads(connection: Connection) -> list[str]:
    return [row[0] for row in connection.exec_driver_sql("SELECT version_num FROM alembic_version")]


def _take_steps(connection: Connection) -> None:
    # Most starts have none to take, workers never: Alembic's import costs a quarter of theirs, and memory.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


@contextmanager
def _starting(path: Path) -> Iterator[None]:
    """Hold the store's folder, which is made where it is missing, against other starters.

    The folder and not the file: closing a second descriptor of a database drops the locks that SQLite has on the first.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise ConfigurationError(
            f"the store's folder {path.parent} cannot be used: {error.strerror}",
            hint="Name another one, or make it usable.",
        ) from None
    try:
        deadline = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise StoreUnavailable("another process has been starting on this store for too long") from None
                time.sleep(0.01)
        yield
        os.fsync(fd)
    finally:
        os.close(fd)


def _make(path: Path) -> None:
    """Make the file, or take from others what access to it they have; SQLite gives its side files the same mode."""
    try:
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
        except FileExistsError:
            for file in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
                if file.exists() and file.stat().st_mode & 0o077:
                    file.chmod(0o600)
    except OSError as error:
        raise ConfigurationError(
            f"the store's file {path} cannot be used: {error.strerror}", hint="Name another one, or make it usable."
        ) from None
