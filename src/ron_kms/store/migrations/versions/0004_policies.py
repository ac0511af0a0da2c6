"""Post-quantum policies of tenants, what their steps' plans named, and the tenants' heads."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def _number(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=nullable)


def _text(name: str, *, primary: bool = False, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Text(), primary_key=primary, nullable=nullable)


def _bytes(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.LargeBinary(), nullable=False)


def upgrade() -> None:
    op.create_table(
        "policies",
        _text("tenant", primary=True),
        _number("revision"),
        _number("phase"),
        _number("rollout_percent"),
        _number("stepped"),
        _bytes("named"),
        _number("rolled_back", nullable=True),
        _text("rolled_back_by", nullable=True),
        _bytes("mac"),
    )
    op.create_index("policies_rolled_back", "policies", ["rolled_back"])
    op.create_table("policy_plans", _text("tenant", primary=True), _number("revision"), _bytes("named"), _bytes("mac"))
    op.create_table("tenant_heads", _text("tenant", primary=True), _number("revision"), _bytes("digest"), _bytes("mac"))
