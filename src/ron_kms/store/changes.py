"""The count of changes, by which every worker and node learns what others have done.

Each mutation records what it changed in its own transaction; the numbers have no gaps, so that a change which was taken
out is noticed by whoever had seen it or looks for it.

The newest :data:`KEPT` are kept. The oldest of them then says that those before it were taken out by us, and is
authenticated as every row is; whoever had come less far has to take everything for changed.
"""

from __future__ import annotations

import contextlib
from typing import NamedTuple

from sqlalchemy import Connection, delete, func, select

from ron_kms.errors import StoreCorrupt
from ron_kms.store.rows import Rows
from ron_kms.store.schema import CHANGES

KEPT = 100_000
"""At 130 bytes each; a process looks four times a second."""

PRUNED = "pruned"
"""The kind of a change that stands for itself and all before it."""

_PRUNE_EVERY = 1000
_PRUNED_AT_ONCE = 2000
"""More than are made meanwhile, so that a long table shrinks too."""


class Change(NamedTuple):
    """``kind`` says what ``id`` names: ``key`` a kid, ``token-root`` a token root's id, ``token`` a revoked token
    (as :func:`ron_kms.store.revocations.read_change` reads it), ``root`` the new root key's id, ``restore`` the change
    up to which the store had come before an older copy of it was accepted, or ``unknown``, ``pruned`` its own
    number."""

    n: int
    kind: str
    id: str


def record(connection: Connection, rows: Rows, kind: str, name: str) -> int:
    """Count one change, in the writing transaction that makes it; returns its number, the first is 1."""
    n = latest(connection, rows) + 1
    rows.insert(connection, CHANGES, {"n": n, "kind": kind, "id": name})
    if n % _PRUNE_EVERY == 0:
        with contextlib.suppress(StoreCorrupt):  # an edited old row is not this change's concern
            prune(connection, rows, n - KEPT)
    return n


def prune(connection: Connection, rows: Rows, upto: int) -> None:
    """Take out changes with numbers up to ``upto``, some thousands at once, in a writing transaction.

    :raises StoreCorrupt: the row that is to stand for them was edited or is missing.
    """
    oldest = connection.execute(select(func.min(CHANGES.c.n))).scalar()
    if oldest is None or upto <= oldest:
        return
    upto = min(upto, oldest + _PRUNED_AT_ONCE)
    row = rows.find(connection, CHANGES, upto)
    if row is None:
        raise _missing(upto)
    rows.update(connection, CHANGES, row, {"kind": PRUNED, "id": str(upto)})
    connection.execute(delete(CHANGES).where(CHANGES.c.n < upto))


def pruned(connection: Connection, rows: Rows) -> int:
    """Up to which number changes were taken out by us; 0 where all are there."""
    row = connection.execute(select(CHANGES).order_by(CHANGES.c.n).limit(1)).one_or_none()
    if row is None:
        return 0
    oldest = Change(**rows.load(CHANGES, row))
    return oldest.n if oldest.kind == PRUNED else 0


def latest(connection: Connection, rows: Rows) -> int:
    """The number of the last change, 0 where there is none."""
    row = connection.execute(select(CHANGES).order_by(CHANGES.c.n.desc()).limit(1)).one_or_none()
    return 0 if row is None else int(rows.load(CHANGES, row)["n"])


def since(connection: Connection, rows: Rows, after: int, limit: int) -> list[Change]:
    """Up to ``limit`` changes with numbers above ``after``, in order.

    The first is of kind :data:`PRUNED` where there were others above ``after`` that are not kept any more.

    :raises StoreCorrupt: a change is missing, ``after`` itself included: the table was edited or an older one put back.
    """
    query = select(CHANGES).order_by(CHANGES.c.n).limit(limit + bool(after))
    if after:
        query = query.where(CHANGES.c.n >= after)
    changes = [Change(**rows.load(CHANGES, row)) for row in connection.execute(query)]
    if after and not changes:
        raise _missing(after)
    first = max(after, 1)
    skipped = bool(changes) and changes[0].kind == PRUNED and changes[0].n > first
    for n, change in enumerate(changes, changes[0].n if skipped else first):
        if change.n != n:
            raise _missing(n)
    return changes[:limit] if skipped else changes[bool(after) :]


def _missing(n: int) -> StoreCorrupt:
    return StoreCorrupt(f"row {n} of table changes is missing: it was taken out outside ron-kms")
