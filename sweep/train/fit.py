"""`sweep.fit`: one trial from start to finish. Read this first.

A study's `train` builds a model from what the trial suggests and calls `sweep.fit`, which trains it as Keras' `fit`
does and adds the rest: the run is named after its parameters and the model's architecture, each epoch is written for
TensorBoard and reported to the coordinator, and the coordinator's verdict is obeyed before the next epoch begins.

    sweep.fit -> compiled.fit (the epochs) -> Monitor (events, report, verdict) -> Run (name, directory, trainings, end)
                                                                                     |
                                             WorkerTrial (suggest, report) ------ Reporter ---> coordinator
"""

from numbers import Integral
from typing import Any, Literal

import keras
import numpy as np
import optuna

from sweep.architecture import is_of_keras
from sweep.errors import StudyError, SweepError
from sweep.train import compiled as epochs_loop
from sweep.train import requirements
from sweep.train.batches import FirstBatch
from sweep.train.checks import Health, Material
from sweep.train.data import slice_rows
from sweep.train.gradients import gradients_of
from sweep.train.metric_names import canonical, foresee
from sweep.train.model_saver import ModelSaver
from sweep.train.model_state import complete
from sweep.train.monitor import Gradients, Monitor
from sweep.train.optimizers import LEARNING_RATE
from sweep.train.retrain import Retraining
from sweep.worker.checkpoints import Checkpoint
from sweep.worker.run import Run
from sweep.worker.saver import SECONDS
from sweep.worker.training import LiveTraining

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
    callbacks: Any = None,
    initial_epoch: int = 0,
    label: str | None = None,
    judge: bool | None = None,
    monitor: str | None = None,
    histograms: int = 1,
    gradients: bool | int = False,
    graph: bool = True,
    checkpoint: float = SECONDS,
    compiled: Literal["auto"] | bool = "auto",
    **settings: Any,
) -> Any:
    """Train a trial's model, as `model.fit` does, under the trial's run name, with events, reports and pruning.

    Each call with a new model is a training of its own: its epochs begin at 0, it has its own best epoch, History and
    kept weights. A further call with the same model continues its epochs, as fine-tuning expects:

        scores = []
        for number, (train_rows, test_rows) in enumerate(folds, start=1):
            score = sweep.fit(trial, build(trial), x[train_rows], y[train_rows],
                              validation_data=(x[test_rows], y[test_rows]), label=f"fold {number} of {len(folds)}")
            scores.append(score)
        return sum(scores) / len(scores)

    Args:
        trial: the trial that `train` was given.
        model: compiled. Its name, where you gave it one, is the run's family.
        x, y, batch_size, validation_data, validation_split: as in `keras.Model.fit`.
        callbacks: as in `keras.Model.fit`: a list, a single callback, or None.
        epochs: how many; by default the study's `epochs`, or 10. `sweep start --epochs` overrides both.
        initial_epoch: as in `keras.Model.fit`: the number of the first epoch, of `epochs` in all.
        label: what displays call this training where a trial has several, such as `fold 2 of 5`.
        judge: whether pruners compare this training's epochs with those of other trials. By default they see the
            first training of a trial, or the one that is marked `judge=True`; use `judge=False` to leave one out.
        monitor: the metric by which this training's epochs are judged and its best epoch is chosen; by default the
            study's objective.
        histograms: write histograms of each weight every so many epochs; 0 for never (the tutorial's `histogram_freq`).
        gradients: write histograms of each weight's gradient as well (`write_grads`), over the first 32 rows; a number
            is how many rows (`batch_size` of the tutorial's callback).
        graph: write the model's graph (`write_graph`), of the trial's first model.
        checkpoint: seconds between checkpoints, from which the training continues in another worker; 0 for one an
            epoch, `math.inf` for none.
        compiled: `"auto"` trains whole epochs as one program where that can be, and by Keras' `fit` elsewhere; True
            refuses to fall back; False is Keras' `fit`.
        settings: more of `keras.Model.fit`'s arguments.

    Returns:
        The objective at the best epoch of this call (`Study(result="last")`: at its last), a list of the last epoch's
        for several objectives. What `train` returns is the trial's value, whether it is this number or another one.
        The History is in `model.history`.

    Raises:
        StudyError: the trial is not one of a sweep, an argument is not as it must be, or no epoch reports the
            objective.
        optuna.TrialPruned: the pruner, the run's health or a person has stopped it.
    """
    retraining = getattr(trial, "retraining", None)
    if isinstance(retraining, Retraining):
        return retraining.fit(
            model,
            x,
            y,
            epochs=epochs,
            batch_size=batch_size,
            validation_data=validation_data,
            callbacks=requirements.listed(callbacks),
            compiled=compiled,
            **settings,
        )
    run = getattr(trial, "run", None)
    if not isinstance(run, Run):
        raise StudyError(
            f"sweep.fit needs a trial of a sweep, not a {type(trial).__name__}.",
            hint="Start the study with `sweep start FILE` or study.run(), or use sweep.callbacks in model.fit.",
        )
    run.save_pending()
    run.leave()  # an objective that caught the verdict on an earlier training trains no further
    wanted = run.wanted_epochs(epochs)
    if not isinstance(histograms, Integral) or histograms < 0:
        raise StudyError(f"histograms must be a whole number of epochs, or 0 for never, not {histograms!r}.")
    if not isinstance(checkpoint, int | float) or not checkpoint >= 0:
        raise StudyError(f"checkpoint must be a number of seconds, or 0 for every epoch, not {checkpoint!r}.")
    training = run.open_training(model, label=label, judge=judge, monitor=monitor, initial_epoch=initial_epoch)
    training.ask(epochs)
    _check_validated_each_epoch(run, settings.get("validation_freq", 1))
    first, last = _keras_epochs(training, wanted, initial_epoch)
    call, run.calls = run.calls, run.calls + 1
    listed = requirements.listed(callbacks)
    kept = run.kept(call)
    material = Material.of(x, y, validation_data, validation_split)
    first_batch = FirstBatch(x, validation_data, validation_split, batch_size, wanted=run.policy.keep)
    objective = training.objective
    health = Health(material, direction=objective.direction, objective=objective.name)
    looks = run.policy.broken != "ignore"
    saver = ModelSaver(
        run,
        call,
        model,
        listed,
        kept,
        checkpoint,
        health=health if looks else None,
        x=x,
        shuffled=bool(settings.get("shuffle", True)),
    )
    watch = Monitor(
        run,
        validation=validation_data is not None or validation_split > 0,
        extended=any(map(_may_add_metrics, listed)),
        histograms=histograms,
        gradients=sample_gradients(x, y, gradients),
        graph=graph,
        sample=slice_rows(x, slice(1)),
        saver=saver,
        health=health if looks else None,
    )
    if getattr(trial, "preview", False):
        _preview(watch, model, x, y, epochs=last)
    run.fitting = True
    try:
        epochs_loop.fit(
            model,
            first_batch.x,
            y,
            batch_size=batch_size,
            epochs=last,
            initial_epoch=first if kept is None else last if kept.over else min(first + kept.epochs, last),
            validation_data=first_batch.validation_data,
            validation_split=validation_split,
            callbacks=[*listed, watch],
            compiled=compiled,
            **settings,
        )
    except (optuna.TrialPruned, SweepError):
        raise
    except Exception as error:
        if looks:
            health.explain(error)
        raise
    finally:
        run.fitting = False
    if kept is not None:
        _prepend(model.history, kept, first)
    finished = first + training.epochs - training.call >= last
    if finished or not run.interrupted:
        saver.ended()
    if kept is not None and kept.over and run.has_weights(training):
        training.weights = None  # they were kept when the next call began
    elif training.weights is not None:
        training.weights = complete(model, training.weights, first_batch.inputs)
    run.leave(finished=finished)
    return run.returned()


def _keras_epochs(training: LiveTraining, wanted: int, initial_epoch: int) -> tuple[int, int]:
    """Keras' numbers of the first epoch of a call and of the one after its last.

    Raises:
        StudyError: `initial_epoch` is no number, or leaves no epoch.
    """
    if isinstance(initial_epoch, bool) or not isinstance(initial_epoch, int | np.integer) or initial_epoch < 0:
        raise StudyError(f"initial_epoch must be a whole number of at least 0, not {initial_epoch!r}.")
    if initial_epoch:
        if initial_epoch >= wanted:
            raise StudyError(
                f"initial_epoch={initial_epoch} leaves no epoch to train of {wanted}.",
                hint="As in Keras, epochs is the number of the last epoch, not how many are trained.",
            )
        return int(initial_epoch), wanted
    first = training.start + training.epochs
    return first, first + wanted


def _prepend(history: keras.callbacks.History, kept: Checkpoint, first: int) -> None:
    """Put the epochs of an earlier attempt before those of this one, with the metrics that Keras has in a History."""
    known = canonical(history.model, history.history)  # Keras' names, and those in the log
    known = known or {name: name for metrics in kept.log for name in metrics if _is_of_history(name)}
    for place, metrics in reversed(list(enumerate(kept.log, start=first))):
        history.epoch.insert(0, place)
        for name, own in known.items():
            if own in metrics:
                history.history.setdefault(name, []).insert(0, metrics[own])


def _is_of_history(name: str) -> bool:
    """Whether Keras has a metric in its History: not the learning rates, which are noted for each epoch here."""
    return name.partition("/")[0] != LEARNING_RATE


def sample_gradients(x: Any, y: Any, wanted: bool | int) -> Gradients | None:
    """What `gradients` asks for: nothing, histograms over the first 32 rows, or over so many.

    Raises:
        StudyError: it is no such number, or the data are not arrays of which there are rows.
    """
    if not isinstance(wanted, Integral):
        raise StudyError(f"gradients must be True, False or a number of rows, not {wanted!r}.")
    if wanted is False or wanted == 0:
        return None
    if x is None:
        raise StudyError("gradients needs rows of arrays, and there are none.", "Pass x and y.")
    return gradients_of(x, y, GRADIENT_ROWS if wanted is True else int(wanted))


def _check_validated_each_epoch(run: Run, every: Any) -> None:
    missing = next((name for name in run.expected() if name.startswith("val_")), None)
    if every != 1 and missing is not None:
        raise StudyError(
            f"With validation_freq={every!r} not every epoch reports {missing}.", hint="Leave validation_freq out."
        )


def _may_add_metrics(callback: keras.callbacks.Callback) -> bool:
    """Whether a callback may put metrics of its own into the logs: those of a user, which are functions or classes."""
    return not is_of_keras(type(callback)) or isinstance(callback, keras.callbacks.LambdaCallback)


def _preview(monitor: Monitor, model: keras.Model, x: Any, y: Any, *, epochs: int) -> None:
    """Name the run, after which a preview goes no further, with all that is known before the first epoch."""
    if model.compiled:
        foresee(model, x, y, None)
    monitor.set_model(model)
    monitor.set_params({"epochs": epochs})
    monitor.on_train_begin()
    monitor.begin()
