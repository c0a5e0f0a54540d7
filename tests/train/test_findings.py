"""Findings: each broken run is told with its evidence, and a run that is well is not called broken."""

import math
from pathlib import Path

import keras
import numpy as np
import pytest

from sweep.study import load
from sweep.train.findings import diagnose
from sweep.train.graphs import weight_tags, weights

WINE = Path(__file__).parents[2] / "studies" / "wine.py"
RANDOM = np.random.default_rng(0)


def finding(history=None, weights=None, direction="minimize", objective="val_loss"):
    found = diagnose(history or {}, weights or {}, direction=direction, objective=objective)
    return None if found is None else str(found)


def kernel(*shape):
    return RANDOM.normal(size=shape).astype(np.float32)


def curve(*parts):
    """Numbers along straight lines: each part is where it goes, and in how many epochs."""
    values = [1.0]
    for end, epochs in parts:
        values += list(np.linspace(values[-1], end, epochs + 1)[1:])
    return values


@pytest.fixture(scope="module")
def wine(tmp_path_factory):
    """The chapter's networks, with made-up rows to train on."""
    path = tmp_path_factory.mktemp("wine") / "white.csv"
    np.savetxt(path, RANDOM.normal(size=(300, 12)), delimiter=";", header="names", comments="")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SWEEP_WINE_CSV", str(path))
        return load(WINE).train.__globals__


def trained(model, rows, epochs):
    model.compile(keras.optimizers.Adam(0.01), loss="mae")
    model.fit(rows[:, :9], rows[:, 10], batch_size=32, epochs=epochs, verbose=0)
    return weights(model, weight_tags(model))


@pytest.mark.parametrize("epochs", [1, 5])
def test_the_broken_network_of_the_chapter_has_no_symmetry_breaking(wine, epochs):
    broken = trained(wine["network"]("dnn_broke"), wine["rows"]()[0], epochs)
    said = finding(weights=broken)
    assert said.startswith("no symmetry breaking: all 32 units of dense/kernel and 4 more have the same weights; ")
    assert said.endswith("initialise kernels at random, e.g. glorot_uniform")


@pytest.mark.parametrize("family", ["mlp", "dnn"])
def test_the_chapters_other_networks_have_no_finding(wine, family):
    assert finding(weights=trained(wine["network"](family), wine["rows"]()[0], 2)) is None


def test_units_of_a_convolution_may_be_alike_as_well():
    said = finding(weights={"conv2d/kernel": np.full((3, 3, 4, 8), 0.1)})
    assert said.startswith("no symmetry breaking: all 8 units of conv2d/kernel have")


def test_units_that_rounding_has_moved_are_still_alike():
    column = kernel(16, 1)
    assert "no symmetry" in finding(weights={"dense/kernel": column * (1 + 1e-5 * kernel(16, 8))})
    assert finding(weights={"dense/kernel": column * (1 + 0.1 * kernel(16, 8))}) is None


def test_units_of_equal_kernels_are_told_apart_by_their_biases():
    same = {"dense/kernel": np.full((16, 8), 0.1)}
    assert "no symmetry" in finding(weights={**same, "dense/bias": np.ones(8)})
    assert finding(weights={**same, "dense/bias": kernel(8)}) is None


@pytest.mark.parametrize(
    ("tag", "array"),
    [
        ("dense/bias", np.zeros(32)),
        ("dense/kernel", np.zeros((32, 1))),
        ("dense/kernel", np.zeros((1, 32))),
        ("depthwise_conv2d/kernel", np.zeros((3, 3, 8, 1))),
        ("batch_normalization/gamma", np.ones(32)),
        ("embedding/embeddings", np.zeros((100, 8))),
        ("dense/kernel", np.array([[1, 2], [1, 1]], np.int8)),
        ("dense/kernel", np.zeros((0, 8))),
    ],
)
def test_weights_that_may_be_alike_are_passed_over(tag, array):
    assert finding(weights={tag: array}) is None


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_not_finite_are_named(value):
    broken = kernel(8, 8)
    broken[3, 3] = value
    assert finding(weights={"dense/kernel": kernel(8, 8), "dense_1/kernel": broken}) == (
        "broken weights: dense_1/kernel holds NaN or infinity; lower the learning rate, or clip gradients"
    )


def test_a_loss_that_stands_still_to_the_last_digit_is_not_learning():
    assert finding({"loss": [0.7, *[0.25] * 5]}) is None
    assert finding({"loss": [0.7, *[0.25] * 6], "learning_rate": [0.1] * 7}) == (
        "not learning: the loss has been 0.25 for 5 epochs; "
        "look at the learning rate, at dead activations and at the targets"
    )


@pytest.mark.parametrize(
    "history",
    [
        {"loss": [0.0] * 10},
        {"loss": [math.nan] * 10},
        {"loss": [*[0.25] * 9, 0.2499999]},
        {"loss": [0.25] * 10, "learning_rate": [0.1] * 3 + [0.01] * 7},
    ],
)
def test_a_perfect_loss_nan_a_little_progress_and_a_lowered_rate_are_not_called_so(history):
    assert finding(history) is None


def test_a_loss_that_grows_a_thousandfold_explodes():
    assert finding({"loss": [0.5, 0.25, 251.0]}) == (
        "exploding loss: the loss is 251, and was 0.25; lower the learning rate, or clip gradients"
    )
    assert finding({"loss": [300.0, 0.25, 251.0]}) is None
    assert finding({"loss": [0.5, -3.0, 6.0]}) is None


def test_overfitting_is_told_by_the_present_curves():
    history = {"loss": curve((0.5, 10), (0.1, 20)), "val_loss": curve((0.6, 10), (0.8, 20))}
    assert finding(history) == (
        "overfitting: val_loss 0.8 against loss 0.1; its best was 0.6 at epoch 11; "
        "stop earlier, or use dropout, weight decay, a smaller model or more data"
    )


@pytest.mark.parametrize(
    "val_loss",
    [
        curve((0.5, 30)),
        curve((0.5, 25), (0.9, 5)),
        curve((0.6, 10), (0.62, 20)),
        curve((0.6, 10), (0.8, 17), (0.61, 3)),
        curve((0.6, 10), (math.nan, 20)),
        curve((-10.0, 10), (-9.8, 20)),
        curve((1e-7, 10), (3e-7, 20)),
    ],
    ids=["falling", "risen of late", "flat", "one good epoch of late", "nan", "flat and negative", "next to none"],
)
def test_a_curve_that_may_yet_fall_is_not_called_overfitting(val_loss):
    assert finding({"loss": curve((0.1, 30)), "val_loss": val_loss}) is None


def test_a_curve_that_rises_with_the_loss_is_not_called_overfitting():
    both = curve((0.6, 10), (0.8, 20))
    assert finding({"loss": both, "val_loss": both}) is None


def test_a_model_whose_objective_gets_better_all_the_same_is_not_called_overfitting():
    history = {"loss": curve((0.1, 30)), "val_loss": curve((0.6, 10), (0.8, 20)), "val_accuracy": curve((1.5, 30))}
    assert finding(history, direction="maximize", objective="val_accuracy") is None
    history["val_accuracy"] = curve((1.5, 10), (1.4, 20))
    assert "overfitting" in finding(history, direction="maximize", objective="val_accuracy")


def test_a_run_without_history_or_weights_has_no_finding():
    assert finding() is None
