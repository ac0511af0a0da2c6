"""Leases: work that one process of all does at a time.

Who holds a lease is decided by the store alone: it is counted up whenever it changes hands, and whatever is done under
it carries :func:`require` in its own transaction, so that one who lost it without noticing (stopped, cut off, killed
and come back) changes nothing more. Clocks decide only how soon another may take it: a holder's wall clock says when
it ends, others wait two seconds longer, and a date that no holder can have meant counts as past. So a clock that is
wrong or jumps costs a delay or a change of hands, never work done twice.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection

from ron_kms.errors import Conflict
from ron_kms.store.rows import Rows
from ron_kms.store.schema import LEASES

SKEW = timedelta(seconds=2)
"""How far the wall clocks of holders may be apart without a lease changing hands early."""

LONGEST = timedelta(minutes=1)


class LeaseLost(Conflict):
    """Somebody else has the lease by now."""

    def __init__(self) -> None:
        super().__init__("a lease has changed hands")


class Lease(NamedTuple):
    """``token`` is larger for every holder than for the one before."""

    name: str
    holder: str
    token: int


def acquire(
    connection: Connection, rows: Rows, name: str, holder: str, now: datetime, duration: timedelta
) -> Lease | None:
    """Take a lease that is free, or prolong one's own; None where another has it.

    :param holder: a name that no two processes have, nor one before and after its restart.
    :param duration: from now, a minute at most.
    """
    if duration > LONGEST:
        raise ValueError("a lease is for a minute at most")
    row = rows.find(connection, LEASES, name)
    if row is None:
        rows.insert(connection, LEASES, {"name": name, "holder": holder, "token": 1, "expires": now + duration})
        return Lease(name, holder, 1)
    own = row["holder"] == holder
    if not own and now < row["expires"] + SKEW <= now + LONGEST + 2 * SKEW:
        return None
    token = row["token"] if own else row["token"] + 1
    rows.update(connection, LEASES, row, {"holder": holder, "token": token, "expires": now + duration})
    return Lease(name, holder, token)


def require(connection: Connection, rows: Rows, lease: Lease) -> None:
    """To be called in every transaction that writes something under the lease.

    :raises LeaseLost: it has changed hands; the transaction must change nothing.
    """
    row = rows.find(connection, LEASES, lease.name)
    if row is None or (row["holder"], row["token"]) != (lease.holder, lease.token):
        raise LeaseLost


def release(connection: Connection, rows: Rows, lease: Lease, now: datetime) -> None:
    """Let others have it at once; nothing where it was lost already."""
    row = rows.find(connection, LEASES, lease.name)
    if row is not None and (row["holder"], row["token"]) == (lease.holder, lease.token):
        rows.update(connection, LEASES, row, {"expires": now - SKEW})
