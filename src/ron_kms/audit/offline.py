"""What is done to a store while no service runs leaves its record in the outbox; the next log that is opened has it."""

from __future__ import annotations

import time

from ron_kms.audit.record import Record, encode
from ron_kms.model import new_uuid
from ron_kms.store.database import Connection
from ron_kms.store.outbox import Waiting, put
from ron_kms.store.rows import Rows

ACTOR = "offline"
"""Whoever has the data folder and the root key."""


def note(
    connection: Connection, rows: Rows, operation: str, reason: str, *, digest: bytes | None = None, count: int = 1
) -> None:
    """Write the record down, in the transaction of what it tells of.

    :param digest: 32 bytes.
    """
    record = Record(
        op_id=None,
        request_id=new_uuid(),
        tenant=None,
        actor=ACTOR,
        kid=None,
        operation=operation,
        suite=None,
        digest=digest,
        time=time.time_ns() // 1000,
        result="ok",
        reason=reason[:1024],
        attestation="none",
        count=count,
        failures=0,
    )
    put(connection, rows, Waiting(new_uuid(), None, encode(record)))
