"""What weights show: NaN, units that are all alike or copies, and how far kernels move."""

import math

import keras
import numpy as np
import pytest

from sweep.train.checks.weights import Moves, copied, not_finite, symmetric
from sweep.train.graphs import weight_tags, weights

RANDOM = np.random.default_rng(0)


def kernel(*shape):
    return RANDOM.normal(size=shape).astype(np.float32)


def said(weights, frozen=frozenset()):
    findings = [*symmetric(weights, frozen), *copied(weights, frozen)]
    return (findings[0].evidence, findings[0].severe) if findings else None


def test_units_with_the_same_weights_are_told_with_how_many_layers_have_such():
    same = {f"dense_{n}/kernel": np.full((8, 32), 0.1, np.float32) for n in range(3)}
    assert said(same) == (
        "all 32 units of dense_0/kernel have the same weights, and so in 2 more layers",
        True,
    )


@pytest.mark.parametrize("value", [0.0, 1.0, -0.2])
def test_a_convolution_of_one_constant_is_told(value):
    assert said({"conv2d/kernel": np.full((3, 3, 4, 8), value, np.float32)})[1]


def test_units_that_rounding_has_moved_are_still_alike():
    column = kernel(16, 1)
    assert said({"dense/kernel": column * (1 + 1e-5 * kernel(16, 8))})[1]
    assert said({"dense/kernel": column * (1 + 0.1 * kernel(16, 8))}) is None


def test_units_of_equal_kernels_are_told_apart_by_their_biases():
    same = {"dense/kernel": np.full((16, 8), 0.1)}
    assert said({**same, "dense/bias": np.ones(8)})[1]
    assert said({**same, "dense/bias": kernel(8)}) is None


@pytest.mark.parametrize("cell", [keras.layers.LSTM, keras.layers.GRU, keras.layers.SimpleRNN])
def test_units_of_a_recurrent_layer_are_alike_where_each_gate_is(cell):
    constant = keras.initializers.Constant(0.1)
    for recurrent, expected in ((constant, True), ("orthogonal", False)):
        layer = cell(4, kernel_initializer=constant, recurrent_initializer=recurrent)
        model = keras.Sequential([keras.Input((5, 3)), layer])
        assert (said(weights(model, weight_tags(model))) is not None) is expected


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
    assert said({tag: array}) is None


def test_a_layer_that_is_not_trained_may_be_constant():
    assert said({"average/kernel": np.ones((9, 3))}, frozenset({"average/kernel"})) is None


def test_units_that_are_copies_of_others_are_counted_and_pruned_ones_are_not():
    half = kernel(16, 8)
    assert said({"dense/kernel": np.tile(half, (1, 2))}) == (
        "8 of 16 units of dense/kernel are copies of others",
        False,
    )
    assert said({"dense/kernel": np.concatenate([half, np.zeros((16, 8), np.float32)], axis=1)}) is None


@pytest.mark.parametrize("width", [2, 32, 512, 2048])
def test_random_kernels_of_any_width_have_no_copies(width):
    assert said({"dense/kernel": kernel(64, width)}) is None


def test_the_picture_shows_a_corner_of_the_kernel_beside_a_healthy_one():
    (finding,) = symmetric({"dense/kernel": np.full((40, 20), 0.25, np.float32)}, frozenset())
    assert finding.picture.broken == [[0.25] * 16] * 8
    assert np.std(finding.picture.healthy) > 0.1
    assert np.shape(finding.picture.healthy) == (8, 16)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
def test_weights_that_are_not_finite_are_named(value, kind):
    broken = kernel(8, 8).astype(kind)
    broken[3, 3] = value
    (finding,) = not_finite({"dense/kernel": kernel(8, 8), "dense_1/kernel": broken})
    assert (finding.kind, finding.evidence) == ("not-a-number", "dense_1/kernel holds NaN or infinity")
    assert (finding.layer, finding.severe) == ("dense_1", True)


def test_weights_whose_sum_alone_is_too_large_are_finite():
    assert not_finite({"dense/kernel": np.full((4, 4), 3e38, np.float32)}) == []
    assert not_finite({"dense/kernel": np.full((4, 4), 6e4, np.float16), "seed": np.zeros(2, np.uint32)}) == []


def test_a_move_is_the_change_against_the_size():
    moves, before = Moves(), np.full((4, 4), 2.0, np.float32)
    assert moves.follow({"dense/kernel": before, "dense/bias": before}, frozenset()) == {}
    after = {"dense/kernel": before * 1.5, "dense/bias": before}
    assert moves.follow(after, frozenset()) == {"dense/kernel": pytest.approx(0.5)}
    assert moves.follow(after, frozenset({"dense/kernel"})) == {}
