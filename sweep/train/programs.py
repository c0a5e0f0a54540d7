"""A pass over the rows as one program: every batch through `train_step` or `test_step` in one `tf.function`.

The data are arguments of the program, never constants in it.
"""

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from sweep.train.data import Rows, Unsuitable
from sweep.train.metric_names import flatten


class Pass:
    """One pass over `rows` by a step of `model`, traced and ready to run.

    Args:
        model: a compiled model. Whatever of it, its loss, metrics and optimizer is not built yet is built by tracing.
        step: the model's `train_step` or `test_step`.
        rows: the data, whose tensors are handed to the program with each call.
        shuffled: whether `run` takes an order of the rows; without it the rows are read as they stand.

    Raises:
        Unsuitable: the step cannot be traced in a loop. So looks an error in the user's model, which `fit` tells.
    """

    def __init__(self, model: keras.Model, step: Callable[[Any], Any], rows: Rows, *, shuffled: bool) -> None:
        self._rows = rows
        try:
            traced = _trace(model, step, rows)
            order = tf.TensorSpec([rows.count], tf.int32) if shuffled else None
            over = tf.function(_over(model, traced, rows, shuffled), autograph=False)
            self._program = over.get_concrete_function(order, *_specs(rows, rows.count))
        except Unsuitable:
            raise
        except Exception as refusal:
            raise Unsuitable(f"the model's step does not trace: {type(refusal).__name__}: {refusal}") from refusal
        self.names = sorted(flatten(self._program.structured_outputs))

    def run(self, order: np.ndarray[Any, Any] | None = None) -> dict[str, Any]:
        """Runs all batches and returns the logs that `fit` would show after them, as Python floats.

        Args:
            order: for a shuffled pass, a permutation of the rows' numbers, int32 of shape `(count,)`.
        """
        arguments = self._rows.tensors if order is None else (tf.constant(order, tf.int32), *self._rows.tensors)
        return _floats(self._program(*arguments))


def _over(model: keras.Model, step: Any, rows: Rows, shuffled: bool) -> Callable[..., Mapping[str, Any]]:
    full, rest = divmod(rows.count, rows.batch)

    def over(order: tf.Tensor | None, *tensors: tf.Tensor) -> Mapping[str, Any]:
        def logs_of(start: Any, size: int) -> Any:
            if order is None:
                cut = [tf.slice(t, [start] + [0] * (len(t.shape) - 1), [size, *t.shape[1:]]) for t in tensors]
            else:
                chosen = tf.slice(order, [start], [size])
                cut = [tf.gather(t, chosen) for t in tensors]
            return step(rows.pack(cut))

        def one_more(number: tf.Tensor, _: Any) -> tuple[tf.Tensor, Any]:
            return number + 1, logs_of(number * rows.batch, rows.batch)

        logs: Any = None
        if full:
            empty = tf.nest.map_structure(lambda t: tf.zeros(t.shape, t.dtype), step.structured_outputs)
            _, logs = tf.while_loop(lambda number, _: number < full, one_more, (0, empty), parallel_iterations=1)
        if rest:
            logs = logs_of(full * rows.batch, rest)
        results = model.get_metrics_result()
        logs = results if set(results) == set(logs) else logs
        return dict(logs)

    return over


def _trace(model: keras.Model, step: Callable[[Any], Any], rows: Rows) -> Any:
    """The step traced outside of any loop, which builds all that is not built.

    Where the last batch is not full, the number of rows in a batch stays open, as in `fit`: Keras reads it off the
    shape, and only where it is fixed weighs the batches in the loss of each output by it.
    """
    batch = rows.pack(_specs(rows, rows.batch if rows.count % rows.batch == 0 else None))
    traced = tf.function(step, autograph=False, jit_compile=model.jit_compile).get_concrete_function(batch)
    logs = traced.structured_outputs
    if not isinstance(logs, Mapping) or not all(isinstance(name, str) for name in logs):
        raise Unsuitable("the model's step returns no dict of logs")
    if not all(tf.TensorShape(log.shape).is_fully_defined() for log in tf.nest.flatten(logs)):
        raise Unsuitable("the model's step returns logs of unknown shape")
    return traced


def _specs(rows: Rows, size: int | None) -> list[tf.TensorSpec]:
    return [tf.TensorSpec([size, *tensor.shape[1:]], tensor.dtype) for tensor in rows.tensors]


def _floats(logs: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in flatten(logs).items():
        array = value.numpy()
        values[name] = float(array) if array.ndim == 0 else array
    return values
