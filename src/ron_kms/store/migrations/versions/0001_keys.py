"""Root, keys and versions, changes, operations, token roots."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _number(name: str, *, primary: bool = False, nullable: bool = False) -> sa.Column[int]:
    kind = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    return sa.Column(name, kind, primary_key=primary, autoincrement=False, nullable=nullable)


def _text(name: str, *rules: sa.ForeignKey, primary: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), *rules, primary_key=primary, nullable=False)


def _bytes(name: str) -> sa.Column[bytes]:
    return sa.Column(name, sa.LargeBinary(), nullable=False)


def upgrade() -> None:
    op.create_table(
        "root",
        _number("slot", primary=True),
        _text("root_id"),
        _text("seal"),
        _number("format"),
        _bytes("wrapped"),
        _number("created"),
        _bytes("mac"),
    )
    op.create_table(
        "keys",
        _text("uuid", primary=True),
        _text("tenant"),
        _text("purpose"),
        _text("use"),
        _number("raw_messages"),
        _text("labels"),
        _number("newest"),
        _number("revision"),
        _number("created"),
        _bytes("mac"),
    )
    op.create_index("keys_by_name", "keys", ["tenant", "purpose", "uuid"], unique=True)
    op.create_table(
        "key_versions",
        _text("uuid", sa.ForeignKey("keys.uuid"), primary=True),
        _number("number", primary=True),
        _text("suite"),
        _text("state"),
        _bytes("public"),
        _bytes("blob"),
        _number("created"),
        _bytes("mac"),
    )
    op.create_table(
        "changes",
        _number("n", primary=True),
        _text("kind"),
        _text("id"),
        _bytes("mac"),
    )
    op.create_table(
        "operations",
        _text("tenant", primary=True),
        _text("token_id", primary=True),
        _text("verb", primary=True),
        _text("op_id", primary=True),
        _bytes("digest"),
        _bytes("answer"),
        _number("created"),
        _bytes("mac"),
    )
    op.create_index("operations_by_age", "operations", ["created"])
    op.create_table(
        "token_roots",
        _text("id", primary=True),
        _bytes("wrapped"),
        _number("created"),
        _number("retired", nullable=True),
        _bytes("mac"),
    )
