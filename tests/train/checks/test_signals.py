"""What a sample shows on its way through: the same outputs as Keras', dead units, gradients."""

import keras
import numpy as np
import pytest

from sweep.train.checks import forward as way
from sweep.train.checks.forward import forward
from sweep.train.checks.signals import dead, gradient_findings, look, sample
from sweep.train.checks.targets import problem_of
from sweep.train.graphs import weight_tags, weights
from tests.train.checks.networks import X, Y, network

layers = keras.layers


def arrays(model):
    return {id(variable): variable.numpy() for variable in model.weights}


def signals(model, x=X, y=Y):
    return look(model, weights(model, weight_tags(model)), sample(x), sample(y), problem_of(model))


def residual():
    inputs = keras.Input((6,))
    hidden = layers.Dense(6, activation="relu")(inputs)
    return keras.Model(inputs, layers.Dense(1)(layers.Add()([inputs, layers.Dropout(0.5)(hidden)])))


def several_inputs():
    one, other = keras.Input((3,)), keras.Input((3,))
    return keras.Model([one, other], layers.Dense(1, activation="relu")(layers.Concatenate()([one, other])))


def masked():
    return keras.Sequential(
        [keras.Input((6,)), layers.Embedding(9, 4, mask_zero=True), layers.LSTM(3), layers.Dense(1)]
    )


@pytest.mark.parametrize(
    ("make", "x"),
    [
        (lambda: network(activation="tanh", last="sigmoid"), X),
        (lambda: network(last="softmax", units=3, use_bias=False), X),
        (lambda: keras.Sequential([keras.Input((6,)), layers.BatchNormalization(), layers.Dense(2)]), X),
        (residual, X),
        (several_inputs, [X[:, :3], X[:, 3:]]),
        (masked, (np.abs(X) * 2).astype("int32")),
        (lambda: keras.Sequential([keras.Input((6,)), network(), layers.Dense(1)]), X),
    ],
    ids=["chain", "chain without biases", "batch norm", "residual", "two inputs", "masked", "nested"],
)
def test_the_output_is_that_of_the_model_in_inference(make, x):
    model = make()
    passed = forward(model, sample(x), arrays(model))
    assert passed.output == pytest.approx(np.asarray(model(sample(x), training=False)), abs=1e-5)


def test_a_chain_and_a_graph_give_the_same():
    model = network()
    chain, graph = forward(model, sample(X), arrays(model)), way._graph(model, sample(X))
    assert chain.output == pytest.approx(graph.output, abs=1e-5)
    for (one, given), (other, wanted) in zip(chain.relus, graph.relus, strict=True):
        assert one is other
        assert given == pytest.approx(wanted, abs=1e-5)


def test_a_model_that_is_not_functional_is_not_sent_through():
    class Own(keras.Model):
        def call(self, inputs):
            return inputs

    assert forward(Own(), sample(X), {}) is None


@pytest.mark.parametrize("rows", [1, 255, 256, 257, 5000])
def test_a_sample_has_at_most_256_rows_of_all_the_data(rows):
    taken = np.asarray(sample(np.arange(rows)))
    assert len(taken) <= 256
    assert taken[-1] >= rows - rows // 256 - 1


def test_a_layer_that_is_dead_is_told_and_severe_where_the_output_is_constant():
    model = network()
    kernel, bias = model.layers[2].get_weights()
    model.layers[2].set_weights([kernel, bias - 1e3])
    (finding,) = dead(signals(model))
    assert finding.evidence == "all 16 units of dense_1 are zero for every row of a sample"
    assert (finding.layer, finding.severe) == ("dense_1", True)
    assert np.all(np.array(finding.picture.broken) == 0)


def test_a_dead_branch_of_a_residual_network_is_not_severe():
    model = residual()
    model.compile(loss="mse")
    model.layers[1].set_weights([model.layers[1].get_weights()[0], np.full(6, -1e3)])
    (finding,) = dead(signals(model))
    assert not finding.severe


def test_many_dead_units_are_counted_and_few_are_passed_over():
    model = network()
    kernel, bias = model.layers[1].get_weights()
    for count, told in ((8, True), (2, False)):
        bias[:] = 0
        bias[:count] = -1e3
        model.layers[1].set_weights([kernel, bias])
        evidence = [finding.evidence for finding in dead(signals(model))]
        assert evidence == (["8 of 16 units of dense are zero for every row of a sample"] if told else [])


def test_the_cost_on_the_sample_is_held_against_the_best_constants():
    model = network()
    seen = signals(model)
    rows, targets = np.asarray(sample(X)), np.asarray(sample(Y))
    outputs = model.predict(rows, verbose=0)[:, 0]
    assert seen.cost == pytest.approx(np.mean((outputs - targets) ** 2), rel=1e-4)
    assert seen.constant_cost == pytest.approx(np.var(targets), rel=1e-4)
    assert seen.worse == pytest.approx(seen.cost / seen.constant_cost)


@pytest.mark.parametrize(
    ("loss", "last", "units", "y"),
    [
        ("mae", None, 1, Y),
        ("binary_crossentropy", "sigmoid", 1, (Y > 0).astype("float32")),
        ("categorical_crossentropy", "softmax", 3, np.eye(3)[np.arange(400) % 3]),
        ("sparse_categorical_crossentropy", "softmax", 3, np.arange(400) % 3),
        (keras.losses.BinaryCrossentropy(from_logits=True), None, 1, (Y > 0).astype("float32")),
        (keras.losses.SparseCategoricalCrossentropy(from_logits=True), None, 3, np.arange(400) % 3),
    ],
)
def test_the_cost_is_keras_own_loss(loss, last, units, y):
    model = network(loss=loss, last=last, units=units)
    rows, targets = sample(X), sample(y)
    assert signals(model, y=y).cost == pytest.approx(model.evaluate(rows, targets, verbose=0), rel=1e-4)


def gradients(model, x=X, y=Y):
    return {item.kind: item for item in gradient_findings(model, weight_tags(model), sample(x), sample(y))}


def test_gradients_vanish_through_many_sigmoids_and_not_through_relus():
    deep = {"hidden": (16,) * 15}
    assert gradients(network(**deep, activation="sigmoid"))["vanishing-gradients"].layer == "dense"
    assert gradients(network(**deep, kernel_initializer="he_uniform")) == {}


def test_gradients_of_large_targets_explode():
    assert "exploding-gradients" in gradients(network(), y=Y * 1e6)
