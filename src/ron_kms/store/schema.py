"""The tables. Each row carries ``mac``, which :mod:`ron_kms.store.rows` makes and checks.

Values are stored in three ways only, integers, text and bytes, so that every engine gives back exactly what was written
and nothing is converted before it is authenticated. A column that a later migration adds comes after ``mac``, where
databases put it, and must be nullable: what is NULL is left out of a row's MAC, so the rows that exist stay valid.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Any

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, LargeBinary, MetaData, Table, Text
from sqlalchemy.types import TypeEngine


class Kind(enum.Enum):
    """What a column means: its tag in the MAC, how it is stored, and the type that the driver gives back for it."""

    INTEGER = 1, int
    TEXT = 2, str
    BYTES = 3, bytes
    FLAG = 4, int
    """A bool, stored as 0 or 1."""
    TIME = 5, int
    """An aware datetime, stored as microseconds since 1970 in UTC."""

    def __init__(self, tag: int, stored: type) -> None:
        self.tag = tag
        self.stored = stored


_TYPES: dict[type, TypeEngine[Any]] = {
    int: BigInteger().with_variant(Integer(), "sqlite"),
    str: Text(),
    bytes: LargeBinary(),
}

METADATA = MetaData()


def _column(name: str, kind: Kind, *rules: Any, primary: bool = False, nullable: bool = False) -> Column[Any]:
    return Column(
        name,
        _TYPES[kind.stored],
        *rules,
        primary_key=primary,
        autoincrement=False,
        nullable=nullable,
        info={"kind": kind},
    )


def _later(name: str, kind: Kind) -> Column[Any]:
    return _column(name, kind, nullable=True)


def _table(name: str, *parts: Any, later: Iterable[Column[Any]] = ()) -> Table:
    return Table(name, METADATA, *parts, _column("mac", Kind.BYTES), *later)


ROOT = _table(
    "root",
    _column("slot", Kind.INTEGER, primary=True),
    _column("root_id", Kind.TEXT),
    _column("seal", Kind.TEXT),
    _column("format", Kind.INTEGER),
    _column("wrapped", Kind.BYTES),
    _column("created", Kind.TIME),
)
"""One row: which root key this store belongs to, and the store key wrapped by it."""

KEYS = _table(
    "keys",
    _column("uuid", Kind.TEXT, primary=True),
    _column("tenant", Kind.TEXT),
    _column("purpose", Kind.TEXT),
    _column("use", Kind.TEXT),
    _column("raw_messages", Kind.FLAG),
    _column("labels", Kind.TEXT),
    _column("newest", Kind.INTEGER),
    _column("revision", Kind.INTEGER),
    _column("created", Kind.TIME),
    later=(
        _later("policy_hints", Kind.TEXT),
        _later("min_verify_version", Kind.INTEGER),
        _later("min_open_version", Kind.INTEGER),
        _later("deletion_protection", Kind.FLAG),
        _later("rotation_period", Kind.INTEGER),
        _later("next_rotation", Kind.TIME),
        _later("destroy_at", Kind.TIME),
        _later("destroyed", Kind.TIME),
    ),
)
"""A key as a whole. ``labels`` and ``policy_hints`` are JSON objects; ``revision`` grows with every change to the key
or to a version; what is NULL is as in a new :class:`ron_kms.model.Key`."""

Index("keys_by_name", KEYS.c.tenant, KEYS.c.purpose, KEYS.c.uuid, unique=True)


def _dates(name: str, column: Column[Any]) -> None:
    """Finds what is due; few rows have a date, and only those are in it."""
    Index(name, column, sqlite_where=column.is_not(None), postgresql_where=column.is_not(None))


_dates("keys_by_rotation", KEYS.c.next_rotation)
_dates("keys_by_destruction", KEYS.c.destroy_at)

KEY_VERSIONS = _table(
    "key_versions",
    _column("uuid", Kind.TEXT, ForeignKey("keys.uuid"), primary=True),
    _column("number", Kind.INTEGER, primary=True),
    _column("suite", Kind.TEXT),
    _column("state", Kind.TEXT),
    _column("public", Kind.BYTES),
    _column("blob", Kind.BYTES),
    _column("created", Kind.TIME),
    later=(
        _later("before", Kind.TEXT),
        _later("destroy_at", Kind.TIME),
        _later("destroyed", Kind.TIME),
    ),
)
"""One version of a key. ``public`` is a MessagePack array with one public key a track."""

_dates("versions_by_destruction", KEY_VERSIONS.c.destroy_at)

CHANGES = _table(
    "changes",
    _column("n", Kind.INTEGER, primary=True),
    _column("kind", Kind.TEXT),
    _column("id", Kind.TEXT),
)
"""What was changed, in order and without gaps."""

OPERATIONS = _table(
    "operations",
    _column("tenant", Kind.TEXT, primary=True),
    _column("token_id", Kind.TEXT, primary=True),
    _column("verb", Kind.TEXT, primary=True),
    _column("op_id", Kind.TEXT, primary=True),
    _column("digest", Kind.BYTES),
    _column("answer", Kind.BYTES),
    _column("created", Kind.TIME),
)
"""Answers already given to requests that carried an ``op_id``."""

Index("operations_by_age", OPERATIONS.c.created)

TOKEN_ROOTS = _table(
    "token_roots",
    _column("id", Kind.TEXT, primary=True),
    _column("wrapped", Kind.BYTES),
    _column("created", Kind.TIME),
    _column("retired", Kind.TIME, nullable=True),
)
"""The root keys of tokens, sealed under a key of their own."""

TOKENS = _table(
    "tokens",
    _column("id", Kind.TEXT, primary=True),
    _column("reach", Kind.TEXT),
    _column("scopes", Kind.TEXT),
    _column("rate", Kind.INTEGER, nullable=True),
    _column("expires", Kind.TIME, nullable=True),
    _column("root_id", Kind.TEXT),
    _column("minted_by", Kind.TEXT),
    _column("label", Kind.TEXT),
    _column("created", Kind.TIME),
)
"""What was minted, without the tokens themselves. ``reach`` is the kid prefix that a token covers, ``scopes`` have one
space between, ``minted_by`` is the id of the minter's token, empty for the administrator's."""

Index("tokens_by_reach", TOKENS.c.reach, TOKENS.c.id)
Index("tokens_by_minter", TOKENS.c.minted_by)
Index("tokens_by_age", TOKENS.c.created)
_dates("tokens_by_expiry", TOKENS.c.expires)

REVOCATIONS = _table(
    "revocations",
    _column("tenant", Kind.TEXT, primary=True),
    _column("n", Kind.INTEGER, primary=True),
    _column("token_id", Kind.TEXT),
    _column("revoked", Kind.TIME),
    _column("revoked_by", Kind.TEXT),
    _column("until", Kind.TIME, nullable=True),
)
"""Tokens that are refused, by the tenant that they cover, or no name, numbered without gaps and never twice; ``until``
is when they would have expired."""

Index("revocations_by_token", REVOCATIONS.c.token_id, unique=True)
Index("revocations_by_end", REVOCATIONS.c.tenant, REVOCATIONS.c.until)

LEASES = _table(
    "leases",
    _column("name", Kind.TEXT, primary=True),
    _column("holder", Kind.TEXT),
    _column("token", Kind.INTEGER),
    _column("expires", Kind.TIME),
)
"""Who does what one process of all does at a time; ``token`` grows whenever it changes hands."""

POLICIES = _table(
    "policies",
    _column("tenant", Kind.TEXT, primary=True),
    _column("revision", Kind.INTEGER),
    _column("phase", Kind.INTEGER),
    _column("rollout_percent", Kind.INTEGER),
    _column("stepped", Kind.TIME),
    _column("named", Kind.BYTES),
    _column("rolled_back", Kind.TIME, nullable=True),
    _column("rolled_back_by", Kind.TEXT, nullable=True),
)
"""A tenant's post-quantum policy; ``named`` is the digest of what the plan of its last step has named."""

Index("policies_rolled_back", POLICIES.c.rolled_back)

POLICY_PLANS = _table(
    "policy_plans",
    _column("tenant", Kind.TEXT, primary=True),
    _column("revision", Kind.INTEGER),
    _column("named", Kind.BYTES),
)
"""The versions that a step's plan has named, as :class:`ron_kms.policy.named.Named` packs them."""

TENANT_HEADS = _table(
    "tenant_heads",
    _column("tenant", Kind.TEXT, primary=True),
    _column("revision", Kind.INTEGER),
    _column("digest", Kind.BYTES),
    later=(
        _later("first_revocation", Kind.INTEGER),
        _later("last_revocation", Kind.INTEGER),
    ),
)
"""What a tenant's rows in other tables are, so that none can be taken out: the MAC of its policy, or nothing, and the
numbers of its revocations. The row of the empty name counts the others: its ``revision`` is how many there are."""

AUDIT = _table(
    "audit",
    _column("slot", Kind.INTEGER, primary=True),
    _column("deployment", Kind.TEXT),
    _column("logs", Kind.INTEGER),
)
"""One row: what this deployment is called in the origins of its audit logs, and how many logs are registered."""

AUDIT_LOGS = _table(
    "audit_logs",
    _column("origin", Kind.TEXT, primary=True),
    _column("node", Kind.TEXT),
    _column("slot", Kind.TEXT),
    _column("folder", Kind.TEXT),
    _column("ed25519", Kind.BYTES),
    _column("ed25519_blob", Kind.BYTES),
    _column("ml_dsa_44", Kind.BYTES),
    _column("ml_dsa_44_blob", Kind.BYTES),
    _column("created", Kind.TIME),
    _column("damage", Kind.TEXT, nullable=True),
    _column("closed", Kind.TIME, nullable=True),
)
"""The audit logs, with the public and the sealed halves of their keys. One that is closed is not gone on with; another
of the same slot has taken its place."""

AUDIT_HEADS = _table(
    "audit_heads",
    _column("origin", Kind.TEXT, primary=True),
    _column("size", Kind.INTEGER),
    _column("root", Kind.BYTES),
    _column("seen", Kind.TIME),
)
"""How far each log had come."""

OUTBOX = _table(
    "outbox",
    _column("id", Kind.TEXT, primary=True),
    _column("origin", Kind.TEXT, nullable=True),
    _column("record", Kind.BYTES),
)
"""Records of changes that are made, on their way into the log named here, or into any."""
