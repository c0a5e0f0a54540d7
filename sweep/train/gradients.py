"""Gradients of each weight on a sample batch, for their histograms (Keras dropped its callback's `write_grads`)."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from sweep.errors import StudyError
from sweep.train.data import slice_rows
from sweep.train.graphs import weight_tags
from sweep.train.monitor import Gradients


def gradients_of(x: Any, y: Any, rows: int) -> Gradients:
    """What computes the loss's gradients over the first `rows` rows of `x` and `y`, tags `gradients/<weight>`.

    Dropout and the like are off, as in validation. Weights that the loss does not depend on have no gradient.

    Raises:
        StudyError: `rows` is less than 1, or the data cannot be cut after some rows.
    """
    if rows < 1:
        raise StudyError(f"gradients must be True or a number of rows, at least 1, not {rows!r}.")
    inputs, targets = _first(x, rows), _first(y, rows)

    def gradients(model: keras.Model) -> dict[str, tf.Tensor]:
        tags = dict(zip((id(variable) for variable in model.weights), weight_tags(model), strict=True))
        variables = model.trainable_variables
        with tf.GradientTape() as tape:
            loss = model.compute_loss(inputs, targets, model(inputs, training=False), training=False)
        found = tape.gradient(loss, [variable.value for variable in variables])
        return {
            f"gradients/{tags[id(variable)]}": tf.convert_to_tensor(gradient)
            for variable, gradient in zip(variables, found, strict=True)
            if gradient is not None
        }

    @functools.cache
    def program(model: keras.Model) -> Callable[[], dict[str, tf.Tensor]]:
        compute = functools.partial(gradients, model)
        return compute if model.run_eagerly else tf.function(compute, autograph=False)

    def compute(model: keras.Model) -> Mapping[str, np.ndarray[Any, Any]]:
        return {tag: gradient.numpy() for tag, gradient in program(model)().items()}

    return compute


def _first(data: Any, rows: int) -> Any:
    if data is None:
        return None
    try:
        first = slice_rows(data, slice(rows))
        if first is None:
            raise ValueError
        return keras.tree.map_structure(lambda part: None if part is None else tf.convert_to_tensor(part), first)
    except (TypeError, ValueError):
        raise StudyError(
            f"gradients needs rows of arrays, not a {type(data).__name__}.", "Leave `gradients` out."
        ) from None
