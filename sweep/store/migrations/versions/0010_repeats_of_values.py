"""Repeats that are part of a run's value, in a study that trains every trial with several seeds."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Add the column; until now every repeat had a fresh seed."""
    op.add_column("sweep_repeats", sa.Column("of_value", sa.Boolean, nullable=False, server_default=sa.false()))
