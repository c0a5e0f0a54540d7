"""When a study's heartbeat last changed, by the database's clock."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the column; NULL until a coordinator of this version has the study."""
    op.add_column("sweep_studies", sa.Column("beaten", sa.Double))
