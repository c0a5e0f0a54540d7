"""studies/digits.py: a CNN against an MLP, each with parameters of its own."""

from pathlib import Path

import keras
import numpy as np
import optuna
import pytest

from sweep.study_file import load

FILE = Path(__file__).parents[2] / "studies" / "digits.py"


@pytest.fixture(scope="module")
def digits():
    return load(FILE).train.__globals__


def test_it_maximises_the_validation_accuracy(digits):
    declared = digits["study"].declaration()
    assert (declared.objective, declared.direction) == (["val_accuracy"], ["maximize"])


def test_its_images_are_as_they_are_recorded_and_each_digit_is_in_both_parts(digits):
    x, y, x_val, y_val = digits["data"]()
    assert (x.shape, x_val.shape) == ((1437, 8, 8, 1), (360, 8, 8, 1))
    assert (x.min(), x.max()) == (0, 16)
    assert set(np.unique(y)) == set(np.unique(y_val)) == set(range(10))


@pytest.mark.parametrize(
    ("family", "params"),
    [
        ("cnn", {"filters": 16, "kernel_size": 5, "blocks": 2}),
        ("mlp", {"width": 32, "depth": 3}),
        ("optimizer", {"learning_rate": 0.01, "optimizer": "sgd", "momentum": 0.9}),
        ("optimizer", {"learning_rate": 0.01, "optimizer": "adam"}),
    ],
)
def test_a_branch_has_its_own_parameters_and_no_others(digits, family, params):
    trial = optuna.trial.FixedTrial(params)
    digits[family](trial, *([] if family == "optimizer" else [keras.Input((8, 8, 1))]))
    assert list(trial.params) == list(params)
