"""Snapshots of study files, so that runs can be rerun."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the table, and the column of runs that refers to it."""
    op.create_table(
        "sweep_snapshots",
        sa.Column("hash", sa.String(64), primary_key=True),
        sa.Column("content", sa.Text, nullable=False),
    )
    op.add_column("sweep_runs", sa.Column("snapshot", sa.String(64)))
