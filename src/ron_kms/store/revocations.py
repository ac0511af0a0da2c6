"""Revocations: which tokens are refused though their signature holds.

They are numbered tenant by tenant, without gaps and no number twice; the tenant's head has the first and the last. So
none can be taken out, nor put in another's place. What no longer matters goes: it is always the oldest that leaves,
and where that one still matters, it is entered anew as the newest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, delete, func, or_, select

from ron_kms.errors import Conflict, StoreCorrupt
from ron_kms.store import changes
from ron_kms.store.heads import NOBODY, all_heads, find_head, save_head
from ron_kms.store.rows import Rows, stored_time
from ron_kms.store.schema import REVOCATIONS
from ron_kms.store.tokens import after_all, oldest_live

UNLISTED_MAX = 10_000
"""Revocations of tokens that no row tells of; of others there are as many as tokens at most."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_CLEARED = 16
"""Of the oldest that one new one looks at, at most."""


KEPT_LONGER = timedelta(days=1)
"""Than tokens are valid: a clock that was ahead for a while must not bring a token back."""

_ASKED = 1000
"""Ids in one query."""


class Revocation(NamedTuple):
    """One token that is refused.

    :ivar revoked_by: the id of the token that did it.
    :ivar until: when it would have expired; None for never.
    """

    token_id: str
    revoked: datetime
    revoked_by: str
    until: datetime | None


def revoke(connection: Connection, rows: Rows, tenant: str, entered: Iterable[Revocation]) -> None:
    """Refuse these tokens, which are not refused yet, and announce it.

    :param tenant: the one that they all cover; empty for tokens that cover several.
    :raises StoreCorrupt: the tenant's head was edited or taken out.
    """
    first, last = _range(connection, rows, tenant)
    least = after_all(connection, rows, _EPOCH)
    for given in entered:
        one = given._replace(revoked=max(given.revoked, least))
        last += 1
        rows.insert(connection, REVOCATIONS, {"tenant": tenant, "n": last, **one._asdict()})
        changes.record(connection, rows, "token", _written(one))
    first, last = _clear(connection, rows, tenant, first, last)
    save_head(connection, rows, tenant, first_revocation=first, last_revocation=last)


def require_room(connection: Connection) -> None:
    """For the revocation of a token that no row tells of.

    :raises Conflict: there are too many of these.
    """
    query = select(func.count()).select_from(REVOCATIONS).where(REVOCATIONS.c.tenant == NOBODY)
    if connection.execute(query).scalar_one() >= UNLISTED_MAX:
        raise Conflict(
            f"{UNLISTED_MAX} tokens without a tenant are revoked already",
            hint="Rotate the root of tokens and retire the one before: that ends all of its tokens.",
        )


def find_revocations(connection: Connection, rows: Rows, token_ids: Sequence[str]) -> dict[str, Revocation]:
    """Those of these tokens that are revoked, by their ids.

    :raises StoreCorrupt: a row was edited.
    """
    revocations: dict[str, Revocation] = {}
    for at in range(0, len(token_ids), _ASKED):
        some = REVOCATIONS.c.token_id.in_(token_ids[at : at + _ASKED])
        for row in connection.execute(select(REVOCATIONS).where(some)):
            one = _revocation(rows.load(REVOCATIONS, row))
            revocations[one.token_id] = one
    return revocations


def load_revocations(connection: Connection, rows: Rows) -> dict[str, float | None]:
    """All of them: token ids, and the second until which each matters, None where that has no end. 7 us each.

    :raises StoreCorrupt: one was edited, moved or taken out.
    """
    heads = all_heads(connection, rows)
    expected = {
        tenant: iter(range(head["first_revocation"], head["last_revocation"] + 1))
        for tenant, head in heads.items()
        if head["last_revocation"] is not None
    }
    loaded: dict[str, float | None] = {}
    query = select(REVOCATIONS).order_by(REVOCATIONS.c.tenant, REVOCATIONS.c.n)
    for row in connection.execute(query):
        values = rows.load(REVOCATIONS, row)
        if values["n"] != next(expected.get(values["tenant"], iter(())), None):
            raise _missing(values["tenant"])
        loaded[values["token_id"]] = _second(values["until"])
    for tenant, rest in expected.items():
        if next(rest, None) is not None:
            raise _missing(tenant)
    return loaded


def read_change(text: str) -> tuple[str, float | None]:
    """A change of the kind ``token``: the token's id, and the second until which it matters."""
    token_id, _, until = text.partition("@")
    return token_id, float(until) if until else None


def _written(one: Revocation) -> str:
    until = _second(one.until)
    return one.token_id if until is None else f"{one.token_id}@{until!r}"


def _second(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def _range(connection: Connection, rows: Rows, tenant: str) -> tuple[int, int]:
    """The numbers of the first and the last one; the last is one less than the first where there are none."""
    head = find_head(connection, rows, tenant)
    if head is None or head["last_revocation"] is None:
        return 1, 0
    return head["first_revocation"], head["last_revocation"]


def _clear(connection: Connection, rows: Rows, tenant: str, first: int, last: int) -> tuple[int, int]:
    """Take the oldest away where some do not matter any more; returns the numbers as they are then."""
    now, oldest = datetime.now(UTC) - KEPT_LONGER, oldest_live(connection, rows)
    mine = REVOCATIONS.c.tenant == tenant
    if connection.execute(select(REVOCATIONS.c.n).where(mine, _over(now, oldest)).limit(1)).first() is None:
        return first, last
    for _ in range(min(_CLEARED, last - first)):
        values = rows.find(connection, REVOCATIONS, tenant, first)
        if values is None:
            raise _missing(tenant)
        connection.execute(delete(REVOCATIONS).where(mine, REVOCATIONS.c.n == first))
        first += 1
        one = _revocation(values)
        if not ((one.until is not None and one.until <= now) or (oldest is not None and one.revoked < oldest)):
            last += 1
            rows.insert(connection, REVOCATIONS, {**values, "n": last})
    return first, last


def _over(now: datetime, oldest: datetime | None) -> ColumnElement[bool]:
    """Whose token has expired, or was revoked before the first root was made that still signs any."""
    expired = REVOCATIONS.c.until <= stored_time(now)
    return expired if oldest is None else or_(expired, REVOCATIONS.c.revoked < stored_time(oldest))


def _revocation(values: dict[str, Any]) -> Revocation:
    return Revocation(values["token_id"], values["revoked"], values["revoked_by"], values["until"])


def _missing(tenant: str) -> StoreCorrupt:
    of = f"tenant {tenant}" if tenant else "no tenant"
    return StoreCorrupt(f"table revocations is not what table tenant_heads says of {of}: a row was taken out or put in")
