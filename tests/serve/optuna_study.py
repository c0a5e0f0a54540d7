"""A small study that Optuna's tables have as well as ours, for what draws Optuna's figures."""

import optuna

from sweep.store import Store, StudyRecord
from tests.store_builder import add_study, run


def add_optuna_study(store: Store, count: int, name: str = "both") -> StudyRecord:
    """A study of `count` complete trials over a parameter and a choice."""
    storage = optuna.storages.RDBStorage(str(store.url))
    study = optuna.create_study(study_name=name, storage=storage, sampler=optuna.samplers.RandomSampler(seed=0))

    def objective(trial: optuna.Trial) -> float:
        return trial.suggest_float("x", 0.0, 1.0) + trial.suggest_categorical("width", [8, 16])

    study.optimize(objective, n_trials=count)
    runs = [run(trial.number, trial.value, params=trial.params) for trial in study.trials]
    storage.engine.dispose()
    return add_study(store, name, runs)
