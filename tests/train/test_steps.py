"""A traced step is right, and lives no longer than it is wanted."""

import gc
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf

from sweep.train.data import rows
from sweep.train.steps import trace_step


class OwnStep(keras.Sequential):
    """A model whose first step makes its variables, so that TensorFlow traces it twice."""

    def train_step(self, data):
        return super().train_step(data)


def model(kind, optimizer="adam"):
    made = kind([keras.layers.Dense(4, activation="relu"), keras.layers.Dense(1)])
    made.compile(optimizer, "mse")
    return made


def layout():
    return rows(np.zeros((8, 3), "float32"), np.zeros((8, 1), "float32"), batch_size=4).layout


@pytest.mark.parametrize("kind", [keras.Sequential, OwnStep])
@pytest.mark.parametrize("optimizer", ["adam", "sgd", "rmsprop"])
def test_the_graph_of_a_step_ends_with_the_step(kind, optimizer):
    trained = model(kind, optimizer)
    step = trace_step(trained, trained.train_step, layout())
    graph = weakref.ref(step.graph)
    del step, trained
    gc.collect()
    assert graph() is None


def test_a_gradient_of_the_users_own_that_was_there_before_stays():
    @tf.custom_gradient
    def doubled(value):
        return value * 1.0, lambda upstream: upstream * 2.0

    user = tf.function(doubled)
    user.get_concrete_function(tf.TensorSpec([], tf.float32))
    trained = model(keras.Sequential)
    trace_step(trained, trained.train_step, layout())
    value = tf.Variable(3.0)
    with tf.GradientTape() as tape:
        result = user(value)
    assert float(tape.gradient(result, value)) == 2.0
