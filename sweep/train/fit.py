"""`sweep.fit`: one trial from start to finish. Read this first.

A study's `train` builds a model from what the trial suggests and calls `sweep.fit`, which trains it as Keras' `fit`
does and adds the rest: the run is named after its parameters and the model's architecture, each epoch is written for
TensorBoard and reported to the coordinator, and the coordinator's verdict is obeyed before the next epoch begins.

    sweep.fit -> compiled.fit (the epochs) -> Monitor (events, report, verdict) -> Run (name, directory, history, end)
                                                                                     |
                                             WorkerTrial (suggest, report) ------ Reporter ---> coordinator
"""

import logging
from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any, Literal

import keras
import numpy as np
import optuna

from sweep.errors import StudyError, SweepError
from sweep.train import compiled as epochs_loop
from sweep.train.batches import FirstBatch
from sweep.train.checkpoints import Checkpoint
from sweep.train.checks import Health, Material
from sweep.train.gradients import gradients_of
from sweep.train.metric_names import foresee
from sweep.train.monitor import LEARNING_RATE, Gradients, Monitor
from sweep.train.resuming import SECONDS, Saver, Unfit
from sweep.train.run import Run
from sweep.train.weights import complete

_log = logging.getLogger(__name__)

EPOCHS = 10  # where neither the call nor the study says how many
GRADIENT_ROWS = 32  # where `gradients` is True


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
    checkpoint: float = SECONDS,
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
        checkpoint: seconds between checkpoints, from which the training goes on in another worker; 0 for one an epoch,
            `math.inf` for none.
        compiled: `"auto"` trains whole epochs as one program where that can be, and by Keras' `fit` elsewhere; True
            refuses to fall back; False is Keras' `fit`.
        settings: more of `keras.Model.fit`'s arguments.

    Returns:
        The trial's value: the objective at its best epoch (`Study(value="last")`: at its last), a list of the last
        epoch's for several objectives. The History is in `model.history`.

    Raises:
        StudyError: the trial is not one of a sweep, an argument is not as it must be, or no epoch reports the
            objective.
        optuna.TrialPruned: the pruner, the run's health or a person has stopped it.
    """
    run = getattr(trial, "run", None)
    if not isinstance(run, Run):
        raise StudyError(
            "sweep.fit trains a trial of a sweep",
            f"a {type(trial).__name__}",
            "start it with `sweep start FILE` or study.run(), or use sweep.callbacks in model.fit",
        )
    run.leave()  # an objective that caught the verdict on an earlier training trains no further
    wanted = _epochs(run, epochs)
    if not isinstance(histograms, Integral) or histograms < 0:
        raise StudyError("histograms is every how many epochs they are written, 0 for never", repr(histograms))
    _check_validated_each_epoch(run, settings.get("validation_freq", 1))
    if not isinstance(checkpoint, int | float) or not checkpoint >= 0:
        raise StudyError("checkpoint is how many seconds there are between two, 0 for one an epoch", repr(checkpoint))
    first, last, training = run.epoch, run.epoch + wanted, run.trainings
    run.trainings += 1

    material = Material.of(x, y, validation_data, validation_split)
    first_batch = FirstBatch(x, validation_data, validation_split, batch_size)
    health = Health(material, direction=run.direction, objective=run.objective[0]) if run.broken != "ignore" else None

    def train(kept: Checkpoint | None) -> None:
        monitor = Monitor(
            run,
            validation=validation_data is not None or validation_split > 0,
            extended=any(map(_may_add_metrics, callbacks)),
            histograms=histograms,
            gradients=sample_gradients(x, y, gradients),
            graph=graph,
            sample=_first_row(x),
            saver=Saver(run, training, callbacks, kept, checkpoint),
            health=health,
        )
        if getattr(trial, "preview", False):
            _preview(monitor, model, x, y, epochs=last)
        epochs_loop.fit(
            model,
            first_batch.x,
            y,
            batch_size=batch_size,
            epochs=last,
            initial_epoch=_initial_epoch(kept, first, last),
            validation_data=first_batch.validation_data,
            validation_split=validation_split,
            callbacks=[*callbacks, monitor],
            compiled=compiled,
            **settings,
        )
        if kept is not None:
            _prepend(model.history, kept, first)

    run.fitting = True
    try:
        _resume(run, training, train)
    except (optuna.TrialPruned, SweepError):
        raise
    except Exception as error:
        if health is not None:
            health.explain(error)
        raise
    finally:
        run.fitting = False
    if run.weights is not None:
        run.weights = complete(model, run.weights, first_batch.inputs)
    run.leave(finished=run.epoch >= last)
    return run.value()


def _resume(run: Run, training: int, train: Callable[[Checkpoint | None], None]) -> None:
    """Train from what an earlier attempt has left of this training, or from its beginning where that does not fit."""
    kept = run.kept(training)
    try:
        train(kept)
    except Unfit:
        _log.warning("trial %d begins anew: its checkpoint is one of another model", run.reporter.number)
        run.begin_anew()
        train(None)


def _initial_epoch(kept: Checkpoint | None, first: int, last: int) -> int:
    if kept is None:
        return first
    return last if kept.over else min(kept.epoch, last)


def _prepend(history: keras.callbacks.History, kept: Checkpoint, first: int) -> None:
    """Put the epochs of an earlier attempt before those of this one, with the metrics that Keras has in a History."""
    known = set(history.history) or {name for metrics in kept.log[first:] for name in metrics} - {LEARNING_RATE}
    for epoch, metrics in reversed(list(enumerate(kept.log[first:], start=first))):
        history.epoch.insert(0, epoch)
        for name in known & metrics.keys():
            history.history.setdefault(name, []).insert(0, metrics[name])


def sample_gradients(x: Any, y: Any, wanted: bool | int) -> Gradients | None:
    """What `gradients` asks for: nothing, histograms over the first 32 rows, or over so many.

    Raises:
        StudyError: it is no such number, or the data are not arrays of which there are rows.
    """
    if not isinstance(wanted, Integral):
        raise StudyError("gradients is True, False or a number of rows", repr(wanted))
    if wanted is False or wanted == 0:
        return None
    if x is None:
        raise StudyError("gradients are computed over rows of arrays", "none", "give x and y")
    return gradients_of(x, y, GRADIENT_ROWS if wanted is True else int(wanted))


def _epochs(run: Run, given: int | None) -> int:
    wanted = run.epochs if run.force_epochs or given is None else given
    wanted = EPOCHS if wanted is None else wanted
    if isinstance(wanted, bool) or not isinstance(wanted, Integral) or wanted < 1:
        raise StudyError("epochs is a whole number of at least 1", repr(wanted))
    return int(wanted)


def _check_validated_each_epoch(run: Run, every: Any) -> None:
    if every != 1 and any(name.startswith("val_") for name in run.objective):
        raise StudyError(
            "every epoch reports the objective", f"validation_freq={every!r} and {run.objective[0]}", "leave it out"
        )


def _may_add_metrics(callback: keras.callbacks.Callback) -> bool:
    """Whether a callback may put metrics of its own into the logs: those of a user, which are functions or classes."""
    is_of_keras = type(callback).__module__.partition(".")[0] == "keras"
    return not is_of_keras or isinstance(callback, keras.callbacks.LambdaCallback)


def _preview(monitor: Monitor, model: keras.Model, x: Any, y: Any, *, epochs: int) -> None:
    """Name the run, after which a preview goes no further, with all that is known before the first epoch."""
    if model.compiled:
        foresee(model, x, y, None)
    monitor.set_model(model)
    monitor.set_params({"epochs": epochs})
    monitor.on_train_begin()
    monitor.begin()


def _first_row(x: Any) -> Any:
    """The first row of arrays in memory, from which a graph can be traced; None for everything else."""
    try:
        return keras.tree.map_structure(lambda part: np.asarray(part[:1]), x)
    except (TypeError, KeyError, ValueError, IndexError):
        return None
