"""Optuna by hand: a process for each core over one journal file, as its guide to parallel search has it.

Each trial has KerasPruningCallback and Keras' TensorBoard callback; the pruner lets every trial run.
"""

import os
import sys
import warnings

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import optuna
from nets import build, cores, data, folder, on_each_core, one_thread, parameter_sets, suggest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

trials, epochs, sets = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]


def study() -> optuna.Study:
    """The study that all processes share."""
    return optuna.create_study(
        study_name="benchmark",
        storage=JournalStorage(JournalFileBackend(str(folder() / "study.log"))),
        pruner=optuna.pruners.NopPruner(),
        sampler=optuna.samplers.RandomSampler(seed=0),
        load_if_exists=True,
    )


def work(core: int) -> None:
    """Train the share of one core."""
    if cores() > 1:
        one_thread()
    warnings.filterwarnings("ignore")
    import keras
    from optuna_integration import KerasPruningCallback

    x, y, x_val, y_val = data()

    def objective(trial: optuna.Trial) -> float:
        model = build(**suggest(trial, sets))
        callbacks = [
            KerasPruningCallback(trial, "val_loss"),
            keras.callbacks.TensorBoard(str(folder() / "logs" / str(trial.number)), histogram_freq=1),
        ]
        fitted = model.fit(
            x, y, validation_data=(x_val, y_val), batch_size=32, epochs=epochs, callbacks=callbacks, verbose=0
        )
        return min(fitted.history["val_loss"])

    study().optimize(objective, n_trials=len(range(core, trials, cores())))


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    for params in parameter_sets(trials, sets):
        study().enqueue_trial(params)
    on_each_core(work)
    print("done", len(study().trials))
