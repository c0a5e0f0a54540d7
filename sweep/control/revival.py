"""Reviving a run of a study that nobody runs: its new trial waits in Optuna's own queue, which a start reads."""

import optuna

from sweep.errors import StudyError
from sweep.store import REVIVES, RunRecord, Store, StudyRecord


def queue_revival(store: Store, study: StudyRecord, run: RunRecord) -> None:
    """Queue a trial with a pruned run's parameters.

    Raises:
        StudyError: one is queued, or has run, already.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = optuna.storages.RDBStorage(store.url.render_as_string(hide_password=False))
    try:
        theirs = optuna.load_study(study_name=study.name, storage=storage)
        for trial in theirs.get_trials(deepcopy=False):
            if trial.user_attrs.get(REVIVES) == run.number:
                raise StudyError("a run is revived once", f"{run.name}, with which t{trial.number:04d} goes on")
        theirs.enqueue_trial(run.params, user_attrs={REVIVES: run.number})
    finally:
        storage.remove_session()
        storage.engine.dispose()
