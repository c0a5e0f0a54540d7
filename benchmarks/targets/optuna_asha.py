"""Optuna by hand: TPE and successive halving, a process for each core over one journal file, as its guide has it."""

import os
import sys
import warnings

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from spaces import cores, on_each_core, one_thread, trained

name, seed = sys.argv[1], int(sys.argv[2])


def work(core: int) -> None:
    """Train on one core, until somebody ends the process."""
    if cores() > 1:
        one_thread()
    warnings.filterwarnings("ignore")
    from optuna_integration import KerasPruningCallback

    study = optuna.create_study(
        study_name="benchmark",
        storage=JournalStorage(JournalFileBackend("study.log")),
        sampler=optuna.samplers.TPESampler(seed=seed + 1000 * core),
        pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=3, reduction_factor=3),
        load_if_exists=True,
    )
    study.optimize(
        lambda trial: min(trained(trial, name, seed + trial.number, [KerasPruningCallback(trial, "val_loss")]))
    )


if __name__ == "__main__":
    on_each_core(work)
