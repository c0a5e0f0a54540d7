"""`sweep.fit`: one trial from start to finish. Read this first.

A study's `train` builds a model from what the trial suggests and calls `sweep.fit`, which trains it as Keras' `fit`
does and adds the rest: the run is named after its parameters and the model's architecture, each epoch is written for
TensorBoard and reported to the coordinator, and the coordinator's verdict is obeyed before the next epoch begins.

    sweep.fit -> compiled.fit (the epochs) -> Monitor (events, report, verdict) -> Run (name, directory, history, end)
                                                                                     |
                                             WorkerTrial (suggest, report) ------ Reporter ---> coordinator
"""

from collections.abc import Sequence
from typing import Any, Literal

import keras
import numpy as np
import optuna

from sweep.errors import StudyError
from sweep.train import compiled as epochs_loop
from sweep.train.gradients import gradients_of
from sweep.train.monitor import Monitor
from sweep.train.run import Run

EPOCHS = 10  # where neither the call nor the study says how many


def fit(
    trial: optuna.trial.BaseTrial,
    model: keras.Model,
    x: Any = None,
    y: Any = None,
    *,
    batch_size: int | None = None,
    epochs: int | None = None,
    validation_data: Any = None,
    validation_split: float = 0.0,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    histograms: int = 1,
    gradients: bool | int = False,
    graph: bool = True,
    compiled: Literal["auto"] | bool = "auto",
    **settings: Any,
) -> Any:
    """Train a trial's model, as `model.fit` does, under the trial's run name, with events, reports and pruning.

    A second call for the same trial goes on with its epochs, in the same run.

    Args:
        trial: the trial that `train` was given.
        model: compiled. Its name, where you gave it one, is the run's family.
        x, y, batch_size, validation_data, validation_split, callbacks: as in `keras.Model.fit`.
        epochs: how many; by default the study's `epochs`, or 10. `sweep start --epochs` says it instead.
        histograms: write histograms of each weight every so many epochs; 0 for never (the tutorial's `histogram_freq`).
        gradients: write histograms of each weight's gradient as well (`write_grads`), over the first 32 rows; a number
            is how many rows (`batch_size` of the tutorial's callback).
        graph: write the model's graph (`write_graph`).
        compiled: `"auto"` trains whole epochs as one program where that can be, and by Keras' `fit` elsewhere; True
            refuses to fall back; False is Keras' `fit`.
        settings: more of `keras.Model.fit`'s arguments.

    Returns:
        The trial's value: the objective at its best epoch (`Study(value="last")`: at its last), a list of the last
        epoch's for several objectives. The History is in `model.history`.

    Raises:
        StudyError: the trial is not one of a sweep, or no epoch reports the objective.
        optuna.TrialPruned: the pruner, the run's health or a person has stopped it.
    """
    run = getattr(trial, "run", None)
    if not isinstance(run, Run):
        raise StudyError(
            "sweep.fit trains a trial of a sweep",
            f"a {type(trial).__name__}",
            "start it with `sweep start FILE` or study.run(), or use sweep.callbacks in model.fit",
        )
    wanted = _epochs(run, epochs)
    validates = validation_data is not None or validation_split > 0
    sample = _first_rows(x, 32 if isinstance(gradients, bool) else gradients)
    monitor = Monitor(
        run,
        validation=validates,
        histograms=histograms,
        gradients=gradients_of(x, y, 32 if gradients is True else int(gradients)) if gradients else None,
        graph=graph,
        sample=sample,
    )
    run.fitting = True
    try:
        epochs_loop.fit(
            model,
            x,
            y,
            batch_size=batch_size,
            epochs=run.epoch + wanted,
            initial_epoch=run.epoch,
            validation_data=validation_data,
            validation_split=validation_split,
            callbacks=[*callbacks, monitor],
            compiled=compiled,
            **settings,
        )
    finally:
        run.fitting = False
    run.leave()
    return run.value()


def _epochs(run: Run, given: int | None) -> int:
    wanted = run.epochs if run.force_epochs or given is None else given
    wanted = EPOCHS if wanted is None else wanted
    if wanted < 1:
        raise StudyError("epochs is a whole number of at least 1", repr(wanted))
    return wanted


def _first_rows(x: Any, rows: int) -> Any:
    """The first rows of arrays in memory; None for everything else."""
    try:
        return keras.tree.map_structure(lambda part: np.asarray(part[:rows]), x)
    except (TypeError, KeyError, ValueError, IndexError):
        return None
