"""Removing a study, or single runs: rows in Optuna's tables and ours, and folders, unless another database names them.

Whoever is killed in the middle leaves either everything or nothing in the database. Folders are removed after the rows,
and what is left of them says so: the next command finishes it.

Optuna numbers a trial by counting those before it. So the row of a deleted run's trial stays, with nothing in it but
that it was deleted: a failed trial, which samplers skip, and whose number nobody is given again.
"""

import contextlib
import json
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa
from optuna.storages._rdb import models
from optuna.trial import TrialState

from sweep import racing
from sweep.control.folder import MARK, belongs, leaving, mark_leaving, others, unmark
from sweep.control.lease import Notice, check_free, is_unchanged, still_running
from sweep.control.ours import Ours
from sweep.control.stored import number_trials
from sweep.errors import StudyError
from sweep.rundir import repeat_directories
from sweep.store import DELETED, RunRecord, Store, StudyRecord
from sweep.store.database import writing
from sweep.store.tables import commands, metrics, repeats, runs, snapshots, studies
from sweep.store.trials import read_rows, system_attributes, trials
from sweep.store.upsert import upsert

REMOVED = ".removed-"
"""How the name of a folder begins whose study is removed, until the folder is."""

_CHUNK = 500  # numbers in one statement


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
        logdir: the study's folder goes as well if it is in this one, or says that it belongs to this database.
        keep_files: it stays.
        notice: is told what is waited for.

    Returns:
        the folder that was removed; None if there is none, or it was left.

    Raises:
        ReadOnly: the database can only be read.
        StudyError: another database has a study of this folder, or a coordinator has this one, wherever it runs, or
            repeats of its runs train.
    """
    store.check_writable()
    if (race := racing.of(study)) is not None:
        raise StudyError(
            f"Cannot remove study {study.name}: repeats of its runs train in {race.owner}.", "Stop them first."
        )
    removed = None if keep_files else folder_to_remove(store, study, logdir)
    check_free(store, study, "remove", notice)
    if removed is not None:
        mark_leaving(removed, store.url)
    with writing(store.engine) as connection:
        if connection.execute(sa.delete(studies).where(is_unchanged(study))).rowcount != 1:
            raise still_running(store, study, "remove")  # it has just been started
        _remove_rows(connection, study.study_id)
    if removed is None:
        with contextlib.suppress(StudyError):  # a folder that cannot be written goes on naming this database
            unmark(Path(study.directory), store.url)
    else:
        _remove_folder(removed)
    return removed


def folder_to_remove(store: Store, study: StudyRecord, logdir: Path) -> Path | None:
    """The folder that goes with a study; None if there is none, others wrote it, or it is neither in `logdir` nor known
    to be its own.

    Raises:
        StudyError: another database has a study of this folder, as after `sweep db copy`.
    """
    folder = Path(study.directory)
    called = folder.name == study.name and folder.is_dir() and not folder.is_symlink()
    placed = folder.resolve().parent == logdir.resolve() or belongs(folder, store.url)
    if not (called and placed and Ours(store, study).folder):
        return None
    if shared := others(folder, store.url):
        raise StudyError(
            f"Cannot remove {folder}: {' and '.join(shared)} also has study {study.name} in it.",
            "To remove it from this database only, use --keep-files.",
        )
    return folder


@dataclass(frozen=True)
class RunsToRemove:
    """Runs of a study that are to be removed.

    Attributes:
        folders: by their numbers, of those runs that have one in the study's folder.
        left: those whose files others wrote; they stay.
    """

    runs: Sequence[RunRecord]
    folders: Mapping[int, Path]
    left: Sequence[RunRecord] = ()


def runs_to_remove(
    store: Store, study: StudyRecord, some: Sequence[RunRecord], *, keep_files: bool = False
) -> RunsToRemove:
    """What goes with some of a study's runs.

    Args:
        keep_files: their folders stay.

    Raises:
        StudyError: another database has a study of this folder, as after `sweep db copy`.
    """
    if keep_files:
        return RunsToRemove(some, {})
    folder = Path(study.directory)
    ours = Ours(store, study)
    there = [(run, Path(run.directory)) for run in some if run.directory is not None and Path(run.directory).is_dir()]
    inside = [(run, path) for run, path in there if path.parent.resolve() == folder.resolve()]
    found = {run.number: path for run, path in inside if ours.has(run)}
    if found and (shared := others(folder, store.url)):
        raise StudyError(
            f"Cannot remove runs from {folder}: {' and '.join(shared)} also has study {study.name} in it.",
            "To remove them from this database only, use --keep-files.",
        )
    return RunsToRemove(some, found, [run for run, _ in there if not ours.has(run)])


def remove_runs(store: Store, study: StudyRecord, removed: RunsToRemove, notice: Notice = lambda _text: None) -> None:
    """Remove runs of a study that nobody runs, with their trials. Their numbers are never given again.

    Args:
        notice: is told what is waited for.

    Raises:
        StudyError: a coordinator has the study, wherever it runs.
    """
    check_free(store, study, "remove runs of", notice)
    names = {run.number: "" for run in removed.runs}
    names |= {number: path.name for number, path in removed.folders.items()}
    with writing(store.engine) as connection:
        changed = sa.update(studies).where(is_unchanged(study)).values(beat=studies.c.beat + 1)
        if connection.execute(changed).rowcount != 1:
            raise still_running(store, study, "remove runs of")
        known, _ = number_trials(read_rows(connection, study.study_id), store.runs(study.study_id))
        ids = {known[number][0]: number for number in names if number in known}
        every = list(ids)
        for start in range(0, len(every), _CHUNK):
            _empty_trials(connection, every[start : start + _CHUNK])
        rows = [
            {"trial_id": trial_id, "key": DELETED, "value_json": json.dumps(names[number])}
            for trial_id, number in ids.items()
        ]
        upsert(connection, system_attributes, ["trial_id", "key"], rows)
        numbers = list(names)
        for start in range(0, len(numbers), _CHUNK):
            for table in (commands, metrics, runs):
                some = table.c.number.in_(numbers[start : start + _CHUNK])
                connection.execute(sa.delete(table).where(table.c.study_id == study.study_id, some))
            of_runs = repeats.c.repeat_of.in_(numbers[start : start + _CHUNK])
            connection.execute(sa.delete(repeats).where(repeats.c.study_id == study.study_id, of_runs))
        _remove_snapshots(connection)
    for path in removed.folders.values():
        _remove_directory(path)


def finish_removals(store: Store, logdir: Path) -> None:
    """Remove the folders in a log directory that removals from this database left when they were killed."""
    for path in logdir.glob(f"{REMOVED}*"):
        shutil.rmtree(path, ignore_errors=True)
    there = {Path(study.directory).resolve(): study for study in store.studies()}
    for folder in logdir.glob("*"):
        if leaving(folder, store.url) and folder.resolve() not in there and not others(folder, store.url):
            _clear(folder)
    folders = {study.study_id: folder for folder, study in there.items() if folder.parent == logdir.resolve()}
    _finish_runs(store, folders)


def _finish_runs(store: Store, folders: Mapping[int, Path]) -> None:
    """Remove the folders of runs that were removed; `folders` are those of studies, by their ids."""
    query = (
        sa.select(trials.c.study_id, system_attributes.c.value_json)
        .join(trials, trials.c.trial_id == system_attributes.c.trial_id)
        .where(system_attributes.c.key == DELETED)
    )
    with store.engine.connect() as connection:
        removed = [(study_id, json.loads(text)) for study_id, text in connection.execute(query)]
    for study_id, name in removed:
        folder = folders.get(study_id)
        if folder is None or not name or Path(name).name != name:
            continue
        left = (folder / name).is_dir() or repeat_directories(folder / name)
        if left and not others(folder, store.url):
            _remove_directory(folder / name)


def _remove_directory(path: Path) -> None:
    """Remove a run's directory, and those of its repeats."""
    for each in (*repeat_directories(path), path):
        shutil.rmtree(each, ignore_errors=True)


def _remove_folder(folder: Path) -> None:
    """Remove a study's folder, so that it is gone at once, or under a name that no study has."""
    gone = folder.with_name(f"{REMOVED}{folder.name[:100]}-{secrets.token_hex(4)}")
    try:
        folder.rename(gone)
    except OSError:
        gone = folder
    shutil.rmtree(gone, ignore_errors=True)


def _clear(folder: Path) -> None:
    """Remove what a study has in its folder, and the folder if nothing else is there, such as the log of a start."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
    (folder / MARK).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folder.rmdir()


def _empty_trials(connection: sa.Connection, ids: Sequence[int]) -> None:
    """Leave of trials nothing but their rows and numbers."""
    _remove_of_trials(connection, ids)
    now = datetime.now(UTC).replace(tzinfo=None)
    failed = sa.update(trials).where(trials.c.trial_id.in_(ids))
    ended = sa.func.coalesce(trials.c.datetime_complete, now)
    connection.execute(failed.values(state=TrialState.FAIL, datetime_complete=ended))


def _remove_of_trials(connection: sa.Connection, ids: Sequence[int] | sa.Select[tuple[int]]) -> None:
    """Remove what belongs to trials from Optuna's tables; their own rows stay."""
    for table in reversed(models.BaseModel.metadata.sorted_tables):
        if "trial_id" in table.c and table is not trials:
            connection.execute(sa.delete(table).where(table.c.trial_id.in_(ids)))


def _remove_rows(connection: sa.Connection, study_id: int) -> None:
    """Remove what belongs to a study, and what belongs to its trials before the trials, since keys refer to them."""
    _remove_of_trials(connection, sa.select(trials.c.trial_id).where(trials.c.study_id == study_id))
    for table in [*reversed(models.BaseModel.metadata.sorted_tables), commands, metrics, repeats, runs]:
        if "study_id" in table.c:
            connection.execute(sa.delete(table).where(table.c.study_id == study_id))
    _remove_snapshots(connection)


def _remove_snapshots(connection: sa.Connection) -> None:
    """Remove the snapshots of which no run is left."""
    used = sa.union(*(sa.select(table.c.snapshot).where(table.c.snapshot.is_not(None)) for table in (runs, repeats)))
    connection.execute(sa.delete(snapshots).where(snapshots.c.hash.not_in(used)))
