"""What was minted: a row for every token that is valid or was lately, without the token itself.

It is for people who ask what is out there. Checking a token needs none of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, delete, func, or_, select, true

from ron_kms.errors import Conflict
from ron_kms.store.rows import Rows, stored_time
from ron_kms.store.schema import TOKENS
from ron_kms.store.tokens import oldest_live

TOKENS_MAX = 10_000
"""Tokens of one tenant that are not expired, revoked ones among them; and of those that cover several."""

_PURGED = 32
"""Expired ones that one new one takes away at most."""


class Minted(NamedTuple):
    """One token.

    :ivar reach: the segments of kids that it covers; none for all.
    :ivar rate: operations a second.
    :ivar root_id: of the root that signs it.
    :ivar minted_by: the id of the token that asked for it; empty for the administrator's.
    """

    id: str
    reach: tuple[str, ...]
    scopes: tuple[str, ...]
    rate: int | None
    expires: datetime | None
    root_id: str
    minted_by: str
    label: str
    created: datetime

    @property
    def tenant(self) -> str:
        """The one tenant that it covers; empty where that is not one."""
        return self.reach[0] if self.reach else ""


def insert_minted(connection: Connection, rows: Rows, minted: Minted) -> None:
    """Store a new one, and take some away that are good for nothing any more.

    :raises Conflict: its tenant has :data:`TOKENS_MAX` already.
    """
    over = TOKENS.c.expires <= stored_time(datetime.now(UTC))
    oldest = oldest_live(connection, rows)
    if oldest is not None:  # what was minted before the first root that still signs any
        over = or_(over, TOKENS.c.created < stored_time(oldest))
    connection.execute(delete(TOKENS).where(TOKENS.c.id.in_(select(TOKENS.c.id).where(over).limit(_PURGED))))
    mine = within(minted.reach[:1]) if minted.reach else TOKENS.c.reach == ""
    if connection.execute(select(func.count()).select_from(TOKENS).where(mine)).scalar_one() >= TOKENS_MAX:
        raise Conflict(
            f"there are {TOKENS_MAX} tokens of this tenant that are not expired",
            hint="Narrow one offline for each holder, or let tokens expire sooner.",
        )
    values = {**minted._asdict(), "reach": "/".join(minted.reach), "scopes": " ".join(minted.scopes)}
    rows.insert(connection, TOKENS, values)


def find_minted(connection: Connection, rows: Rows, token_id: str) -> Minted | None:
    """:raises StoreCorrupt: its row was edited."""
    values = rows.find(connection, TOKENS, token_id)
    return None if values is None else _minted(values)


def list_minted(
    connection: Connection, rows: Rows, reach: tuple[str, ...], after: str | None, limit: int
) -> list[Minted]:
    """Up to ``limit`` tokens that cover nothing outside of ``reach``, the oldest first.

    :param after: the id of the last one of the page before.
    :raises StoreCorrupt: a row was edited.
    """
    query = select(TOKENS).where(within(reach)).order_by(TOKENS.c.id).limit(limit)
    if after is not None:
        query = query.where(TOKENS.c.id > after)
    return [_minted(rows.load(TOKENS, row)) for row in connection.execute(query)]


def minted_with(connection: Connection, rows: Rows, token_id: str) -> Iterator[Minted]:
    """What was minted with a token, with what was minted with it, and so on.

    :raises StoreCorrupt: a row was edited.
    """
    minters = [token_id]
    while minters:
        found = connection.execute(select(TOKENS).where(TOKENS.c.minted_by == minters.pop())).all()
        for row in found:
            minted = _minted(rows.load(TOKENS, row))
            minters.append(minted.id)
            yield minted


def within(reach: tuple[str, ...]) -> ColumnElement[bool]:
    """Whose reach has these segments first."""
    if not reach:
        return true()
    text = "/".join(reach)
    # The sign after a slash is the digit zero.
    return or_(TOKENS.c.reach == text, and_(TOKENS.c.reach > f"{text}/", TOKENS.c.reach < f"{text}0"))


def _minted(values: dict[str, Any]) -> Minted:
    reach = tuple(values["reach"].split("/")) if values["reach"] else ()
    return Minted(**{**values, "reach": reach, "scopes": tuple(values["scopes"].split(" "))})
