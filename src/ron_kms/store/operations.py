"""Answers kept for a week under the ``op_id`` that a client sent, so that repeating a request repeats nothing else."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection, delete, select, tuple_

from ron_kms.errors import Conflict
from ron_kms.store.rows import Rows, stored_time
from ron_kms.store.schema import OPERATIONS

KEPT = timedelta(days=7)

_PURGED = 32
"""Old rows that one new one takes away at most."""


class OpId(NamedTuple):
    """An ``op_id`` in its scope."""

    tenant: str
    token_id: str
    verb: str
    op_id: str


def find_answer(connection: Connection, rows: Rows, op: OpId, digest: bytes, now: datetime) -> bytes | None:
    """The answer that this operation was given before, or None where it is new.

    :param digest: of the request's decoded fields.
    :raises Conflict: the ``op_id`` was used with other fields.
    :raises ron_kms.errors.StoreCorrupt: the row was edited.
    """
    values = rows.find(connection, OPERATIONS, *op)
    if values is None or values["created"] < now - KEPT:
        return None
    if values["digest"] != digest:
        raise Conflict("this op_id was used with other fields", hint="Take a new op_id for a new request.")
    answer: bytes = values["answer"]
    return answer


def keep_answer(connection: Connection, rows: Rows, op: OpId, digest: bytes, answer: bytes, now: datetime) -> None:
    """Keep the answer, in the transaction that makes the change, and take some that are older than a week away.

    :raises Conflict: there is an answer already (said by the future of ``Database.write``).
    """
    name = tuple_(*OPERATIONS.primary_key)
    oldest = select(*OPERATIONS.primary_key).where(OPERATIONS.c.created < stored_time(now - KEPT))
    oldest = oldest.order_by(OPERATIONS.c.created).limit(_PURGED)
    connection.execute(delete(OPERATIONS).where(name.in_(oldest)))
    values = {**op._asdict(), "digest": digest, "answer": answer, "created": now}
    earlier = rows.find(connection, OPERATIONS, *op)
    if earlier is not None and earlier["created"] < now - KEPT:
        rows.update(connection, OPERATIONS, earlier, values)
    else:
        rows.insert(connection, OPERATIONS, values)
