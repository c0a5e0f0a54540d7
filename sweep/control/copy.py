"""Copying a study to another database, exactly: Optuna's rows and ours. Only the ids are the new database's own.

Both then name one folder, which is noted there, if it can be written: see `sweep.control.folder`.
"""

import contextlib
import json
from collections.abc import Callable, Collection, Iterable
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from optuna.storages._rdb import models

from sweep.control.folder import mark
from sweep.control.lease import Notice, check_free, is_unchanged, still_running
from sweep.errors import StoreError, StudyError
from sweep.store import Store, StudyRecord
from sweep.store.database import writing
from sweep.store.paths import kept, kept_declaration, whole, whole_declaration
from sweep.store.tables import metrics, repeats, runs, snapshots, studies
from sweep.store.upsert import upsert

BATCH = 1000  # rows of one statement

Row = dict[str, Any]

_TRIALS = models.TrialModel.__table__
_STUDIES = models.StudyModel.__table__


def check_copy(source: Store, study: StudyRecord, names: Collection[str], notice: Notice = lambda _text: None) -> None:
    """Refuse what cannot be copied.

    Args:
        names: those of the studies in the target.
        notice: is told what is waited for.

    Raises:
        StoreError: the target has a study of that name.
        StudyError: it runs.
    """
    check_free(source, study, "copy", notice)
    _check_target(study, names)


def _check_target(study: StudyRecord, names: Collection[str]) -> None:
    if study.name in names:
        raise StoreError(f"The database to copy to already has a study {study.name}.")


def copy_study(
    source: Store, study: StudyRecord, target: Store, done: Callable[[int], None] = lambda _rows: None
) -> bool:
    """Copy a study that nobody runs, in one transaction: it is there whole or not at all.

    Args:
        source, study: where it stands.
        target: where it is to stand too.
        done: is told how many rows were written since the last call.

    Returns:
        whether the study's folder, if there is one, notes that both databases have it. One that cannot be written does
        not, so that removing the study from the source removes the files of the copy too.

    Raises:
        StoreError: the target has a study of that name.
        StudyError: it runs.
    """
    check_free(source, study, "copy")
    with source.engine.connect() as there, writing(target.engine) as here:
        if there.execute(sa.select(studies.c.study_id).where(is_unchanged(study))).one_or_none() is None:
            raise still_running(source, study, "copy")
        _check_target(study, here.execute(sa.select(_STUDIES.c.study_name)).scalars().all())
        study_id = _insert_study(here, study)
        _copy_snapshots(there, here, study.study_id)
        for table, which in _of_study(study.study_id).items():
            change = partial(_moved, source, target) if table is studies else dict
            rows = _rows(there, table, which)
            _insert(here, table, ({**change(row), "study_id": study_id} for row in rows), done)
        numbers = _copy_trials(there, here, study.study_id, study_id, done)
        for table in _tables("trial_id"):
            rows = _rows(
                there,
                table,
                table.c.trial_id.in_(sa.select(_TRIALS.c.trial_id).where(_TRIALS.c.study_id == study.study_id)),
            )
            _insert(here, table, ({**row, "trial_id": numbers[row["trial_id"]]} for row in rows), done)
        folder = Path(study.directory)
        noted = not folder.is_dir()
        with contextlib.suppress(StudyError):  # before the copy stands: from then on its files must not be removed
            if not noted:
                mark(folder, source.url, target.url)
                noted = True
        return noted


def _insert_study(here: sa.Connection, study: StudyRecord) -> int:
    made = here.execute(sa.insert(_STUDIES).values(study_name=study.name).returning(_STUDIES.c.study_id))
    return int(made.scalar_one())


def _moved(source: Store, target: Store, row: Row) -> Row:
    """A row of `sweep_studies` as another database keeps it: without an owner, its paths relative to that one."""
    declaration = whole_declaration(json.loads(row["declaration"]), source.base)
    return {
        **row,
        "owner": None,
        "directory": kept(whole(row["directory"], source.base), target.base),
        "declaration": json.dumps(kept_declaration(declaration, target.base)),
    }


def _of_study(study_id: int) -> dict[sa.Table, sa.ColumnElement[bool]]:
    """The tables with rows of a study that are no trial's, and what chooses them."""
    tables = [*_tables("study_id"), studies, runs, metrics, repeats]
    return {table: table.c.study_id == study_id for table in tables if table not in (_TRIALS, _STUDIES)}


def _tables(key: str) -> list[sa.Table]:
    """Optuna's tables that have a column, but for that of the trials themselves."""
    return [table for table in models.BaseModel.metadata.sorted_tables if key in table.c and table is not _TRIALS]


def _copy_snapshots(there: sa.Connection, here: sa.Connection, study_id: int) -> None:
    used = sa.union(*(sa.select(table.c.snapshot).where(table.c.study_id == study_id) for table in (runs, repeats)))
    rows = there.execute(sa.select(snapshots).where(snapshots.c.hash.in_(used))).mappings()
    upsert(here, snapshots, ["hash"], [dict(row) for row in rows])


def _copy_trials(
    there: sa.Connection, here: sa.Connection, old: int, new: int, done: Callable[[int], None]
) -> dict[int, int]:
    """Copy the trials; their new ids by their old ones."""
    rows = list(_rows(there, _TRIALS, _TRIALS.c.study_id == old, keep_key=True))
    ids = {row["number"]: row.pop("trial_id") for row in rows}
    _insert(here, _TRIALS, ({**row, "study_id": new} for row in rows), done)
    made = here.execute(sa.select(_TRIALS.c.number, _TRIALS.c.trial_id).where(_TRIALS.c.study_id == new))
    return {ids[number]: trial_id for number, trial_id in made}


def _rows(
    there: sa.Connection, table: sa.Table, which: sa.ColumnElement[bool], *, keep_key: bool = False
) -> Iterable[Row]:
    """Rows of a table, without the key that every database counts for itself."""
    key = next((column.name for column in table.primary_key if len(table.primary_key) == 1), None)
    drop = None if keep_key or key == "study_id" else key
    for row in there.execute(sa.select(table).where(which)).mappings():
        yield {name: value for name, value in row.items() if name != drop}


def _insert(here: sa.Connection, table: sa.Table, rows: Iterable[Row], done: Callable[[int], None]) -> None:
    left = iter(rows)
    while some := list(islice(left, BATCH)):
        here.execute(sa.insert(table), some)
        done(len(some))
