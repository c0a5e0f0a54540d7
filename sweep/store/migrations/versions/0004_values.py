"""What `train` returned, the constraints and the trainings of each run; the first two are filled from Optuna's tables.

A COMPLETE trial has its value there. What Optuna keeps as the value of a PRUNED trial is only its last report, which is
left out.
"""

import json
import math
from collections import defaultdict
from collections.abc import Mapping

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_INFINITE = {"INF_POS": math.inf, "INF_NEG": -math.inf}
_CONSTRAINTS = "constraints"  # a sampler's list; `constraints:NAME` is one that the trial set itself

_runs = sa.table("sweep_runs", *map(sa.column, ("study_id", "number", "state", "values", "constraints")))
_trials = sa.table("trials", *map(sa.column, ("trial_id", "study_id", "number", "state")))
_values = sa.table("trial_values", *map(sa.column, ("trial_id", "objective", "value", "value_type")))
_attributes = sa.table("trial_system_attributes", *map(sa.column, ("trial_id", "key", "value_json")))


def upgrade() -> None:
    """Add the columns, and fill those of values and constraints."""
    for name in ("values", "constraints", "trainings"):
        op.add_column("sweep_runs", sa.Column(name, sa.Text))
    connection = op.get_bind()
    _write(connection, "values", _complete_values(connection))
    _write(connection, "constraints", _constraints(connection))


def _complete_values(connection: sa.Connection) -> dict[tuple[int, int], list[float]]:
    same = (_trials.c.study_id == _runs.c.study_id) & (_trials.c.number == _runs.c.number)
    query = (
        sa.select(_runs.c.study_id, _runs.c.number, _values.c.value, sa.cast(_values.c.value_type, sa.String(8)))
        .select_from(_runs.join(_trials, same).join(_values, _values.c.trial_id == _trials.c.trial_id))
        .where(_runs.c.state == "COMPLETE", sa.cast(_trials.c.state, sa.String(8)) == "COMPLETE")
        .order_by(_runs.c.study_id, _runs.c.number, _values.c.objective)
    )
    found = defaultdict(list)
    for study_id, number, value, kind in connection.execute(query):
        found[study_id, number].append(_INFINITE.get(kind, value))
    return found


def _constraints(connection: sa.Connection) -> dict[tuple[int, int], dict[str, float]]:
    same = (_trials.c.study_id == _runs.c.study_id) & (_trials.c.number == _runs.c.number)
    query = (
        sa.select(_runs.c.study_id, _runs.c.number, _attributes.c.key, _attributes.c.value_json)
        .select_from(_runs.join(_trials, same).join(_attributes, _attributes.c.trial_id == _trials.c.trial_id))
        .where(_attributes.c.key.startswith(_CONSTRAINTS))
        .order_by(_runs.c.study_id, _runs.c.number, _attributes.c.key)
    )
    found: dict[tuple[int, int], dict[str, float]] = defaultdict(dict)
    for study_id, number, key, text in connection.execute(query):
        value = json.loads(text)
        if key == _CONSTRAINTS and isinstance(value, list):
            found[study_id, number] |= {str(place): one for place, one in enumerate(value)}
        elif key.startswith(f"{_CONSTRAINTS}:"):
            found[study_id, number][key.removeprefix(f"{_CONSTRAINTS}:")] = value
    return found


def _write(connection: sa.Connection, column: str, found: Mapping[tuple[int, int], object]) -> None:
    if found:
        key = (_runs.c.study_id == sa.bindparam("of_study"), _runs.c.number == sa.bindparam("of_number"))
        connection.execute(
            sa.update(_runs).where(*key).values({column: sa.bindparam("found")}),
            [
                {"of_study": study_id, "of_number": number, "found": json.dumps(value)}
                for (study_id, number), value in found.items()
            ],
        )
