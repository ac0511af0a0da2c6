"""The root keys of tokens: several at once while they rotate, each sealed under a key derived for them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection, delete, select

from ron_kms._core import CoreError, SecretKey
from ron_kms.errors import Conflict, NotFound, StoreCorrupt
from ron_kms.store import changes
from ron_kms.store.rows import Rows
from ron_kms.store.schema import TOKEN_ROOTS


class TokenRoot(NamedTuple):
    """One root of tokens; ``retired`` is when it stopped being good for any."""

    id: str
    key: SecretKey
    created: datetime
    retired: datetime | None


_MICROSECOND = timedelta(microseconds=1)

ROOTS_MAX = 64
"""Rows; a new root takes the place of one that was retired long ago."""


class RootDates(NamedTuple):
    """A root without its key."""

    id: str
    created: datetime
    retired: datetime | None


def insert_token_root(connection: Connection, rows: Rows, sealing: SecretKey, root: TokenRoot) -> None:
    """Store a new root.

    :param sealing: ``StoreKeys.derive("token-roots")``.
    :raises Conflict: there are :data:`ROOTS_MAX`, and none of them is retired.
    """
    known = list_token_roots(connection, rows)
    if len(known) >= ROOTS_MAX:
        retired = [one.id for one in known if one.retired is not None]
        if not retired:
            raise Conflict(f"there are {ROOTS_MAX} roots of tokens", hint="Retire those that sign no token in use.")
        connection.execute(delete(TOKEN_ROOTS).where(TOKEN_ROOTS.c.id == retired[0]))
    values = {
        "id": root.id,
        "wrapped": sealing.seal_key(root.key, _binding(root.id)),
        "created": root.created,
        "retired": root.retired,
    }
    rows.insert(connection, TOKEN_ROOTS, values)
    changes.record(connection, rows, "token-root", root.id)


def load_token_roots(connection: Connection, rows: Rows, sealing: SecretKey) -> list[TokenRoot]:
    """All roots, the oldest first, the retired ones among them; the caller releases their keys.

    :raises StoreCorrupt: a row was edited.
    """
    query = select(TOKEN_ROOTS).order_by(TOKEN_ROOTS.c.created, TOKEN_ROOTS.c.id)
    roots = []
    for row in connection.execute(query).all():
        values = rows.load(TOKEN_ROOTS, row)
        try:
            key = sealing.open_key(values["wrapped"], _binding(values["id"]))
        except CoreError:
            raise StoreCorrupt(f"row {values['id']} of table token_roots holds a key that does not open") from None
        roots.append(TokenRoot(values["id"], key, values["created"], values["retired"]))
    return roots


def list_token_roots(connection: Connection, rows: Rows) -> list[RootDates]:
    """All roots, the oldest first, the retired ones among them, none of them opened.

    :raises StoreCorrupt: a row was edited.
    """
    query = select(TOKEN_ROOTS).order_by(TOKEN_ROOTS.c.created, TOKEN_ROOTS.c.id)
    loaded = (rows.load(TOKEN_ROOTS, row) for row in connection.execute(query).all())
    return [RootDates(values["id"], values["created"], values["retired"]) for values in loaded]


def oldest_live(connection: Connection, rows: Rows) -> datetime | None:
    """When the oldest root was made that is not retired: no token from before that is valid. None where there is none.

    :raises StoreCorrupt: a row was edited.
    """
    return next((one.created for one in list_token_roots(connection, rows) if one.retired is None), None)


def after_all(connection: Connection, rows: Rows, now: datetime) -> datetime:
    """A time for what comes after every root that there is, also where the clock was set back.

    :raises StoreCorrupt: a row was edited.
    """
    return max([now, *(one.created + _MICROSECOND for one in list_token_roots(connection, rows))])


def require_live(connection: Connection, rows: Rows, root_id: str) -> None:
    """For what this root has just signed.

    :raises Conflict: it was retired meanwhile.
    """
    if not any(one.id == root_id and one.retired is None for one in list_token_roots(connection, rows)):
        raise Conflict("the root of tokens was just retired", hint="Try again.")


def retire_token_root(connection: Connection, rows: Rows, root_id: str, now: datetime) -> None:
    """Say that no token of this root is good any more.

    :raises NotFound: there is no such root.
    """
    current = rows.find(connection, TOKEN_ROOTS, root_id)
    if current is None:
        raise NotFound("there is no token root with this id")
    if current["retired"] is None:
        rows.update(connection, TOKEN_ROOTS, current, {"retired": now})
        changes.record(connection, rows, "token-root", root_id)


def _binding(root_id: str) -> bytes:
    return b"ron-kms/token-root/v1\0" + root_id.encode()
