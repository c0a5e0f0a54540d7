"""Reviving pruned runs of a study that nobody runs, and which run one continues.

The new trial waits in Optuna's own queue, which a start reads.
"""

from collections.abc import Iterator

import optuna

from sweep.errors import StudyError
from sweep.names import format_number
from sweep.store import REVIVES, RunRecord, Store, StudyRecord
from sweep.store.trials import read_trials


def ancestors(store: Store, study: StudyRecord, number: int) -> Iterator[int]:
    """The run whose checkpoint a run went on from, if it was revived, then that one's, and so on to the first."""
    before: int | None = number
    with store.engine.connect() as connection:
        while before is not None:
            found = read_trials(connection, study.study_id, [before]).get(before)
            before = found[1].user_attrs.get(REVIVES) if found is not None else None
            if before is not None:
                yield before


def queue_revival(store: Store, study: StudyRecord, run: RunRecord) -> None:
    """Queue a trial with a pruned run's parameters.

    Raises:
        ReadOnly: the database can only be read.
        StudyError: one is queued, or has run, already.
    """
    store.check_writable()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = optuna.storages.RDBStorage(store.url.render_as_string(hide_password=False))
    try:
        theirs = optuna.load_study(study_name=study.name, storage=storage)
        for trial in theirs.get_trials(deepcopy=False):
            if trial.user_attrs.get(REVIVES) == run.number:
                raise StudyError(f"{run.name} has already been revived, as {format_number(trial.number)}.")
        theirs.enqueue_trial(run.params, user_attrs={REVIVES: run.number})
    finally:
        storage.remove_session()
        storage.engine.dispose()
