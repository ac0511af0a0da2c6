"""The life of keys: minimum versions, protection, rotation on a schedule, destruction."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def _number(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True)


def _text(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Text(), nullable=True)


def _dates(name: str, table: str, column: str) -> None:
    given = sa.text(f"{column} IS NOT NULL")
    op.create_index(name, table, [column], sqlite_where=given, postgresql_where=given)


def upgrade() -> None:
    for column in (
        _text("policy_hints"),
        _number("min_verify_version"),
        _number("min_open_version"),
        _number("deletion_protection"),
        _number("rotation_period"),
        _number("next_rotation"),
        _number("destroy_at"),
        _number("destroyed"),
    ):
        op.add_column("keys", column)
    _dates("keys_by_rotation", "keys", "next_rotation")
    _dates("keys_by_destruction", "keys", "destroy_at")
    for column in (_text("before"), _number("destroy_at"), _number("destroyed")):
        op.add_column("key_versions", column)
    _dates("versions_by_destruction", "key_versions", "destroy_at")
