"""A tenant's head: what its rows in other tables are, so that one that was taken out is missed.

One row counts the heads, so that none of them can be taken out either. That row, of the empty name, is at the same time
the head of what belongs to no tenant.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Table, select

from ron_kms.errors import StoreCorrupt
from ron_kms.store.rows import Rows
from ron_kms.store.schema import TENANT_HEADS

NOBODY = ""
"""In the place of a tenant's name; no tenant has it."""


def find_head(connection: Connection, rows: Rows, tenant: str) -> dict[str, Any] | None:
    """A tenant's head, None where it never had one. To know that all heads are checked, 10 us each.

    :raises StoreCorrupt: it was edited or taken out.
    """
    head = rows.find(connection, TENANT_HEADS, tenant)
    if head is None:
        all_heads(connection, rows)
    return head


def all_heads(connection: Connection, rows: Rows) -> dict[str, dict[str, Any]]:
    """Every head by its tenant. Each row must be genuine, or one could be passed off as another's, and there must be as
    many as were made.

    :raises StoreCorrupt: one was edited or taken out.
    """
    found = [rows.load(TENANT_HEADS, row) for row in connection.execute(select(TENANT_HEADS))]
    heads = {head["tenant"]: head for head in found}
    if len(heads) != (heads[NOBODY]["revision"] + 1 if NOBODY in heads else 0):
        raise StoreCorrupt("a row of table tenant_heads is missing: it was taken out outside ron-kms")
    return heads


def save_head(connection: Connection, rows: Rows, tenant: str, **changed: object) -> None:
    """Write some values of a tenant's head, which is made where there is none."""
    head = find_head(connection, rows, tenant)
    values: dict[str, Any] = {"tenant": tenant, "revision": 0, "digest": b"", **(head or {}), **changed}
    if tenant != NOBODY:
        values["revision"] += 1
    put(connection, rows, TENANT_HEADS, head, values)
    if head is None and tenant != NOBODY:
        count = rows.find(connection, TENANT_HEADS, NOBODY)
        before: dict[str, Any] = {"tenant": NOBODY, "revision": 0, "digest": b""} if count is None else count
        put(connection, rows, TENANT_HEADS, count, {**before, "revision": before["revision"] + 1})


def put(
    connection: Connection, rows: Rows, table: Table, before: dict[str, Any] | None, values: dict[str, Any]
) -> None:
    """Insert a row, or update the one that was read in this transaction."""
    if before is None:
        rows.insert(connection, table, values)
    else:
        rows.update(connection, table, before, values)
