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
from typing import Any, Literal
from weakref import WeakKeyDictionary

import keras
import numpy as np

from sweep.errors import SweepError
from sweep.train import suitable
from sweep.train.data import Rows, Unsuitable, rows, split
from sweep.train.metric_names import foresee, metric_names, remember
from sweep.train.programs import Pass

__all__ = ["fit", "metric_names", "reason", "why_not"]

_log = logging.getLogger(__name__)
_said: set[str] = set()
_reasons: WeakKeyDictionary[Any, str | None] = WeakKeyDictionary()


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
        raise SweepError("compiled is True, False or 'auto'", got=repr(compiled))
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
        passes = _Passes(model, training, validation, shuffle)
    except Unsuitable as why:
        if compiled is True:
            raise SweepError(
                "compiled=True trains whole epochs as one program", str(why), "leave compiled out"
            ) from why
        _fall_back(model, str(why), quiet=compiled is False)
        _foresee(model, x, y, sample_weight)
        return model.fit(x, y, epochs=epochs, initial_epoch=initial_epoch, verbose=verbose, **how)
    _reasons[model] = None
    steps = training.steps
    if not isinstance(callbacks, keras.callbacks.CallbackList):
        callbacks = keras.callbacks.CallbackList(
            callbacks,
            add_history=True,
            add_progbar=verbose != 0,
            verbose=verbose,
            epochs=epochs,
            steps=steps,
            model=model,
        )
    return _loop(model, passes, callbacks, initial_epoch, epochs, validation_freq)


def why_not(model: keras.Model, x: Any = None, y: Any = None, **arguments: Any) -> str | None:
    """Why `fit` with these arguments would fall back to Keras' `fit`, or None; found without tracing the
    model.

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
    suitable.check_model(model)
    suitable.check_callbacks(callbacks)
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


class _Passes:
    """The training and validation passes of one training, and the order of rows in each epoch."""

    def __init__(self, model: keras.Model, training: Rows, validation: Rows | None, shuffle: bool | str) -> None:
        self._model = model
        self._rows = (training, validation)
        self._shuffle = shuffle
        self._seed = int(np.random.randint(2**31)) if shuffle else 0
        self._trace()

    def _trace(self) -> None:
        training, validation = self._rows
        self._train = Pass(self._model, self._model.train_step, training, shuffled=bool(self._shuffle))
        self._test = validation and Pass(self._model, self._model.test_step, validation, shuffled=False)
        remember(self._model, self._train.names, self._test.names if self._test else [])
        self._traced = _traced_from(self._model)

    @property
    def validates(self) -> bool:
        """Whether there are rows to validate on."""
        return self._test is not None

    def train(self, epoch: int) -> dict[str, Any]:
        """The logs of one epoch of training."""
        order = self._order(epoch)
        if self._model.stop_training:  # set before the first batch: fit looks at it after the first
            return self._first_batch(order)
        if any(
            now is not then for now, then in zip(_traced_from(self._model), self._traced, strict=True)
        ):  # a callback changed what fit would trace only now
            self._trace()
        return self._train.run(order)

    def test(self) -> dict[str, Any]:
        """The logs of one pass over the validation rows."""
        return self._test.run() if self._test else {}

    def _order(self, epoch: int) -> np.ndarray[Any, Any] | None:
        if not self._shuffle:
            return None
        count, batch = self._rows[0].count, self._rows[0].batch
        draw = np.random.default_rng((self._seed, epoch))
        if self._shuffle != "batch":
            return draw.permutation(count)
        return np.concatenate([start + draw.permutation(min(batch, count - start)) for start in range(0, count, batch)])

    def _first_batch(self, order: np.ndarray[Any, Any] | None) -> dict[str, Any]:
        training = self._rows[0]
        chosen = (np.arange(training.count) if order is None else order)[: training.batch]
        batch = training.pack([tensor.numpy()[chosen] for tensor in training.tensors])
        logs: dict[str, Any] = self._model.train_function(iter([batch]))
        results = self._model.get_metrics_result()
        return results if set(results) == set(logs) else logs


def _traced_from(model: keras.Model) -> tuple[Any, ...]:
    """Objects that a trace takes from the model: another one in the place of any of them asks for another trace."""
    learning_rate = getattr(model.optimizer, "_learning_rate", None)  # a Variable, or a schedule baked into the trace
    return model.train_function, model.optimizer, learning_rate


def _loop(
    model: keras.Model,
    passes: _Passes,
    callbacks: Any,
    initial_epoch: int,
    epochs: int,
    validation_freq: int | list[int],
) -> keras.callbacks.History:
    model.stop_training = False
    callbacks.on_train_begin()
    logs: dict[str, Any] | None = None
    first = getattr(model, "_initial_epoch", None) or initial_epoch  # where BackupAndRestore says that it goes on
    for epoch in range(first, epochs):
        model.reset_metrics()
        callbacks.on_epoch_begin(epoch)
        logs = passes.train(epoch)
        if passes.validates and _due(epoch + 1, validation_freq):
            logs.update({f"val_{name}": value for name, value in _evaluate(model, passes, callbacks).items()})
        callbacks.on_epoch_end(epoch, logs)
        if model.stop_training:
            break
    if isinstance(model.optimizer, keras.optimizers.Optimizer) and epochs > 0:
        model.optimizer.finalize_variable_values(model.trainable_weights)
    callbacks.on_train_end(logs=logs)
    return model.history


def _evaluate(model: keras.Model, passes: _Passes, callbacks: Any) -> dict[str, Any]:
    model.stop_evaluating = False
    callbacks.on_test_begin()
    model.reset_metrics()
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


def _foresee(model: keras.Model, x: Any, y: Any, sample_weight: Any) -> None:
    if isinstance(model, keras.Model) and model.compiled:
        foresee(model, x, y, sample_weight)
