"""The audit logs that there are: their names, keys and heads, by which a missing or older one is noticed."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, Table, select

from ron_kms.errors import StoreCorrupt
from ron_kms.store import changes
from ron_kms.store.rows import Rows
from ron_kms.store.schema import AUDIT, AUDIT_HEADS, AUDIT_LOGS

_ONE = 1


class AuditLog(NamedTuple):
    """One log as it is registered.

    :ivar origin: ``<deployment>/<node>/<folder>``.
    :ivar slot: who writes it: a worker's number, or a session of the library.
    :ivar folder: its name below the folder of all logs.
    :ivar ed25519, ml_dsa_44: the public keys that its checkpoints are signed with.
    :ivar ed25519_blob, ml_dsa_44_blob: the private ones, sealed.
    :ivar damage: why it is not gone on with, once its check has failed.
    :ivar closed: when another has taken its place.
    """

    origin: str
    node: str
    slot: str
    folder: str
    ed25519: bytes
    ed25519_blob: bytes
    ml_dsa_44: bytes
    ml_dsa_44_blob: bytes
    created: datetime
    damage: str | None = None
    closed: datetime | None = None


def deployment(connection: Connection, rows: Rows) -> str:
    """What this deployment is called in origins; made on first use, in a writing transaction."""
    row = rows.find(connection, AUDIT, _ONE)
    if row is None:
        if connection.execute(select(AUDIT_LOGS.c.origin).limit(1)).first() is not None:
            raise _missing(AUDIT, _ONE)
        row = {"slot": _ONE, "deployment": secrets.token_hex(8), "logs": 0}
        rows.insert(connection, AUDIT, row)
    return str(row["deployment"])


def register_log(connection: Connection, rows: Rows, log: AuditLog, root: bytes) -> None:
    """Make a new, empty log known.

    :param root: that of no records.
    """
    rows.insert(connection, AUDIT_LOGS, log._asdict())
    rows.insert(connection, AUDIT_HEADS, {"origin": log.origin, "size": 0, "root": root, "seen": log.created})
    known = rows.find(connection, AUDIT, _ONE)
    if known is None:
        raise _missing(AUDIT, _ONE)
    rows.update(connection, AUDIT, known, {"logs": known["logs"] + 1})
    changes.record(connection, rows, "audit-log", log.origin)


def load_logs(connection: Connection, rows: Rows) -> list[AuditLog]:
    """All logs, in the order of their origins, the closed ones among them.

    :raises StoreCorrupt: a row was edited or taken out.
    """
    found = connection.execute(select(AUDIT_LOGS).order_by(AUDIT_LOGS.c.origin)).all()
    logs = [AuditLog(**rows.load(AUDIT_LOGS, row)) for row in found]
    known = rows.find(connection, AUDIT, _ONE)
    if known is None and logs:
        raise _missing(AUDIT, _ONE)
    if known is not None and len(logs) != known["logs"]:
        raise StoreCorrupt("a row of table audit_logs is missing: it was taken out outside ron-kms")
    return logs


def current_log(connection: Connection, rows: Rows, node: str, slot: str) -> AuditLog | None:
    """The log that a slot writes, None where it has none yet."""
    logs = [log for log in load_logs(connection, rows) if (log.node, log.slot) == (node, slot) and log.closed is None]
    if len(logs) > 1:
        raise StoreCorrupt(f"table audit_logs has more than one log of slot {slot}")
    return logs[0] if logs else None


def load_head(connection: Connection, rows: Rows, origin: str) -> tuple[int, bytes]:
    """Size and root that a log had at least.

    :raises StoreCorrupt: the row was edited or taken out.
    """
    row = rows.find(connection, AUDIT_HEADS, origin)
    if row is None:
        raise _missing(AUDIT_HEADS, origin)
    return int(row["size"]), bytes(row["root"])


def save_head(connection: Connection, rows: Rows, origin: str, size: int, root: bytes, now: datetime) -> None:
    """Say how far a log has come."""
    row = rows.find(connection, AUDIT_HEADS, origin)
    if row is None:
        raise _missing(AUDIT_HEADS, origin)
    rows.update(connection, AUDIT_HEADS, row, {"size": size, "root": root, "seen": now})


def note_damage(connection: Connection, rows: Rows, origin: str, damage: str) -> None:
    """Say that a log's check has failed; the first cause stays."""
    row = rows.find(connection, AUDIT_LOGS, origin)
    if row is not None and row["damage"] is None:
        rows.update(connection, AUDIT_LOGS, row, {"damage": damage})
        changes.record(connection, rows, "audit-log", origin)


def close_log(connection: Connection, rows: Rows, origin: str, now: datetime) -> None:
    """Say that a log is not gone on with; another of its slot may take its place."""
    row = rows.find(connection, AUDIT_LOGS, origin)
    if row is not None and row["closed"] is None:
        rows.update(connection, AUDIT_LOGS, row, {"closed": now})
        changes.record(connection, rows, "audit-log", origin)


def _missing(table: Table, name: object) -> StoreCorrupt:
    return StoreCorrupt(f"row {name} of table {table.name} is missing: it was taken out outside ron-kms")
