"""`compiled.fit`: Keras' `fit` with every epoch as one program, and Keras' own `fit` where that cannot be.

The epoch loop is the one that `keras.Model.fit` documents: its `CallbackList` and `History`, `train_step`,
`test_step`, `reset_metrics` and `stop_training`, in the same order, with the batches of an epoch inside one
`tf.function` (`programs.py`). `model.train_function` is never replaced: a later `evaluate`, `predict` or
`fit` of Keras is untouched.

From the same weights and the same order of rows the results are those of `fit`. With `shuffle=True` the order
is drawn from NumPy's global generator, once in each training, so that `keras.utils.set_random_seed` makes a
training reproducible; the order of an epoch depends on nothing but that draw and the epoch's number.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Literal
from weakref import WeakKeyDictionary

import keras

from sweep.errors import SweepError
from sweep.train import requirements
from sweep.train.batches import watched
from sweep.train.data import Rows, Unsuitable, rows, split
from sweep.train.epoch_passes import Passes
from sweep.train.metric_names import foresee, foresee_batch, metric_names

__all__ = ["fit", "metric_names", "reason", "way", "why_not"]

_log = logging.getLogger(__name__)
_said: set[str] = set()
_reasons: WeakKeyDictionary[Any, str | None] = WeakKeyDictionary()
_ways: WeakKeyDictionary[Any, str] = WeakKeyDictionary()
_running: WeakKeyDictionary[Any, Passes] = WeakKeyDictionary()


def fit(
    model: keras.Model,
    x: Any = None,
    y: Any = None,
    *,
    batch_size: int | None = None,
    epochs: int = 1,
    verbose: int | str = 0,
    callbacks: Any = None,
    validation_split: float = 0.0,
    validation_data: Any = None,
    shuffle: bool | str = True,
    class_weight: dict[int, float] | None = None,
    sample_weight: Any = None,
    initial_epoch: int = 0,
    steps_per_epoch: int | None = None,
    validation_steps: int | None = None,
    validation_batch_size: int | None = None,
    validation_freq: int | list[int] = 1,
    compiled: bool | Literal["auto"] = "auto",
) -> keras.callbacks.History:
    """Trains `model` as `keras.Model.fit` does and returns its History; arguments mean what they mean there.

    Args:
        compiled: `"auto"` runs whole epochs as one program where the data are arrays or dense tensors in memory and
            nothing asks for each batch, else Keras' `fit`, logging the reason once; `True` refuses instead of that;
            `False` is Keras' `fit`.

    Raises:
        SweepError: `compiled=True`, and the epochs cannot be compiled; or `compiled` is none of the three.
    """
    if compiled not in (True, False, "auto"):
        raise SweepError(f'compiled must be True, False or "auto", not {compiled!r}.')
    how = {
        "batch_size": batch_size,
        "callbacks": callbacks,
        "validation_split": validation_split,
        "validation_data": validation_data,
        "shuffle": shuffle,
        "class_weight": class_weight,
        "sample_weight": sample_weight,
        "steps_per_epoch": steps_per_epoch,
        "validation_steps": validation_steps,
        "validation_batch_size": validation_batch_size,
        "validation_freq": validation_freq,
    }
    try:
        if compiled is False:
            raise Unsuitable("compiled=False asks for it")
        training, validation = _rows(model, x, y, **how)
        passes = Passes(model, training, validation, shuffle)
    except Unsuitable as why:
        if compiled is True:
            raise SweepError(
                f"compiled=True cannot train whole epochs as one program: {why}.", "Leave compiled out."
            ) from why
        _fall_back(model, str(why), quiet=compiled is False)
        if isinstance(model, keras.Model) and model.compiled:
            foresee(model, x, y, sample_weight)
            if isinstance(x, keras.utils.PyDataset):
                first = _First()
                x, how["callbacks"] = watched(x, first.see), _before(callbacks, first, model)
        return model.fit(x, y, epochs=epochs, initial_epoch=initial_epoch, verbose=verbose, **how)
    _reasons[model] = None
    try:
        if not isinstance(callbacks, keras.callbacks.CallbackList):
            callbacks = keras.callbacks.CallbackList(
                callbacks,
                add_history=True,
                add_progbar=verbose != 0,
                verbose=verbose,
                epochs=epochs,
                steps=training.layout.steps,
                model=model,
            )
        return _loop(model, passes, callbacks, initial_epoch, epochs, validation_freq)
    finally:
        _running.pop(model, None)
        passes.end()


def engines(model: keras.Model) -> list[str]:
    """What the passes of a model's `fit`, which runs, ran by last: see `programs`. Empty in Keras' own `fit`."""
    passes = _running.get(model)
    return passes.engines if passes is not None else []


def keep_to(model: keras.Model, engines: Sequence[str]) -> bool:
    """Have a model's `fit`, which begins, run by these engines to its end; whether it can, as `engines` gave them."""
    passes = _running.get(model)
    if passes is None or not engines:
        return passes is None and not engines
    return passes.keep_to(engines)


def why_not(model: keras.Model, x: Any = None, y: Any = None, **arguments: Any) -> str | None:
    """Why `fit` with these arguments would fall back to Keras' `fit`, or None; found without tracing it.

    Args:
        model: the model.
        x: as for `fit`, as are `y` and the `arguments`.
    """
    for unused in ("epochs", "initial_epoch", "verbose", "compiled"):
        arguments.pop(unused, None)
    try:
        _rows(model, x, y, **arguments)
    except Unsuitable as why:
        return str(why)
    return None


def reason(model: keras.Model) -> str | None:
    """Why the last `fit` of `model` was Keras' own; None if its epochs were compiled."""
    return _reasons.get(model)


def way(model: keras.Model) -> str:
    """How the last `fit` of `model` ran its epochs, as a sentence; known when training ends."""
    why = _reasons.get(model)
    return _ways.get(model, "") if why is None else f"Keras' own fit, because {why}."


def _rows(
    model: keras.Model,
    x: Any,
    y: Any,
    *,
    batch_size: int | None = None,
    callbacks: Any = None,
    validation_split: float = 0.0,
    validation_data: Any = None,
    shuffle: bool | str = True,
    class_weight: dict[int, float] | None = None,
    sample_weight: Any = None,
    steps_per_epoch: int | None = None,
    validation_steps: int | None = None,
    validation_batch_size: int | None = None,
    validation_freq: int | list[int] = 1,
) -> tuple[Rows, Rows | None]:
    """The rows to train on and to validate on, after every check that needs no tracing."""
    requirements.check_model(model)
    requirements.check_callbacks(callbacks)
    if steps_per_epoch or validation_steps:
        raise Unsuitable("steps_per_epoch or validation_steps cut an epoch short")
    if shuffle not in (True, False, "batch") or not isinstance(validation_freq, (int, list)):
        raise Unsuitable(f"shuffle={shuffle!r} and validation_freq={validation_freq!r} are not both known")
    if x is None:
        raise Unsuitable("there is no x")
    if validation_split and validation_data is None:
        (x, y, sample_weight), validation_data = split(x, y, sample_weight, validation_split)
    training = rows(x, y, sample_weight, class_weight=class_weight, batch_size=batch_size)
    if validation_data is None:
        return training, None
    held_out = keras.utils.unpack_x_y_sample_weight(validation_data)
    return training, rows(*held_out, batch_size=validation_batch_size or batch_size)


def _loop(
    model: keras.Model,
    passes: Passes,
    callbacks: Any,
    initial_epoch: int,
    epochs: int,
    validation_freq: int | list[int],
) -> keras.callbacks.History:
    model.stop_training = False
    _running[model] = passes
    callbacks.on_train_begin()
    logs: dict[str, Any] | None = None
    first = getattr(model, "_initial_epoch", None) or initial_epoch  # where BackupAndRestore says that it goes on
    for epoch in range(first, epochs):
        passes.reset_metrics()
        callbacks.on_epoch_begin(epoch)
        logs = passes.train(epoch, epochs - epoch)
        if passes.validates and _due(epoch + 1, validation_freq):
            logs.update({f"val_{name}": value for name, value in _evaluate(model, passes, callbacks).items()})
        callbacks.on_epoch_end(epoch, logs)
        if model.stop_training:
            break
    if isinstance(model.optimizer, keras.optimizers.Optimizer) and epochs > 0:
        model.optimizer.finalize_variable_values(model.trainable_weights)
    _ways[model] = passes.way()
    callbacks.on_train_end(logs=logs)
    return model.history


def _evaluate(model: keras.Model, passes: Passes, callbacks: Any) -> dict[str, Any]:
    model.stop_evaluating = False
    callbacks.on_test_begin()
    passes.reset_metrics()
    logs = passes.test()
    callbacks.on_test_end(logs)
    return logs


def _due(epoch: int, validation_freq: int | list[int]) -> bool:
    """Whether the epoch, counted from 1, is validated."""
    return epoch in validation_freq if isinstance(validation_freq, list) else epoch % validation_freq == 0


def _fall_back(model: keras.Model, why: str, quiet: bool) -> None:
    _reasons[model] = why
    if not quiet and why not in _said:
        _said.add(why)
        _log.warning(
            "training with Keras' own fit, which takes some 5 to 10 times as long on small data, because %s", why
        )


class _First(keras.callbacks.Callback):
    """Knows the names of the logs as training begins, by a batch of a `PyDataset` that Keras has loaded by then."""

    def __init__(self) -> None:
        super().__init__()
        self._batch: Any = None

    def see(self, batch: Any, index: int) -> None:
        """Note the first batch, which Keras loads before training begins, to see its shapes."""
        if index == 0 and self._batch is None:
            self._batch = tuple(batch) if isinstance(batch, list) else batch

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:  # noqa: ARG002  # Keras'
        """Foresee the names."""
        if self._batch is not None:
            foresee_batch(self.model, self._batch)


def _before(callbacks: Any, first: keras.callbacks.Callback, model: keras.Model) -> Any:
    """The callbacks with one before them; in the same `CallbackList` where they are one, which the user may hold."""
    if not isinstance(callbacks, keras.callbacks.CallbackList):
        return [first, *requirements.listed(callbacks)]
    first.set_model(model)
    callbacks.callbacks.insert(0, first)
    return callbacks
