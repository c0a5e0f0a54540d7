"""A trial begins anew: everything random comes from its seed, also where the kernels of earlier trials are kept."""

import gc
import random
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf

from sweep.train.beginning import THAWED_TRIALS, begin


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


class Knot:
    """An object that refers to itself: only a collection of garbage finds it."""

    def __init__(self):
        self.me = self


def test_the_garbage_of_a_trial_is_collected_as_the_next_one_begins_and_what_stays_is_left_alone():
    begin(31, settled=True)
    garbage, kept = weakref.ref(Knot()), Knot()
    begin(32, settled=True)
    assert garbage() is None
    assert not any(found is kept for found in gc.get_objects())
    gc.unfreeze()
    assert any(found is kept for found in gc.get_objects())


def test_what_was_kept_and_is_no_more_is_collected_after_some_trials():
    kept = Knot()
    begin(41, settled=True)
    gone = weakref.ref(kept)
    del kept
    for seed in range(THAWED_TRIALS + 1):
        begin(seed, settled=True)
    assert gone() is None
    gc.unfreeze()
