"""Keys and their versions: written with the change that announces them, read checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, bindparam, func, select, tuple_

from ron_kms.errors import BadRequest, StoreCorrupt
from ron_kms.model import Key, Kid, Version
from ron_kms.store import changes
from ron_kms.store.rows import Rows
from ron_kms.store.schema import KEY_VERSIONS, KEYS

_KEY_COLUMNS = len(KEYS.columns)
_BOTH = select(KEYS, KEY_VERSIONS).where(KEYS.c.uuid == bindparam("uuid"))
_SAME_KEY = KEY_VERSIONS.c.uuid == KEYS.c.uuid

# Keys are looked up by their uuid and compared by name once they are known to be genuine, so that a key whose name was
# edited is refused and not merely absent.
_ALL = _BOTH.outerjoin_from(KEYS, KEY_VERSIONS, _SAME_KEY).order_by(KEY_VERSIONS.c.number)
_ONE = _BOTH.outerjoin_from(
    KEYS, KEY_VERSIONS, _SAME_KEY & (KEY_VERSIONS.c.number == func.coalesce(bindparam("number"), KEYS.c.newest))
)
_ORPHAN = select(KEY_VERSIONS.c.number).where(KEY_VERSIONS.c.uuid == bindparam("uuid")).limit(1)


def insert_key(connection: Connection, rows: Rows, key: Key, version: Version) -> int:
    """Store a new key with its first version; returns the change's number.

    :raises ron_kms.errors.Conflict: a key with its uuid exists (said by the future of ``Database.write``).
    """
    if (key.newest, version.number) != (1, 1):
        raise ValueError("a new key begins with version 1")
    rows.insert(
        connection,
        KEYS,
        {
            "uuid": key.uuid,
            "tenant": key.tenant,
            "purpose": key.purpose,
            "use": key.use,
            "raw_messages": key.raw_messages,
            "labels": msgspec.json.encode(key.labels, order="sorted").decode(),
            "newest": key.newest,
            "revision": 1,
            "created": key.created,
        },
    )
    rows.insert(
        connection,
        KEY_VERSIONS,
        {
            "uuid": key.uuid,
            "number": version.number,
            "suite": version.suite,
            "state": version.state,
            "public": msgspec.msgpack.encode(version.public),
            "blob": version.blob,
            "created": version.created,
        },
    )
    return changes.record(connection, rows, "key", str(key.kid))


def load_key(connection: Connection, rows: Rows, kid: Kid) -> tuple[Key, list[Version]] | None:
    """A key and all its versions in order, or None; the kid's own version does not matter.

    :raises StoreCorrupt: a row of it was edited, moved or taken out.
    """
    found = connection.execute(_ALL, {"uuid": kid.uuid}).all()
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
    found = connection.execute(_ONE, {"uuid": kid.uuid, "number": kid.version}).one_or_none()
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
    name = (KEYS.c.tenant, KEYS.c.purpose, KEYS.c.uuid)
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


def _key_of(connection: Connection, rows: Rows, kid: Kid, row: Row[Any] | None) -> Key | None:
    """The key of a joined row, if it is the one that was asked for."""
    if row is None:
        if connection.execute(_ORPHAN, {"uuid": kid.uuid}).first() is not None:
            raise StoreCorrupt(f"row {kid.uuid} of table keys is missing: it was taken out outside ron-kms")
        return None
    key = _key(rows.load(KEYS, row[:_KEY_COLUMNS]))
    return key if key.kid == (*kid[:3], None) else None


def _has_version(row: Row[Any]) -> bool:
    return any(value is not None for value in row[_KEY_COLUMNS:])


def _missing(kid: Kid, number: int) -> StoreCorrupt:
    return StoreCorrupt(f"row {kid.uuid}/{number} of table key_versions is missing: it was taken out outside ron-kms")


def _key(values: Mapping[str, Any]) -> Key:
    return Key(
        tenant=values["tenant"],
        purpose=values["purpose"],
        uuid=values["uuid"],
        use=values["use"],
        raw_messages=values["raw_messages"],
        labels=msgspec.json.decode(values["labels"], type=dict[str, str]),
        newest=values["newest"],
        created=values["created"],
    )


def _version(values: Mapping[str, Any]) -> Version:
    return Version(
        number=values["number"],
        suite=values["suite"],
        state=values["state"],
        public=msgspec.msgpack.decode(values["public"], type=tuple[bytes, ...]),
        blob=values["blob"],
        created=values["created"],
    )
