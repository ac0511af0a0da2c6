"""Records of changes on their way into the audit log: written in the change's own transaction, deleted once they are
in the log.

They are deleted in the same transaction that moves the log's head past them. So a record that is in the log and in the
outbox lies behind the head, where a start looks for it and does not append it again.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import Connection, delete, select

from ron_kms.store.rows import Rows
from ron_kms.store.schema import OUTBOX


class Waiting(NamedTuple):
    """A record on its way.

    :ivar id: UUIDv7, so that they are in the order of their making.
    :ivar origin: the log that it goes to; None for any.
    """

    id: str
    origin: str | None
    record: bytes


def put(connection: Connection, rows: Rows, waiting: Waiting) -> None:
    """Write it down, in the transaction of the change."""
    rows.insert(connection, OUTBOX, waiting._asdict())


def unclaimed(connection: Connection) -> bool:
    """Whether there are records that may go into any log."""
    return connection.execute(select(OUTBOX.c.id).where(OUTBOX.c.origin.is_(None)).limit(1)).first() is not None


def claim(connection: Connection, rows: Rows, origin: str) -> None:
    """Have what may go into any log go into this one."""
    for row in connection.execute(select(OUTBOX).where(OUTBOX.c.origin.is_(None))).all():
        rows.update(connection, OUTBOX, rows.load(OUTBOX, row), {"origin": origin})


def release(connection: Connection, rows: Rows, origin: str) -> None:
    """Have what goes into a log that is closed go into any."""
    for waiting in waiting_for(connection, rows, origin):
        rows.update(connection, OUTBOX, waiting._asdict(), {"origin": None})


def waiting_for(connection: Connection, rows: Rows, origin: str) -> list[Waiting]:
    """What goes into a log, in order.

    :raises StoreCorrupt: a row was edited, be it one for another log: it could have been this one's.
    """
    found = connection.execute(select(OUTBOX).order_by(OUTBOX.c.id))
    return [waiting for row in found if (waiting := Waiting(**rows.load(OUTBOX, row))).origin == origin]


def remove(connection: Connection, ids: Collection[str]) -> None:
    """They are in the log."""
    if ids:
        connection.execute(delete(OUTBOX).where(OUTBOX.c.id.in_(list(ids))))
