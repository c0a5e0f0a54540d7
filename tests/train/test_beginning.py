"""A trial begins anew: everything random comes from its seed, also where the kernels of earlier trials are kept."""

import random

import keras
import numpy as np
import pytest
import tensorflow as tf

from sweep.train.beginning import begin


def draws() -> list[float]:
    """A number from every generator that a study may use."""
    return [
        random.random(),
        float(np.random.random()),
        float(tf.random.normal([])),
        float(tf.random.uniform([])),
        float(keras.random.normal([])),
        float(keras.layers.Dense(1, bias_initializer="normal").add_weight(shape=(), initializer="normal")),
    ]


def publicly(seed: int) -> list[float]:
    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
    return draws()


@pytest.mark.parametrize("seed", [11, 12, 2**32 - 1])
def test_a_trial_draws_what_its_seed_says_first_and_again_and_whatever_was_between(seed):
    begin(seed)
    first = draws()
    begin(seed - 10)
    draws()
    begin(seed)
    assert draws() == first == publicly(seed)


def test_names_of_layers_count_from_the_start():
    begin(21)
    first = keras.layers.Dense(1).name
    begin(22)
    assert keras.layers.Dense(1).name == first
