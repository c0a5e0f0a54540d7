"""The rungs that runs have entered, where a pruner pauses runs; `asha` was another name of `halving` until now."""

import ast
import json

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add the column; NULL where no pruner pauses. A study that was begun as `asha` keeps the pruner that it had."""
    op.add_column("sweep_runs", sa.Column("rungs", sa.Text))
    connection = op.get_bind()
    studies = sa.table("sweep_studies", sa.column("study_id", sa.Integer), sa.column("declaration", sa.Text))
    for study_id, text in connection.execute(sa.select(studies.c.study_id, studies.c.declaration)).all():
        declaration = json.loads(text)
        pruner = _renamed(declaration.get("pruner") or "")
        if pruner != (declaration.get("pruner") or ""):
            declaration["pruner"] = pruner
            changed = sa.update(studies).where(studies.c.study_id == study_id)
            connection.execute(changed.values(declaration=json.dumps(declaration)))


def _renamed(spec: str) -> str:
    """A pruner's spec with `asha` spelled as `halving`, also within another one."""
    try:
        tree = ast.parse(spec.strip(), mode="eval")
    except (SyntaxError, ValueError):
        return spec
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    found = [node for node in names if node.id.lower().replace("_", "").removesuffix("pruner") == "asha"]
    for node in found:
        node.id = "halving"
    return ast.unparse(tree) if found else spec
