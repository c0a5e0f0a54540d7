"""All findings of a run in place of the text of one; which run it revives, and how its earlier attempts ended."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the columns, and replace that of one finding: a text `kind: evidence; remedy` becomes one finding."""
    for column in (
        sa.Column("findings", sa.Text),
        sa.Column("revives", sa.Integer),
        sa.Column("interruptions", sa.Text),
    ):
        op.add_column("sweep_runs", column)
    runs = sa.table(
        "sweep_runs", sa.column("study_id"), sa.column("number"), sa.column("finding"), sa.column("findings")
    )
    connection = op.get_bind()
    for row in connection.execute(sa.select(runs).where(runs.c.finding.is_not(None))).all():
        kind, _, rest = row.finding.partition(": ")
        evidence, _, remedy = rest.rpartition("; ")
        found = [{"kind": kind.replace(" ", "-"), "evidence": evidence or rest, "remedy": remedy}]
        key = (runs.c.study_id == row.study_id, runs.c.number == row.number)
        connection.execute(sa.update(runs).where(*key).values(findings=json.dumps(found)))
    op.drop_column("sweep_runs", "finding")
