"""Opening a database of an earlier version, and what the migration changes for its studies.

Until schema 0004 the best run was the one with the best epoch. Since then it is the one whose `train` returned the best
value. Weights that `sweep start --keep best:N` removed by the old rule do not come back.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import sqlalchemy as sa

from sweep.commands import run_again
from sweep.names import format_number, short_number
from sweep.rundir import weights_files
from sweep.store import RunRecord, Store, StudyRecord
from sweep.store.database import parse_url, revision_at
from sweep.store.sqlite_file import unwritable
from sweep.store.tables import studies
from sweep.view.runs import best_run, finished, objective, objectives

BY_VALUE = "0004"  # the schema since which runs are ranked by what `train` returned
RELATIVE = "0006"  # and the one since which paths are relative to the database


def open_upgraded(storage: str) -> tuple[Store, list[str]]:
    """Open a database, made where it is missing, and migrate it; one that can only be read is left as it is.

    Returns:
        the store, and what the migration changes for people, a line each.

    Raises:
        StoreError: it cannot be opened, or is not ours.
    """
    url = parse_url(storage)
    path = Path(str(url.database)) if url.get_backend_name() == "sqlite" else None
    if path is not None and path.exists() and unwritable(path) is not None:
        return Store(storage), []
    before = revision_at(url)
    folders = _folders(url) if before is not None and before < RELATIVE else {}
    store = Store(storage, create=True)
    changes = ranked_anew(store, storage) if before is not None and before < BY_VALUE else []
    return store, [*changes, *_found_elsewhere(store, folders)]


def _folders(url: sa.URL) -> dict[str, str]:
    """Where an earlier version says that each study's folder is."""
    engine = sa.create_engine(url)
    try:
        with engine.connect() as connection:
            rows = connection.execute(sa.select(studies.c.name, studies.c.directory))
            return {row.name: row.directory for row in rows}
    finally:
        engine.dispose()


def _found_elsewhere(store: Store, before: Mapping[str, str]) -> list[str]:
    """The studies whose folder the migration has found beside the database, a line each."""
    now = {study.name: study.directory for study in store.studies()}
    return [
        f"{name}: its folder is {now[name]}, beside the database; it was {folder}"
        for name, folder in before.items()
        if now.get(name, folder) != folder
    ]


def ranked_anew(store: Store, storage: str) -> list[str]:
    """The studies whose best run changes, and those whose best run has lost its weights, a line each."""
    lines = []
    for study in store.studies():
        runs = store.runs(study.study_id)
        before, now = _best_by_epoch(study, runs), best_run(study, runs)
        if before is not None and (now is None or now.number != before.number):
            lines.append(_changed(study, before, now))
        if now is not None and _lost(now, runs):
            lines.append(_weights_gone(study, now, finished(store.counts(study.study_id)), storage))
    return lines


def _changed(study: StudyRecord, before: RunRecord, now: RunRecord | None) -> str:
    if now is None or now.value is None:
        return f"{study.name}: the best run was {format_number(before.number)}, and now there is none that is feasible"
    return (
        f"{study.name}: the best run is {format_number(now.number)}, whose value is {short_number(now.value)}; by its "
        f"best epoch it was {format_number(before.number)}"
    )


def _weights_gone(study: StudyRecord, best: RunRecord, used: int, storage: str) -> str:
    number = format_number(best.number)
    line = (
        f"{study.name}: the weights of {number}, its best run, are gone, since --keep ranked runs by their best epoch"
    )
    again = run_again(study, best, used, storage=storage)
    return f"{line}. To train its parameters again: {again}" if again is not None else line


def _best_by_epoch(study: StudyRecord, runs: Sequence[RunRecord]) -> RunRecord | None:
    """The run that earlier versions called the best: COMPLETE, with the best finite epoch, or last one."""
    if len(objectives(study)) > 1:
        return None
    which = "last" if study.declaration.value == "last" else "best"
    goal, best = objective(study), None
    for run in runs:
        value = getattr(run, which)
        if run.state == "COMPLETE" and value is not None and math.isfinite(value):
            best = run if best is None or goal.better(value, getattr(best, which)) else best
    return best


def _lost(best: RunRecord, runs: Sequence[RunRecord]) -> bool:
    """Whether the best run has no weights while others of its study have; False where its directory is not here."""
    if best.directory is None or not Path(best.directory).is_dir() or weights_files(Path(best.directory)):
        return False
    return any(weights_files(Path(run.directory)) for run in runs if run.directory is not None)
