"""What the rows show before any epoch: missing numbers, scales, targets that no output can reach, leaks."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from sweep.train.checks.data import findings, look
from sweep.train.checks.targets import problem_of
from tests.train.checks.networks import X, Y, network

LABELS = (np.arange(400) % 4).astype("int32")


def kinds(model, x=X, y=Y, validation=None):
    return {finding.kind: finding.evidence for finding in findings(look(x, y, validation), model, problem_of(model))}


def classifier(loss="sparse_categorical_crossentropy", last="softmax", units=4):
    return network(loss=loss, last=last, units=units)


def test_standardised_data_have_no_finding():
    assert kinds(network(), validation=X[:50] + 1) == {}
    assert kinds(classifier(), y=LABELS) == {}


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_missing_numbers_are_told_with_where(value):
    x, y = X.copy(), Y.copy()
    x[3, 2] = value
    assert kinds(network(), x)["missing-data"] == "the inputs hold NaN or infinity"
    y[7] = value
    assert kinds(network(), X, y)["missing-data"] == "the targets hold NaN or infinity"


def test_one_column_of_large_inputs_is_unscaled_unless_the_network_scales_it():
    x = X * np.array([1, 1, 1, 1, 1, 400], "float32")
    assert kinds(network(), x)["unscaled-inputs"].startswith("a column of the inputs has a root mean square of 4")
    for first in (keras.layers.Normalization, keras.layers.BatchNormalization):
        model = keras.Sequential([keras.Input((6,)), first(), keras.layers.Dense(1)])
        model.compile(loss="mse")
        assert "unscaled-inputs" not in kinds(model, x)


def test_pixels_are_unscaled_and_numbers_of_words_are_not():
    images = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(4)])
    images.compile(loss="mse")
    assert "unscaled-inputs" in kinds(images, np.full((400, 8, 8, 1), 200, "uint8"))
    words = keras.Sequential([keras.Input((6,)), keras.layers.Embedding(900, 4), keras.layers.Flatten()])
    words.compile(loss="mse")
    assert "unscaled-inputs" not in kinds(words, np.full((400, 6), 800, "int32"))


def test_large_targets_of_a_regression_are_unscaled():
    assert "unscaled-targets" in kinds(network(), y=Y * 1e6)
    assert "unscaled-targets" not in kinds(network(), y=Y * 20)


def test_targets_to_whose_scale_the_last_layer_brings_the_outputs_are_not_unscaled():
    inner = network()
    outputs = keras.layers.Rescaling(1e6, offset=3e6)(inner.output)
    scaled = keras.Model(inner.input, outputs)
    scaled.compile("adam", loss="mse")
    assert "unscaled-targets" not in kinds(scaled, y=Y * 1e6)


@pytest.mark.parametrize(
    ("model", "y", "evidence"),
    [
        (lambda: network(last="sigmoid"), Y, "beyond what sigmoid can give"),
        (lambda: network(last="tanh"), Y, "beyond what tanh can give"),
        (lambda: network(last="relu"), Y, "beyond what relu can give"),
        (lambda: classifier("binary_crossentropy", "softmax", 1), LABELS % 2, "a softmax of one unit is always 1"),
        (lambda: classifier(last=None), LABELS, "gets the outputs of linear"),
        (lambda: classifier(last="sigmoid"), LABELS, "do not add up to 1"),
        (lambda: classifier(), LABELS + 1, "labels go from 1 to 4, for 4 units"),
        (lambda: classifier("binary_crossentropy", "sigmoid", 1), LABELS, "targets go from 0 to 3"),
        (
            lambda: classifier(keras.losses.SparseCategoricalCrossentropy(from_logits=True)),
            LABELS,
            "expects logits, and gets those of softmax",
        ),
    ],
)
def test_an_output_that_cannot_give_the_targets_is_told(model, y, evidence):
    assert evidence in kinds(model(), y=y)["unfit-output"]


@pytest.mark.parametrize(
    ("model", "y"),
    [
        (lambda: network(last="sigmoid"), np.clip(Y, 0, 1)),
        (lambda: classifier("binary_crossentropy", "sigmoid", 1), LABELS % 2),
        (lambda: classifier("categorical_crossentropy", "softmax", 4), np.eye(4)[LABELS]),
        (lambda: classifier(keras.losses.SparseCategoricalCrossentropy(from_logits=True), None), LABELS),
        (lambda: network(loss=lambda wanted, given: given - wanted), Y * 1e9),
    ],
    ids=["a share", "two classes", "one-hot", "logits", "a loss of the user's"],
)
def test_an_output_that_fits_is_not(model, y):
    assert kinds(model(), y=y) == {}


def test_validation_rows_that_stand_in_the_training_rows_are_a_leak():
    half = np.concatenate([X[:100], X[:100] + 1])
    assert kinds(network(), validation=half)["data-leak"] == (
        "50% of 200 validation rows stand in the training rows, where 0% are copies too"
    )
    assert kinds(network(), validation=X[:4].repeat(2, axis=0) + 1) == {}


def test_a_leak_is_seen_in_images_and_in_several_inputs():
    image = np.random.default_rng(1).integers(0, 255, (300, 40, 40, 1)).astype("uint8")
    assert look(image, None, image[:30]).leak == (1.0, 0.0, 30)
    assert look({"a": X, "b": X * 2}, None, {"a": X[:30], "b": X[:30] * 3}).leak == (0.0, 0.0, 30)


def test_data_of_few_values_are_copies_anyway():
    coarse = np.round(X[:, :1])
    share, copies, _ = look(coarse, Y, coarse[:50]).leak
    assert share == 1.0
    assert copies > 0.9
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(loss="mse")
    assert kinds(model, coarse, validation=coarse[:50]) == {}


@pytest.mark.parametrize(
    "x",
    [None, tf.data.Dataset.from_tensors(X), np.array([["a"]]), np.zeros((0, 6)), "text"],
    ids=["nothing", "a dataset", "texts", "no rows", "a text"],
)
def test_what_is_no_array_of_numbers_is_not_looked_at(x):
    facts = look(x, None, x)
    assert (facts.missing, facts.inputs, facts.leak) == (None, None, None)


def test_tensors_are_looked_at():
    assert "unscaled-targets" in kinds(network(), tf.constant(X), tf.constant(Y * 1e5))
