"""A plain study of Optuna's, read from a database to be imported."""

import difflib
import shlex
from collections.abc import Sequence

import sqlalchemy as sa
from optuna.storages._rdb import models

from sweep.control.imports import Foreign
from sweep.control.optuna_rows import read_study_attributes
from sweep.errors import StoreError, StudyError
from sweep.objective import Objective
from sweep.store import database
from sweep.store.tables import studies as ours
from sweep.store.trials import read_trials, shared_numbers
from sweep.store.typed_url import shown
from sweep.words import counted, listed

METRIC_NAMES = "study:metric_names"
"""Where Optuna keeps what `study.set_metric_names` was given."""

_STUDIES = models.StudyModel.__table__
_DIRECTIONS = models.StudyDirectionModel.__table__


def read_study(url: sa.URL, name: str, names: Sequence[str], *, in_place: bool) -> Foreign:
    """Read a study that sweep did not make.

    Args:
        url: the database that it is in.
        names: what its objectives are called; empty for what Optuna knows, else `value` or `value_0`, `value_1`, ...
        in_place: it is to stay there.

    Raises:
        StoreError: there is no such study, or it is sweep's own.
        StudyError: there are not as many names as objectives, or two of its trials share a number.
    """
    with database.optunas(url) as engine, engine.connect() as connection:
        study_id = _find(connection, url, name)
        user, system = read_study_attributes(connection, study_id)
        query = sa.select(_DIRECTIONS.c.direction).where(_DIRECTIONS.c.study_id == study_id)
        found = connection.execute(query.order_by(_DIRECTIONS.c.objective)).scalars()
        directions = [direction.name.lower() for direction in found]
        shared = shared_numbers(connection, study_id)
        if shared:
            raise StudyError(
                f"Several trials of {name} have the number {shared[0]}, so their runs cannot be told apart.",
                "Copy the study with optuna.copy_study, which numbers its trials anew.",
            )
        trials = [trial for _, trial in read_trials(connection, study_id).values()]
    called = _objectives(name, directions, names, system)
    return Foreign(
        source=f"the Optuna study {name} in {shown(url)}",
        objectives=[Objective(*pair) for pair in zip(called, directions, strict=True)],
        trials=trials,
        study_id=study_id if in_place else None,
        attributes=(user, system),
    )


def _find(connection: sa.Connection, url: sa.URL, name: str) -> int:
    place = shown(url)
    rows = connection.execute(sa.select(_STUDIES.c.study_name, _STUDIES.c.study_id))
    there = {row.study_name: row.study_id for row in rows}
    if name not in there:
        near = difflib.get_close_matches(name, there, n=1)
        hint = f"Did you mean {near[0]}?" if near else f"The studies are {listed(list(there))}." if there else None
        raise StoreError(f"No such study in {place}: {name}.", hint)
    if sa.inspect(connection).has_table(ours.name):
        own = connection.execute(sa.select(ours.c.study_id).where(ours.c.name == name)).scalar_one_or_none()
        if own == there[name]:
            raise StoreError(
                f"Study {name} in {place} is one of sweep's already.",
                f"To copy it: {shlex.join(['sweep', 'db', 'copy', place, 'TO'])}",
            )
    return int(there[name])


def _objectives(name: str, directions: Sequence[str], names: Sequence[str], system: dict[str, object]) -> list[str]:
    """What the objectives are called."""
    known = system.get(METRIC_NAMES)
    called = list(names or (known if isinstance(known, list) else ()))
    if not called:
        several = len(directions) > 1
        called = [f"value_{place}" for place in range(len(directions))] if several else ["value"]
    if len(called) != len(directions) or len(set(called)) != len(called):
        raise StudyError(
            f"Study {name} has {counted(len(directions), 'objective')}, which cannot be called {', '.join(called)}.",
            "Pass --objective once for each.",
        )
    return called
