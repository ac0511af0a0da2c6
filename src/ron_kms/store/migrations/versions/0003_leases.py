"""Leases."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "leases",
        sa.Column("name", sa.Text(), primary_key=True, nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("token", number, nullable=False),
        sa.Column("expires", number, nullable=False),
        sa.Column("mac", sa.LargeBinary(), nullable=False),
    )
