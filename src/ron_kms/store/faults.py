"""The border to the driver: its errors become ours, with what to do and without SQL or values."""

from __future__ import annotations

from pysqlite3 import dbapi2 as sqlite
from sqlalchemy.exc import DBAPIError

from ron_kms.errors import Conflict, KmsError, StoreCorrupt, StoreUnavailable

_RETRY_SECONDS = 1

_UNAVAILABLE = {
    sqlite.SQLITE_BUSY: (
        "the store is locked by another process",
        "Find out what holds a transaction on it for so long.",
    ),
    sqlite.SQLITE_LOCKED: ("the store is locked", "Try again."),
    sqlite.SQLITE_FULL: ("the disk that holds the store is full", "Make room on it."),
    sqlite.SQLITE_READONLY: ("the store cannot be written", "Make its file and folder writable for ron-kms."),
    sqlite.SQLITE_PERM: ("the store cannot be accessed", "Make its file and folder accessible for ron-kms."),
    sqlite.SQLITE_CANTOPEN: ("the store cannot be opened", "Check that its file is there, and its folder accessible."),
    sqlite.SQLITE_IOERR: ("the disk that holds the store fails", "Check the disk and its limits."),
    sqlite.SQLITE_NOMEM: ("there is no memory left for the store", "Give the process more memory."),
}

_CORRUPT = {
    sqlite.SQLITE_CORRUPT: "the store's file is damaged",
    sqlite.SQLITE_NOTADB: "the store's file is not a database",
    sqlite.SQLITE_ERROR: "the store does not have the tables that this version of ron-kms expects",
}


def translate(error: BaseException) -> BaseException:
    """The error to show for one that was raised while the store was used: a new one, or the same where it is not the
    driver's."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, sqlite.Error):
        fault = _fault(cause)
        fault.__cause__ = cause  # the driver's own words, without the statement that SQLAlchemy adds to them
        return fault
    return error


def _fault(error: sqlite.Error) -> KmsError:
    # The low byte of an extended result code is its family (https://sqlite.org/rescode.html).
    family = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
    if family == sqlite.SQLITE_CONSTRAINT:
        return Conflict("a row with this name exists already")
    if family in _CORRUPT:
        return StoreCorrupt(_CORRUPT[family])
    message, hint = _UNAVAILABLE.get(family, ("the store refused", "The cause is in the operator's log."))
    return StoreUnavailable(message, hint=hint, retry_after=_RETRY_SECONDS)
