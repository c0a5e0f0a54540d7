"""Gradients of the weights: what automatic differentiation says, over the first rows."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from sweep.errors import StudyError
from sweep.train.gradients import gradients_of

RANDOM = np.random.default_rng(0)
X, Y = RANDOM.normal(size=(40, 3)).astype("float32"), RANDOM.normal(size=(40, 1)).astype("float32")


def linear(**settings):
    model = keras.Sequential([keras.Input((3,)), layers.Dense(1)])
    model.compile("sgd", "mse", **settings)
    return model


@pytest.mark.parametrize("eagerly", [False, True])
@pytest.mark.parametrize("rows", [8, 1000])
def test_they_are_those_of_the_loss_over_the_first_rows(rows, eagerly):
    model = linear(run_eagerly=eagerly)
    found = gradients_of(X, Y, rows)(model)
    kernel, bias = model.get_weights()
    error = X[:rows] @ kernel + bias - Y[:rows]
    assert list(found) == ["gradients/dense/kernel", "gradients/dense/bias"]
    np.testing.assert_allclose(found["gradients/dense/kernel"], 2 * X[:rows].T @ error / len(error), rtol=1e-4)
    np.testing.assert_allclose(found["gradients/dense/bias"], 2 * error.mean(axis=0), rtol=1e-4)


def test_they_follow_the_weights():
    model = linear()
    compute = gradients_of(X, Y, 8)
    before = compute(model)
    model.set_weights([weight + 1 for weight in model.get_weights()])
    after = compute(model)
    assert all((before[tag] != after[tag]).any() for tag in before)


def test_they_are_taken_without_dropout_and_include_what_layers_add_to_the_loss():
    inputs = keras.Input((3,))
    hidden = layers.Dense(4, kernel_regularizer=keras.regularizers.L2(10.0))(inputs)
    model = keras.Model(inputs, layers.Dense(1)(layers.Dropout(0.5)(hidden)))
    model.compile("sgd", "mse")
    compute = gradients_of(np.zeros((8, 3), "float32"), Y, 8)
    first, second = compute(model), compute(model)
    np.testing.assert_array_equal(first["gradients/dense/kernel"], second["gradients/dense/kernel"])
    np.testing.assert_allclose(first["gradients/dense/kernel"], 20 * model.get_weights()[0], rtol=1e-4)


def test_weights_that_do_not_learn_or_do_not_matter_have_none():
    inputs = keras.Input((3,))
    frozen = layers.Dense(3, trainable=False, name="frozen")(inputs)
    model = keras.Model(inputs, layers.BatchNormalization(name="norm")(frozen))
    model.compile("sgd", "mse")
    assert sorted(gradients_of(X, Y, 8)(model)) == ["gradients/norm/beta", "gradients/norm/gamma"]


def test_an_embeddings_gradient_is_whole():
    model = keras.Sequential([keras.Input((2,), dtype="int32"), layers.Embedding(5, 3), layers.Flatten()])
    model.compile("sgd", "mse")
    found = gradients_of(np.array([[0, 1], [1, 4]]), np.zeros((2, 6)), 2)(model)["gradients/embedding/embeddings"]
    assert found.shape == (5, 3)
    assert (found[[2, 3]] == 0).all()
    assert (found[[0, 1, 4]] != 0).all()


def test_inputs_may_be_several_and_targets_none():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(1)

        def call(self, inputs):
            outputs = self.dense(inputs["first"] + inputs["second"])
            self.add_loss(keras.ops.mean(outputs**2))
            return outputs

    model = Own()
    model.compile("sgd")
    model({"first": X, "second": X})
    found = gradients_of({"first": X, "second": X}, None, 8)(model)
    assert list(found) == ["gradients/dense/kernel", "gradients/dense/bias"]


def test_data_that_have_no_rows_are_refused():
    dataset = tf.data.Dataset.from_tensor_slices((X, Y)).batch(8)
    with pytest.raises(StudyError, match="gradients needs rows of arrays, not a _BatchDataset"):
        gradients_of(dataset, None, 8)


def test_fewer_than_one_row_is_refused():
    with pytest.raises(StudyError, match="at least 1, not -1"):
        gradients_of(X, Y, -1)
