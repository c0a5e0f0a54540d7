"""The verdict of each run that a pruner stopped, as numbers. Earlier runs keep theirs as text, in `reason`."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the column."""
    op.add_column("sweep_runs", sa.Column("verdict", sa.Text))
