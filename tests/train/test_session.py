"""A trial begins anew: everything random comes from its seed, also where the kernels of earlier trials are kept."""

import gc
import random
import threading
import weakref
from collections.abc import Iterator

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.saving import serialization_lib  # there is no public way to ask

from sweep.train import session
from sweep.train.session import THAWED_TRIALS, begin, forget_settings, remember_settings
from tests.whole_study import run_study


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


# Settings


def settings() -> dict[str, object]:
    """Everything of Keras that a study file may set for the whole process or thread."""
    config = keras.config
    return {
        "policy": keras.config.dtype_policy().name,
        "floatx": config.floatx(),
        "epsilon": config.epsilon(),
        "images": config.image_data_format(),
        "epochs": config.max_epochs(),
        "steps": config.max_steps_per_epoch(),
        "logging": config.is_interactive_logging_enabled(),
        "tracebacks": config.is_traceback_filtering_enabled(),
        "flash": config.is_flash_attention_enabled(),
        "safe": serialization_lib.in_safe_mode(),
    }


def set_all(policy: str = "mixed_float16") -> None:
    keras.mixed_precision.set_global_policy(policy)
    keras.config.set_floatx("float64")
    keras.config.set_epsilon(1e-3)
    keras.config.set_image_data_format("channels_first")
    keras.config.set_max_epochs(3)
    keras.config.set_max_steps_per_epoch(5)
    keras.config.disable_interactive_logging()
    keras.config.disable_traceback_filtering()
    keras.config.disable_flash_attention()
    keras.config.enable_unsafe_deserialization()


@pytest.fixture
def _restored() -> Iterator[None]:
    """What a test sets leaves no trace in others."""
    before = session._settings()
    yield
    session._remembered.settings = before
    begin(1)
    forget_settings()


@pytest.mark.usefixtures("_restored")
def test_what_a_study_file_sets_holds_in_every_trial_and_what_a_trial_sets_does_not_reach_the_next():
    usual = settings()
    set_all()
    of_file = settings()
    assert [name for name in usual if of_file[name] == usual[name]] == []
    remember_settings()
    for seed in (51, 52, 51):
        begin(seed)
        assert settings() == of_file
        keras.config.set_dtype_policy("float32")
        keras.config.set_floatx("float16")
        keras.config.set_epsilon(1e-2)
        keras.config.set_image_data_format("channels_last")
        keras.config.set_max_epochs(None)
        keras.config.set_max_steps_per_epoch(None)
        keras.config.enable_interactive_logging()
        keras.config.enable_traceback_filtering()
    forget_settings()
    assert settings() == of_file
    keras.config.set_epsilon(1e-4)  # nothing is remembered any more: what is set stays
    begin(53)
    assert settings() == {**of_file, "epsilon": 1e-4}


@pytest.mark.usefixtures("_restored")
def test_a_trial_that_begins_in_one_thread_leaves_another_where_it_is():
    begin(61)
    keras.mixed_precision.set_global_policy("mixed_float16")
    first = keras.layers.Dense(1).name
    other = threading.Thread(target=begin, args=(62,))
    with keras.name_scope("here"):
        other.start()
        other.join()
        assert keras.config.dtype_policy().name == "mixed_float16"
        assert keras.layers.Dense(1).name == f"{first}_1"


@pytest.mark.usefixtures("_restored")
def test_settings_made_before_a_study_hold_in_each_of_its_trials_and_after_it(tmp_path):
    keras.config.set_dtype_policy("mixed_bfloat16")
    keras.config.disable_interactive_logging()
    found = []

    def train(trial):
        found.append((keras.config.dtype_policy().name, keras.config.is_interactive_logging_enabled()))
        keras.config.set_dtype_policy("float64")
        keras.config.enable_interactive_logging()
        return 1.0

    run_study(train, tmp_path, trials=3)
    assert found == [("mixed_bfloat16", False)] * 3
    assert keras.config.dtype_policy().name == "mixed_bfloat16"


def test_a_study_in_this_process_leaves_what_stays_out_of_collections_and_puts_it_back_at_its_end(tmp_path):
    left_out = []

    def train(trial):
        left_out.append(gc.get_freeze_count())
        return trial.suggest_float("x", 0, 1)

    before = gc.get_freeze_count()
    run_study(train, tmp_path, trials=3, pruner="nop")
    assert left_out[0] == before
    assert min(left_out[1:]) > 100_000, "the objects of TensorFlow and Keras"
    assert gc.get_freeze_count() == 0
