"""Gradients of each weight on a sample batch, for their histograms (Keras dropped its callback's `write_grads`)."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from sweep.train.graphs import weight_tags
from sweep.train.monitor import Gradients


def gradients_of(x: Any, y: Any, rows: int) -> Gradients:
    """What computes the loss's gradients over the first `rows` rows of `x` and `y`, tags `gradients/<weight>`."""
    inputs, targets = (
        keras.tree.map_structure(lambda part: tf.convert_to_tensor(part[:rows]), data) for data in (x, y)
    )

    def compute(model: keras.Model) -> Mapping[str, np.ndarray[Any, Any]]:
        tags = dict(zip((id(variable) for variable in model.weights), weight_tags(model), strict=True))
        with tf.GradientTape() as tape:
            loss = model.compute_loss(inputs, targets, model(inputs, training=False), training=False)
        variables = model.trainable_variables
        found = tape.gradient(loss, [variable.value for variable in variables])
        return {
            f"gradients/{tags[id(variable)]}": np.asarray(tf.convert_to_tensor(gradient))
            for variable, gradient in zip(variables, found, strict=True)
            if gradient is not None
        }

    return compute
