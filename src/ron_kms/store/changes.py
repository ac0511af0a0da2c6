"""The count of changes, by which every worker and node learns what others have done.

Each mutation records what it changed in its own transaction; the numbers have no gaps, so that a change which was taken
out is noticed by whoever had seen it or looks for it.
"""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, select

from ron_kms.errors import StoreCorrupt
from ron_kms.store.rows import Rows
from ron_kms.store.schema import CHANGES


class Change(NamedTuple):
    """``kind`` says what ``id`` names: ``key`` a kid, ``token-root`` a token root's id, ``token`` a revoked token
    (as :func:`ron_kms.store.revocations.read_change` reads it), ``root`` the new root key's id, ``restore`` the change
    up to which the store had come before an older copy of it was accepted, or ``unknown``."""

    n: int
    kind: str
    id: str


def record(connection: Connection, rows: Rows, kind: str, name: str) -> int:
    """Count one change, in the writing transaction that makes it; returns its number, the first is 1."""
    n = latest(connection, rows) + 1
    rows.insert(connection, CHANGES, {"n": n, "kind": kind, "id": name})
    return n


def latest(connection: Connection, rows: Rows) -> int:
    """The number of the last change, 0 where there is none."""
    row = connection.execute(select(CHANGES).order_by(CHANGES.c.n.desc()).limit(1)).one_or_none()
    return 0 if row is None else int(rows.load(CHANGES, row)["n"])


def since(connection: Connection, rows: Rows, after: int, limit: int) -> list[Change]:
    """Up to ``limit`` changes with numbers above ``after``, in order.

    :raises StoreCorrupt: a change is missing, ``after`` itself included: the table was edited or an older one put back.
    """
    query = select(CHANGES).order_by(CHANGES.c.n).limit(limit + bool(after))
    if after:
        query = query.where(CHANGES.c.n >= after)
    changes = [Change(**rows.load(CHANGES, row)) for row in connection.execute(query)]
    for n, change in enumerate(changes, max(after, 1)):
        if change.n != n:
            raise _missing(n)
    if after and not changes:
        raise _missing(after)
    return changes[bool(after) :]


def _missing(n: int) -> StoreCorrupt:
    return StoreCorrupt(f"row {n} of table changes is missing: it was taken out outside ron-kms")
