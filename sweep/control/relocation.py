"""Where studies' folders are: runs whose directory is missing, and telling a database that a folder was moved."""

import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from sweep.commands import command
from sweep.control.folder import mark
from sweep.control.lease import Notice, check_free, is_unchanged, still_running
from sweep.errors import StudyError
from sweep.names import format_number
from sweep.store import RunRecord, Store, StudyRecord
from sweep.store.database import writing
from sweep.store.paths import change_folder, kept, kept_declaration, whole
from sweep.store.tables import studies
from sweep.words import counted, listed


@dataclass(frozen=True)
class Relocation:
    """What telling a database that a study's folder was moved would change.

    Attributes:
        study: the study as it is.
        folder: where its folder is now.
        file: its study file, if that was moved along; None if it stays as it is.
        found: the runs with a directory in the new folder.
        lost: those without one, there or elsewhere.
        elsewhere: those with a directory outside the study's earlier folder, which stay as they are.
    """

    study: StudyRecord
    folder: Path
    file: Path | None
    found: Sequence[RunRecord]
    lost: Sequence[RunRecord]
    elsewhere: Sequence[RunRecord]


def missing(store: Store, study: StudyRecord) -> list[str]:
    """The runs of a study that have trained and whose directory is gone, in lines; empty if there are none."""
    trained = [run for run in store.runs(study.study_id) if run.directory is not None and run.has_trained]
    gone = [run for run in trained if not Path(str(run.directory)).is_dir()]
    if not gone:
        return []
    numbers = listed([format_number(run.number) for run in gone], 10)
    if Path(study.directory).is_dir():
        return [f"{study.name}: {counted(len(gone), 'run')} without a directory in {study.directory}: {numbers}"]
    return [
        f"{study.name}: no folder at {study.directory}, where {counted(len(gone), 'run')} should be; if it was moved: "
        f"{command('db', 'relocate', study.name, 'NEWDIR', storage=store.place)}"
    ]


def plan(store: Store, study: StudyRecord, place: Path) -> Relocation:
    """What `relocate` would change.

    Args:
        place: the study's folder where it is now, or the log directory that it is in.

    Raises:
        StudyError: there is no such folder.
    """
    folder = (place / study.name if (place / study.name).is_dir() else place).resolve()
    if not folder.is_dir() or folder.name != study.name:
        raise StudyError(
            f"No folder of study {study.name} at {place}.",
            f"Give the log directory that has the folder {study.name} in it, or that folder itself.",
        )
    before = Path(study.directory)
    runs = [run for run in store.runs(study.study_id) if run.directory is not None]
    inside = [run for run in runs if Path(str(run.directory)).is_relative_to(before)]
    found = [run for run in inside if (folder / Path(str(run.directory)).relative_to(before)).is_dir()]
    there = {run.number for run in found}
    return Relocation(
        study,
        folder,
        _moved_file(study, before, folder),
        found,
        lost=[run for run in inside if run.number not in there and run.has_trained],
        elsewhere=[run for run in runs if run not in inside],
    )


def _moved_file(study: StudyRecord, before: Path, now: Path) -> Path | None:
    """The study file at its new place, if it is gone from its old one and was moved along."""
    file = study.declaration.file
    if not file or Path(file).is_file():
        return None
    moved = Path(whole(kept(file, str(before)), str(now)))
    return moved if moved.is_file() else None


def relocate(store: Store, relocation: Relocation, notice: Notice = lambda _text: None) -> None:
    """Have a database look for a study's folder, and for its runs in it, where it was moved to.

    Args:
        notice: is told what is waited for.

    Raises:
        ReadOnly: the database can only be read.
        StudyError: the study is running, or its folder cannot be written.
    """
    store.check_writable()
    study, folder = relocation.study, str(relocation.folder)
    check_free(store, study, "relocate", notice)
    with writing(store.engine) as connection:
        here = is_unchanged(study)
        if connection.execute(sa.select(studies.c.study_id).where(here)).one_or_none() is None:
            raise still_running(store, study, "relocate")  # it has just been started
        changed = {"directory": kept(folder, store.base)}
        if relocation.file is not None:
            declaration = json.loads(connection.execute(sa.select(studies.c.declaration).where(here)).scalar_one())
            declaration["file"] = str(relocation.file)
            changed["declaration"] = json.dumps(kept_declaration(declaration, store.base))
        connection.execute(sa.update(studies).where(here).values(changed))
        change_folder(connection, study.study_id, study.directory, folder, moved=True)
    with contextlib.suppress(StudyError):  # a folder that can only be read
        mark(relocation.folder, store.url)
