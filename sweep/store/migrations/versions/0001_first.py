"""The first schema: studies, runs, metrics by epoch, commands."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the four tables."""
    op.create_table(
        "sweep_studies",
        sa.Column("study_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("name", sa.String(255), nullable=False, unique=True),
        sa.Column("declaration", sa.Text, nullable=False),
        sa.Column("keys", sa.Text, nullable=False),
        sa.Column("space", sa.Text, nullable=False),
        sa.Column("directory", sa.Text, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("owner", sa.Text),
        sa.Column("beat", sa.Integer, nullable=False),
    )
    op.create_table(
        "sweep_runs",
        sa.Column("study_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("name", sa.String(255)),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("directory", sa.Text),
        sa.Column("family", sa.Text),
        sa.Column("architecture", sa.Text),
        sa.Column("params", sa.Text, nullable=False),
        sa.Column("seed", sa.BigInteger),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("epochs", sa.Integer),
        sa.Column("last", sa.Double),
        sa.Column("last_kind", sa.String(4)),
        sa.Column("best", sa.Double),
        sa.Column("best_epoch", sa.Integer),
        sa.Column("reason", sa.Text),
        sa.Column("finding", sa.Text),
        sa.Column("traceback", sa.Text),
        sa.Column("worker", sa.Text),
        sa.Column("started", sa.Double),
        sa.Column("duration", sa.Double),
    )
    op.create_index("sweep_runs_name", "sweep_runs", ["study_id", "name"])
    op.create_table(
        "sweep_metrics",
        sa.Column("study_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("epoch", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("metric", sa.String(255), primary_key=True),
        sa.Column("value", sa.Double),
        sa.Column("kind", sa.String(4)),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "sweep_commands",
        sa.Column("command_id", sa.Integer, primary_key=True),
        sa.Column("study_id", sa.Integer, nullable=False, index=True),
        sa.Column("verb", sa.String(16), nullable=False),
        sa.Column("number", sa.Integer),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
    )
