"""Where the keys of a tenant stand: their newest suite, and which of their versions have one of some suites."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from itertools import groupby
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, Select, or_, select, tuple_

from ron_kms.errors import StoreCorrupt
from ron_kms.model import Kid, Use
from ron_kms.store.rows import Rows
from ron_kms.store.schema import KEY_VERSIONS, KEYS

_KEY_COLUMNS = len(KEYS.columns)


class Standing(NamedTuple):
    """One key.

    :ivar newest: the number of its newest version.
    :ivar suite: of that version.
    :ivar among: its versions with one of the suites asked for, in order.
    :ivar still: whether nothing new is to be made under it: its newest version is not enabled, or the whole key was
        destroyed or is going to be.
    """

    kid: Kid
    use: Use
    newest: int
    suite: str
    among: tuple[int, ...]
    still: bool


def standings(
    connection: Connection, rows: Rows, tenant: str, suites: Collection[str], after: Kid | None, limit: int
) -> list[Standing]:
    """Up to ``limit`` keys of a tenant, by purpose and uuid.

    :param suites: the suites whose versions are asked for.
    :param after: the last key of the page before.
    :raises StoreCorrupt: a row was edited, or a newest version was taken out.
    """
    query = select(KEYS).where(KEYS.c.tenant == tenant).order_by(KEYS.c.purpose, KEYS.c.uuid).limit(limit)
    if after is not None:
        query = query.where(tuple_(KEYS.c.purpose, KEYS.c.uuid) > tuple_(after.purpose, after.uuid))
    return list(_read(connection, rows, query, suites))


def standing(connection: Connection, rows: Rows, kid: Kid, suites: Collection[str]) -> Standing | None:
    """One key; None where there is none of this name."""
    query = select(KEYS).where(KEYS.c.uuid == kid.uuid)
    return next((found for found in _read(connection, rows, query, suites) if found.kid == kid.at(None)), None)


def _read(connection: Connection, rows: Rows, query: Select[Any], suites: Collection[str]) -> Iterator[Standing]:
    keys = query.subquery()
    wanted = or_(KEY_VERSIONS.c.number == keys.c.newest, KEY_VERSIONS.c.suite.in_(suites))
    both = (
        select(keys, KEY_VERSIONS)
        .outerjoin_from(keys, KEY_VERSIONS, (KEY_VERSIONS.c.uuid == keys.c.uuid) & wanted)
        .order_by(keys.c.purpose, keys.c.uuid, KEY_VERSIONS.c.number)
    )
    for _, found in groupby(connection.execute(both), key=lambda row: row[0]):
        yield _standing(rows, found, suites)


def _standing(rows: Rows, found: Iterable[Row[Any]], suites: Collection[str]) -> Standing:
    pairs = list(found)
    key = rows.load(KEYS, pairs[0][:_KEY_COLUMNS])
    versions = [rows.load(KEY_VERSIONS, row[_KEY_COLUMNS:]) for row in pairs if row[_KEY_COLUMNS] is not None]
    if not versions or versions[-1]["number"] != key["newest"]:
        raise StoreCorrupt(f"row {key['uuid']}/{key['newest']} of table key_versions is missing: it was taken out")
    return Standing(
        kid=Kid(key["tenant"], key["purpose"], key["uuid"]),
        use=key["use"],
        newest=key["newest"],
        suite=versions[-1]["suite"],
        among=tuple(version["number"] for version in versions if version["suite"] in suites),
        still=versions[-1]["state"] != "enabled" or key["destroyed"] is not None or key["destroy_at"] is not None,
    )
