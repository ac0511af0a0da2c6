"""The embedded engine: one SQLite file, from the PyPI package ``pysqlite3``, in WAL mode with full synchronisation.

This is the only module that knows how a connection is made.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from pysqlite3 import dbapi2 as sqlite
from sqlalchemy import Connection, Engine, NullPool, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from ron_kms.errors import ConfigurationError
from ron_kms.store.faults import translate

_OLDEST = (3, 51, 3)
"""Earlier versions can lose committed data when a WAL is reset (https://sqlite.org/wal.html)."""

_BUSY_SECONDS = 5.0

_SETTINGS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",  # a commit survives a power cut
    "PRAGMA secure_delete = ON",  # what is deleted is overwritten
    "PRAGMA foreign_keys = ON",
    "PRAGMA temp_store = MEMORY",  # no file outside of the store's folder
    "PRAGMA trusted_schema = OFF",  # a schema edited by others cannot call functions
    "PRAGMA cell_size_check = ON",  # a damaged page is noticed before it is used
)


def database_path(url: str) -> Path:
    """The file that a store URL names, absolute; as in every URL, %xx stands for a byte of it.

    :raises ConfigurationError: it is not ``sqlite:///<path>``.
    """
    hint = "Use sqlite:///relative/path or sqlite:////absolute/path."
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ConfigurationError("the store URL is not a database URL", hint=hint) from None
    engine = parsed.get_backend_name()
    if engine in ("postgresql", "postgres"):
        raise ConfigurationError("stores on PostgreSQL are a later step of ron-kms", hint=hint)
    if parsed.drivername != "sqlite" or parsed.host or parsed.username or parsed.query:
        raise ConfigurationError("the store URL names an engine or options that ron-kms does not have", hint=hint)
    if not parsed.database or parsed.database == ":memory:":
        raise ConfigurationError("the store URL names no file", hint=hint)
    return Path(parsed.database).absolute()


def make_engine(path: Path, *, writing: bool) -> Engine:
    """An engine whose connections are configured and never make the file: writers begin at once with the write lock,
    and readers see one state of the store for as long as their transaction lasts.

    :raises ConfigurationError: the SQLite library is too old.
    """
    if sqlite.sqlite_version_info < _OLDEST:
        raise ConfigurationError(
            f"SQLite {sqlite.sqlite_version} can lose committed data; {'.'.join(map(str, _OLDEST))} or newer is needed",
            hint="Install a newer pysqlite3.",
        )

    def connect() -> sqlite.Connection:
        # isolation_level None: the driver begins nothing by itself, the event below does.
        connection = sqlite.connect(
            f"file:{quote(str(path))}?mode=rw", uri=True, isolation_level=None, timeout=_BUSY_SECONDS
        )
        try:
            # Text that is not UTF-8 was not written by us: let it through to where its row is refused by name.
            connection.text_factory = lambda text: text.decode("utf-8", "surrogateescape")
            for setting in _SETTINGS:
                connection.execute(setting).fetchall()
            connection.execute("PRAGMA busy_timeout = 0" if writing else "PRAGMA query_only = ON")
        except BaseException:
            connection.close()
            raise
        return connection

    engine = create_engine("sqlite://", module=sqlite, creator=connect, poolclass=NullPool, hide_parameters=True)
    event.listen(engine, "begin", _begin_writing if writing else _begin_reading)
    return engine


def _begin_reading(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _begin_writing(connection: Connection) -> None:
    """Take the write lock now, and wait for it evenly: SQLite's own waiting backs off to 100 ms between looks, which
    starved one of three busy writers for seconds."""
    driver = connection.connection.dbapi_connection
    assert driver is not None  # noqa: S101 - it is what a connection is made of
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            driver.execute("BEGIN IMMEDIATE")
        except sqlite.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(random.uniform(0.0005, 0.0015))  # noqa: S311 - spreads the looks, guards nothing
        else:
            return


@contextmanager
def transaction(path: Path) -> Iterator[Connection]:
    """One writing transaction on a connection of its own, for the start: committed at the end, or rolled back.

    :raises KmsError: the driver's errors, translated.
    """
    with _translated(), make_engine(path, writing=True).begin() as connection:
        yield connection


@contextmanager
def reading(path: Path) -> Iterator[Connection]:
    """One reading transaction on a connection of its own.

    :raises KmsError: the driver's errors, translated.
    """
    with _translated(), make_engine(path, writing=False).begin() as connection:
        yield connection


def fold_log(path: Path) -> bool:
    """Move the write-ahead log into the store's file and cut it to nothing, so that no older content of a page is left
    in it; False where others read or write at this moment.

    :raises KmsError: the driver's errors, translated.
    """
    source = f"file:{quote(str(path))}?mode=rw"
    try:
        with closing(sqlite.connect(source, uri=True, isolation_level=None, timeout=0)) as connection:
            connection.execute("PRAGMA synchronous = FULL")
            busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite.OperationalError as error:
        if error.sqlite_errorcode & 0xFF == sqlite.SQLITE_BUSY:
            return False
        raise translate(error)  # noqa: B904 - its cause is set there
    except Exception as error:  # noqa: BLE001 - told by the same one where it is not the driver's
        raise translate(error)  # noqa: B904 - its cause is set there
    return not busy


def copy_store(path: Path, target: Path) -> None:
    """Copy one state of the store into an empty file, while others read and write the store.

    What was deleted is not in the copy: rows are copied one by one, free pages never.

    :raises KmsError: the driver's errors, translated.
    """
    source = f"file:{quote(str(path))}?mode=rw"
    with (
        _translated(),
        closing(sqlite.connect(source, uri=True, isolation_level=None, timeout=_BUSY_SECONDS)) as connection,
    ):
        connection.execute("VACUUM INTO ?", (str(target),))


@contextmanager
def resting(path: Path) -> Iterator[Connection]:
    """Read a store's file that nobody uses, such as a copy, and leave nothing beside it.

    :raises KmsError: the driver's errors, translated.
    """
    place = f"file:{quote(str(path))}?mode=ro&immutable=1"
    engine = create_engine(
        "sqlite://", module=sqlite, creator=lambda: sqlite.connect(place, uri=True), poolclass=NullPool
    )
    with _translated(), engine.connect() as connection:
        yield connection


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001 - told by the same one where it is not the driver's
        raise translate(error)  # noqa: B904 - its cause is set there
