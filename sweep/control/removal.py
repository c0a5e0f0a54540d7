"""Removing a study: its rows in Optuna's tables and ours, and its folder, unless another database names it too."""

import contextlib
import shutil
from pathlib import Path

import sqlalchemy as sa
from optuna.storages._rdb import models

from sweep.control.folder import others, unmark
from sweep.control.lease import Notice, check_free, is_unchanged, still_running
from sweep.errors import StudyError
from sweep.store import Store, StudyRecord
from sweep.store.database import writing
from sweep.store.tables import commands, metrics, runs, snapshots, studies


def remove_study(
    store: Store,
    study: StudyRecord,
    logdir: Path,
    *,
    keep_files: bool = False,
    notice: Notice = lambda _text: None,
) -> Path | None:
    """Remove a study that nobody runs, with all its runs.

    Args:
        logdir: the study's folder goes as well if it stands in this one, as a study's folder does.
        keep_files: it stays.
        notice: is told what is waited for.

    Returns:
        the folder that was removed; None if there is none, or it was left.

    Raises:
        StudyError: another database has a study of this folder, or a coordinator has this one, wherever it runs.
    """
    removed = None if keep_files else folder_to_remove(store, study, logdir)
    check_free(store, study, "remove", notice)
    with writing(store.engine) as connection:
        if connection.execute(sa.delete(studies).where(is_unchanged(study))).rowcount != 1:
            raise still_running(study, "remove")  # it has just been started
        _remove_rows(connection, study.study_id)
    if removed is None:
        with contextlib.suppress(StudyError):  # a folder that cannot be written goes on naming this database
            unmark(Path(study.directory), store.url)
    else:
        shutil.rmtree(removed, ignore_errors=True)
    return removed


def folder_to_remove(store: Store, study: StudyRecord, logdir: Path) -> Path | None:
    """The folder that goes with a study; None if there is none, or it stands elsewhere.

    Raises:
        StudyError: another database has a study of this folder, as after `sweep db copy`.
    """
    folder = Path(study.directory)
    ours = folder.name == study.name and folder.is_dir() and not folder.is_symlink()
    if not ours or folder.resolve().parent != logdir.resolve():
        return None
    if shared := others(folder, store.url):
        raise StudyError(
            f"Cannot remove {folder}: {' and '.join(shared)} also has study {study.name} in it.",
            "To remove it from this database only, use --keep-files.",
        )
    return folder


def _remove_rows(connection: sa.Connection, study_id: int) -> None:
    """Remove what belongs to a study, and what belongs to its trials before the trials, since keys refer to them."""
    tables = models.BaseModel.metadata.sorted_tables
    trials = models.TrialModel.__table__
    numbers = sa.select(trials.c.trial_id).where(trials.c.study_id == study_id)
    for table in reversed(tables):
        if "trial_id" in table.c and table is not trials:
            connection.execute(sa.delete(table).where(table.c.trial_id.in_(numbers)))
    for table in [*reversed(tables), commands, metrics, runs]:
        if "study_id" in table.c:
            connection.execute(sa.delete(table).where(table.c.study_id == study_id))
    used = sa.select(runs.c.snapshot).where(runs.c.snapshot.is_not(None))
    connection.execute(sa.delete(snapshots).where(snapshots.c.hash.not_in(used)))
