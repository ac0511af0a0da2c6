"""Audit logs, their heads, and the outbox of records."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def _number(name: str, *, primary: bool = False, nullable: bool = False) -> sa.Column[Any]:
    kind = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    return sa.Column(name, kind, primary_key=primary, autoincrement=False, nullable=nullable)


def _text(name: str, *, primary: bool = False, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Text(), primary_key=primary, nullable=nullable)


def _bytes(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.LargeBinary(), nullable=False)


def upgrade() -> None:
    op.create_table("audit", _number("slot", primary=True), _text("deployment"), _number("logs"), _bytes("mac"))
    op.create_table(
        "audit_logs",
        _text("origin", primary=True),
        _text("node"),
        _text("slot"),
        _text("folder"),
        _bytes("ed25519"),
        _bytes("ed25519_blob"),
        _bytes("ml_dsa_44"),
        _bytes("ml_dsa_44_blob"),
        _number("created"),
        _text("damage", nullable=True),
        _number("closed", nullable=True),
        _bytes("mac"),
    )
    op.create_table(
        "audit_heads", _text("origin", primary=True), _number("size"), _bytes("root"), _number("seen"), _bytes("mac")
    )
    op.create_table(
        "outbox", _text("id", primary=True), _text("origin", nullable=True), _bytes("record"), _bytes("mac")
    )
