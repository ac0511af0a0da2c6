"""What was minted and what was revoked."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def _number(name: str, *, primary: bool = False, nullable: bool = False) -> sa.Column[Any]:
    type_ = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    return sa.Column(name, type_, primary_key=primary, autoincrement=False, nullable=nullable)


def _text(name: str, *, primary: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Text(), primary_key=primary, nullable=False)


def _bytes(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.LargeBinary(), nullable=False)


def upgrade() -> None:
    op.create_table(
        "tokens",
        _text("id", primary=True),
        _text("reach"),
        _text("scopes"),
        _number("rate", nullable=True),
        _number("expires", nullable=True),
        _text("root_id"),
        _text("minted_by"),
        _text("label"),
        _number("created"),
        _bytes("mac"),
    )
    op.create_index("tokens_by_reach", "tokens", ["reach", "id"])
    op.create_index("tokens_by_minter", "tokens", ["minted_by"])
    op.create_index("tokens_by_age", "tokens", ["created"])
    dated = sa.text("expires IS NOT NULL")
    op.create_index("tokens_by_expiry", "tokens", ["expires"], sqlite_where=dated, postgresql_where=dated)
    op.create_table(
        "revocations",
        _text("tenant", primary=True),
        _number("n", primary=True),
        _text("token_id"),
        _number("revoked"),
        _text("revoked_by"),
        _number("until", nullable=True),
        _bytes("mac"),
    )
    op.create_index("revocations_by_token", "revocations", ["token_id"], unique=True)
    op.create_index("revocations_by_end", "revocations", ["tenant", "until"])
    op.add_column("tenant_heads", _number("first_revocation", nullable=True))
    op.add_column("tenant_heads", _number("last_revocation", nullable=True))
