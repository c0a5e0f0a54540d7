"""Adam's step with what all variables have in common computed once, which Keras computes for each variable anew.

That is `alpha`, the learning rate with both corrections of bias: some 20 operations a variable. Without them a network
of twelve variables has a third fewer; it is traced and trained faster, with the same bits. Only for Keras' own Adam and
AdamW, and only where their step is written as it is here.
"""

import functools
import hashlib
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf
from keras import ops

_STEPS = {"05a229bf362b7227a104432d59297df84394e0d2edbb45790e3c79cda8638579"}
"""SHA-256 of the source of `Adam.update_step` in the versions of Keras that compute what `_update` does: 3.15."""


@contextmanager
def alpha_once(optimizer: Any) -> Iterator[None]:
    """While one step of a model is traced, its optimizer computes `alpha` once, if it is one whose step is known.

    Args:
        optimizer: of a model that is wholly Keras' own, whose step applies it once.
    """
    if not suits(optimizer):
        yield
        return
    vars(optimizer)["update_step"] = functools.partial(_update, optimizer, {})
    try:
        yield
    finally:
        del vars(optimizer)["update_step"]


def suits(optimizer: Any) -> bool:
    """Whether the step of an optimizer is the one that is written here."""
    kinds = (keras.optimizers.Adam, keras.optimizers.AdamW)
    return type(optimizer) in kinds and "update_step" not in vars(optimizer) and _is_known(type(optimizer).update_step)


@functools.cache
def _is_known(step: Any) -> bool:
    try:
        return hashlib.sha256(inspect.getsource(step).encode()).hexdigest() in _STEPS
    except OSError:
        return False


def _update(optimizer: Any, alphas: dict[Any, Any], gradient: Any, variable: Any, learning_rate: Any) -> None:
    """Keras' `Adam.update_step`, operation by operation; `alphas` holds those of this step by graph and type."""
    gradient = ops.cast(gradient, variable.dtype)
    graph = tf.compat.v1.get_default_graph()
    place = (id(graph), variable.dtype)
    if place not in alphas:
        rate = ops.cast(learning_rate, variable.dtype)
        step = ops.cast(optimizer.iterations + 1, variable.dtype)
        first = ops.power(ops.cast(optimizer.beta_1, variable.dtype), step)
        second = ops.power(ops.cast(optimizer.beta_2, variable.dtype), step)
        alphas[place] = graph, rate * ops.sqrt(1 - second) / (1 - first)
    _, alpha = alphas[place]
    index = optimizer._get_variable_index(variable)
    momentum, velocity = optimizer._momentums[index], optimizer._velocities[index]
    optimizer.assign_add(momentum, ops.multiply(ops.subtract(gradient, momentum), 1 - optimizer.beta_1))
    optimizer.assign_add(velocity, ops.multiply(ops.subtract(ops.square(gradient), velocity), 1 - optimizer.beta_2))
    if optimizer.amsgrad:
        largest = optimizer._velocity_hats[index]
        optimizer.assign(largest, ops.maximum(largest, velocity))
        velocity = largest
    optimizer.assign_sub(
        variable, ops.divide(ops.multiply(momentum, alpha), ops.add(ops.sqrt(velocity), optimizer.epsilon))
    )
