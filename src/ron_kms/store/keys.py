"""Keys and their versions: written with the change that announces them, read checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, Row, bindparam, func, select, tuple_

from ron_kms.errors import BadRequest, StoreCorrupt
from ron_kms.model import Key, Kid, Version
from ron_kms.store import changes
from ron_kms.store.rows import Rows, stored_time
from ron_kms.store.schema import KEY_VERSIONS, KEYS

_KEY_COLUMNS = len(KEYS.columns)
_KEY_DEFAULTS: dict[str, object] = {
    "policy_hints": {},
    "min_verify_version": 1,
    "min_open_version": 1,
    "deletion_protection": False,
}
_BOTH = select(KEYS, KEY_VERSIONS).where(KEYS.c.uuid == bindparam("uuid"))
_NAME = (KEYS.c.tenant, KEYS.c.purpose, KEYS.c.uuid)
_SAME_KEY = KEY_VERSIONS.c.uuid == KEYS.c.uuid
_SAME_NAME = (KEYS.c.tenant == bindparam("tenant")) & (KEYS.c.purpose == bindparam("purpose"))

# Keys are looked up by their uuid and compared by name once they are known to be genuine, so that a key whose name was
# edited is refused and not merely absent. No version is read of a key with another name than was asked for, so that its
# refusal takes about as long as that of a key which does not exist.
_ALL = _BOTH.outerjoin_from(KEYS, KEY_VERSIONS, _SAME_KEY & _SAME_NAME).order_by(KEY_VERSIONS.c.number)
_SAME_VERSION = _SAME_KEY & _SAME_NAME & (KEY_VERSIONS.c.number == func.coalesce(bindparam("number"), KEYS.c.newest))
_ONE = _BOTH.outerjoin_from(KEYS, KEY_VERSIONS, _SAME_VERSION)
_MANY = (
    select(KEYS, KEY_VERSIONS)
    .outerjoin_from(KEYS, KEY_VERSIONS, _SAME_VERSION)
    .where(KEYS.c.uuid.in_(bindparam("uuids", expanding=True)))
)
_MANY_MAX = 64
_UUID = list(KEYS.columns.keys()).index("uuid")
_ORPHAN = select(KEY_VERSIONS.c.number).where(KEY_VERSIONS.c.uuid == bindparam("uuid")).limit(1)


def insert_key(connection: Connection, rows: Rows, key: Key, version: Version) -> int:
    """Store a new key with its first version, and announce it.

    :returns: the change's number.
    :raises ron_kms.errors.Conflict: a key with its uuid exists (said by the future of ``Database.write``).
    """
    if (key.newest, version.number) != (1, 1):
        raise ValueError("a new key begins with version 1")
    rows.insert(connection, KEYS, _key_row(key))
    rows.insert(connection, KEY_VERSIONS, _version_row(key, version))
    return changes.record(connection, rows, "key", str(key.kid))


class Saved(NamedTuple):
    """A key as it was written, and the number of the change."""

    key: Key
    n: int


def save(
    connection: Connection,
    rows: Rows,
    before: Key,
    after: Key,
    versions: Iterable[tuple[Version, Version]] = (),
    added: Version | None = None,
) -> Saved:
    """Write what has changed of a key, count its revision up and announce it; in the transaction that has read it.

    :param before: as it was read.
    :param versions: changed ones, as they were read and as they are to be.
    :param added: a new version.
    :raises ron_kms.errors.Conflict: a row is not as it was read.
    """
    saved = msgspec.structs.replace(after, revision=before.revision + 1)
    rows.update(connection, KEYS, _key_row(before), _key_row(saved))
    for old, new in versions:
        rows.update(connection, KEY_VERSIONS, _version_row(before, old), _version_row(saved, new))
    if added is not None:
        rows.insert(connection, KEY_VERSIONS, _version_row(saved, added))
    return Saved(saved, changes.record(connection, rows, "key", str(saved.kid)))


def load_key(connection: Connection, rows: Rows, kid: Kid) -> tuple[Key, list[Version]] | None:
    """A key and all its versions in order, or None; the kid's own version does not matter.

    :raises StoreCorrupt: a row of it was edited, moved or taken out.
    """
    found = connection.execute(_ALL, _named(kid)).all()
    key = _key_of(connection, rows, kid, found[0] if found else None)
    if key is None:
        return None
    versions = [_version(rows.load(KEY_VERSIONS, row[_KEY_COLUMNS:])) for row in found if _has_version(row)]
    numbers = [version.number for version in versions]
    for number in range(1, key.newest + 1):
        if number not in numbers:
            raise _missing(kid, number)
    if len(numbers) > key.newest:
        raise StoreCorrupt(f"table key_versions holds more of key {kid.uuid} than its row in table keys knows")
    return key, versions


def load_version(connection: Connection, rows: Rows, kid: Kid) -> tuple[Key, Version] | None:
    """One version of a key, the newest where the kid names none, in one indexed query; None where there is none.

    :raises StoreCorrupt: a row of it was edited, moved or taken out.
    """
    found = connection.execute(_ONE, {**_named(kid), "number": kid.version}).one_or_none()
    return _pair(connection, rows, kid, found)


def load_versions(
    connection: Connection, rows: Rows, kids: Iterable[Kid]
) -> dict[Kid, tuple[Key, Version] | StoreCorrupt]:
    """As :func:`load_version` for many, at less cost; those that do not exist are left out, and an error stands for
    its kid alone."""
    found: dict[Kid, tuple[Key, Version] | StoreCorrupt] = {}
    groups: dict[tuple[str, str, int | None], list[Kid]] = {}
    for kid in kids:
        groups.setdefault((kid.tenant, kid.purpose, kid.version), []).append(kid)
    for alike in groups.values():
        for start in range(0, len(alike), _MANY_MAX):
            part = alike[start : start + _MANY_MAX]
            asked = {**_named(part[0]), "number": part[0].version}
            if len(part) > 1:
                result = connection.execute(_MANY, {**asked, "uuids": [kid.uuid for kid in part]})
            else:
                result = connection.execute(_ONE, asked)
            joined = {row[_UUID]: row for row in result}
            for kid in part:
                try:
                    pair = _pair(connection, rows, kid, joined.get(kid.uuid))
                except StoreCorrupt as error:
                    found[kid] = error
                else:
                    if pair is not None:
                        found[kid] = pair
    return found


def _pair(connection: Connection, rows: Rows, kid: Kid, found: Row[Any] | None) -> tuple[Key, Version] | None:
    """The key and the version of a joined row, if they are what was asked for."""
    key = _key_of(connection, rows, kid, found)
    if key is None or found is None:
        return None
    number = kid.version or key.newest
    if not _has_version(found):
        if number <= key.newest:
            raise _missing(kid, number)
        return None
    return key, _version(rows.load(KEY_VERSIONS, found[_KEY_COLUMNS:]))


def list_keys(connection: Connection, rows: Rows, prefix: tuple[str, ...], after: Kid | None, limit: int) -> list[Key]:
    """Up to ``limit`` keys whose names begin with the segments of ``prefix``, by tenant, purpose and uuid.

    :param prefix: nothing, a tenant, a tenant and a purpose, or these and a uuid.
    :param after: the last key of the page before.
    :raises BadRequest: the prefix is too long, or ``after`` is outside it.
    """
    name = _NAME
    if len(prefix) > len(name):
        raise BadRequest("a prefix has at most tenant, purpose and uuid")
    query = select(KEYS).order_by(*name).limit(limit)
    for column, segment in zip(name, prefix, strict=False):
        query = query.where(column == segment)
    if after is not None:
        if after[: len(prefix)] != prefix:
            raise BadRequest("the page begins outside the prefix that was asked for")
        if len(prefix) == len(name):
            return []
        query = query.where(tuple_(*name[len(prefix) :]) > tuple_(*after[len(prefix) : len(name)]))
    return [_key(rows.load(KEYS, row)) for row in connection.execute(query)]


def count_keys(connection: Connection) -> dict[str, int]:
    """How many keys there are, by use, destroyed ones too; a look at every one."""
    query = select(KEYS.c.use, func.count()).group_by(KEYS.c.use)
    return dict(connection.execute(query).tuples().all())


def due_rotations(connection: Connection, now: datetime, limit: int) -> list[Kid]:
    """Names of keys whose rotation is due, the longest overdue first. They are hints: nothing of them is proven yet."""
    due = select(*_NAME).where(KEYS.c.next_rotation <= stored_time(now)).order_by(KEYS.c.next_rotation).limit(limit)
    return [Kid(*row) for row in connection.execute(due)]


def due_destructions(connection: Connection, now: datetime, limit: int) -> list[Kid]:
    """Names of keys of which something is due to be destroyed, the longest overdue first. They are hints: nothing of
    them is proven yet."""
    found: list[tuple[Any, ...]] = []
    for column in (KEY_VERSIONS.c.destroy_at, KEYS.c.destroy_at):
        due = select(column, *_NAME).where(column <= stored_time(now)).order_by(column).limit(limit)
        if column.table is KEY_VERSIONS:
            due = due.join_from(KEY_VERSIONS, KEYS, _SAME_KEY)
        found += map(tuple, connection.execute(due))
    return list(dict.fromkeys(Kid(*row[1:]) for row in sorted(found)))[:limit]


def _key_of(connection: Connection, rows: Rows, kid: Kid, row: Row[Any] | None) -> Key | None:
    """The key of a joined row, if it is the one that was asked for."""
    if row is None:
        if connection.execute(_ORPHAN, {"uuid": kid.uuid}).first() is not None:
            raise StoreCorrupt(f"row {kid.uuid} of table keys is missing: it was taken out outside ron-kms")
        return None
    values = rows.load(KEYS, row[:_KEY_COLUMNS])
    return _key(values) if (values["tenant"], values["purpose"]) == kid[:2] else None


def _named(kid: Kid) -> dict[str, str]:
    return {"tenant": kid.tenant, "purpose": kid.purpose, "uuid": kid.uuid}


def _has_version(row: Row[Any]) -> bool:
    return any(value is not None for value in row[_KEY_COLUMNS:])


def _missing(kid: Kid, number: int) -> StoreCorrupt:
    return StoreCorrupt(f"row {kid.uuid}/{number} of table key_versions is missing: it was taken out outside ron-kms")


def _key(values: Mapping[str, Any]) -> Key:
    given = {name: value for name, value in values.items() if value is not None}
    for name in ("labels", "policy_hints"):
        if name in given:
            given[name] = msgspec.json.decode(given[name], type=dict[str, str])
    return Key(**given)


def _key_row(key: Key) -> dict[str, Any]:
    """What is as by default is NULL, so that a key reads the same whichever version of ron-kms has written it."""
    values = msgspec.structs.asdict(key)
    for name, default in _KEY_DEFAULTS.items():
        if values[name] == default:
            values[name] = None
    for name in ("labels", "policy_hints"):
        if values[name] is not None:
            values[name] = msgspec.json.encode(values[name], order="sorted").decode()
    return values


def _version(values: Mapping[str, Any]) -> Version:
    given = {name: value for name, value in values.items() if name != "uuid"}
    return Version(**given | {"public": msgspec.msgpack.decode(values["public"], type=tuple[bytes, ...])})


def _version_row(key: Key, version: Version) -> dict[str, Any]:
    values = msgspec.structs.asdict(version)
    return values | {"uuid": key.uuid, "public": msgspec.msgpack.encode(version.public)}
