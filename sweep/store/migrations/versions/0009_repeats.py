"""Repeats of runs with other seeds, which are no trials of Optuna's."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "sweep_repeats",
        sa.Column("study_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("repeat_of", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("repeat", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("seed", sa.BigInteger, nullable=False),
        sa.Column("name", sa.String(255)),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("directory", sa.Text),
        sa.Column("value", sa.Double),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("started", sa.Double),
        sa.Column("duration", sa.Double),
        sa.Column("snapshot", sa.String(64)),
        sa.Column("test", sa.Text),
    )
