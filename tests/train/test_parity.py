"""The parity matrix: after 5 epochs from the same weights and order of rows, everything equals Keras' `fit`."""

import keras
import numpy as np
import pytest
from keras import layers

from tests.train.same_as_fit import HELD_OUT, ROWS, X, Y, assert_same_as_fit, dense

DRAW = np.random.default_rng(1)
IMAGES = DRAW.normal(size=(ROWS, 6, 6, 2)).astype("float32")
TOKENS = DRAW.integers(0, 20, size=(ROWS, 7))
STEPS = DRAW.normal(size=(ROWS, 5, 3)).astype("float32")
CLASSES = DRAW.integers(0, 3, size=ROWS)


def classifier(shape, *inner, dtype="float32"):
    inputs = keras.Input(shape, dtype=dtype)
    hidden = inputs
    for layer in inner:
        hidden = layer(hidden)
    model = keras.Model(inputs, layers.Dense(3)(hidden))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss=loss, metrics=["accuracy"])
    return model


ARCHITECTURES = {
    "conv": lambda: (IMAGES, classifier((6, 6, 2), layers.Conv2D(4, 3, activation="relu"), layers.Flatten())),
    "batch_normalization": lambda: (X, classifier((6,), layers.Dense(8), layers.BatchNormalization(), layers.ReLU())),
    "dropout": lambda: (X, classifier((6,), layers.Dense(8, activation="relu"), layers.Dropout(0.5))),
    "dropout_with_seed": lambda: (X, classifier((6,), layers.Dropout(0.5, seed=3), layers.GaussianNoise(0.1, seed=4))),
    "lstm": lambda: (STEPS, classifier((5, 3), layers.LSTM(4, dropout=0.2))),
    "embedding": lambda: (
        TOKENS,
        classifier((7,), layers.Embedding(20, 4, mask_zero=True), layers.GlobalAveragePooling1D(), dtype="int64"),
    ),
    "regularized": lambda: (
        X,
        classifier(
            (6,), layers.Dense(8, kernel_regularizer="l2", activity_regularizer="l1", kernel_constraint="max_norm")
        ),
    ),
}


def most(names, slow):
    """Parameters of a test; those of the slow ones are left to `make test-all`."""
    return [pytest.param(name, marks=pytest.mark.slow) if name in slow else name for name in names]


@pytest.mark.parametrize("name", most(ARCHITECTURES, {"dropout_with_seed", "lstm", "embedding"}))
def test_architectures_train_as_in_fit(name):
    x = ARCHITECTURES[name]()[0]
    assert_same_as_fit(lambda: ARCHITECTURES[name]()[1], x, CLASSES, validation_split=0.3)


OPTIMIZERS = {
    "sgd_momentum": lambda: keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True),
    "adam_clipnorm": lambda: keras.optimizers.Adam(0.01, clipnorm=0.1),
    "adamw_global_clipnorm": lambda: keras.optimizers.AdamW(0.01, weight_decay=0.1, global_clipnorm=0.1),
    "rmsprop_clipvalue": lambda: keras.optimizers.RMSprop(0.01, momentum=0.5, clipvalue=0.05),
    "adam_ema": lambda: keras.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.9, ema_overwrite_frequency=7),
    "sgd_ema_at_the_end": lambda: keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.9),
    "sgd_schedule": lambda: keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.1, 20)),
    "adam_accumulating": lambda: keras.optimizers.Adam(0.01, gradient_accumulation_steps=3),
}


@pytest.mark.parametrize(
    "name", most(OPTIMIZERS, {"adam_clipnorm", "adamw_global_clipnorm", "rmsprop_clipvalue", "sgd_ema_at_the_end"})
)
def test_optimizers_step_as_in_fit(name):
    assert_same_as_fit(lambda: dense(OPTIMIZERS[name]()), X, Y)


def two_by_two():
    """A model of two named inputs and two named outputs, with weights of losses and metrics of each."""
    wide, narrow = keras.Input((6,), name="wide"), keras.Input((2,), name="narrow")
    both = layers.Concatenate()([layers.Dense(4, activation="tanh")(wide), narrow])
    outputs = {"value": layers.Dense(1, name="value")(both), "kind": layers.Dense(3, name="kind")(both)}
    model = keras.Model({"wide": wide, "narrow": narrow}, outputs)
    model.compile(
        optimizer="sgd",
        loss={"value": "mse", "kind": keras.losses.SparseCategoricalCrossentropy(from_logits=True)},
        loss_weights={"value": 0.5, "kind": 2.0},
        metrics={"value": ["mae"], "kind": ["accuracy"]},
        weighted_metrics={"value": ["mse"]},
    )
    return model


def test_dicts_of_inputs_and_outputs_train_as_in_fit():
    x, y = {"wide": X, "narrow": X[:, :2]}, {"value": Y, "kind": CLASSES}
    assert_same_as_fit(two_by_two, x, y, validation_split=0.3, sample_weight=np.linspace(0.0, 2.0, ROWS))
    weights = {"value": np.linspace(0.0, 2.0, ROWS), "kind": np.linspace(1.0, 0.0, ROWS)}
    assert_same_as_fit(two_by_two, x, y, epochs=2, sample_weight=weights)


def test_lists_of_inputs_and_outputs_train_as_in_fit():
    def build():
        one, other = keras.Input((6,)), keras.Input((2,))
        both = layers.Concatenate()([one, other])
        model = keras.Model([one, other], [layers.Dense(1, name="one")(both), layers.Dense(2, name="two")(both)])
        model.compile(optimizer="adam", loss=["mse", "mae"], metrics=[["mae"], ["mse"]])
        return model

    assert_same_as_fit(build, [X, X[:, :2]], [Y, X[:, :2]], validation_split=0.3)
    assert_same_as_fit(build, [X, X[:, :2]], [Y, X[:, :2]], batch_size=ROWS, epochs=2)


@pytest.mark.parametrize("policy", most(["mixed_bfloat16", "mixed_float16"], {"mixed_bfloat16"}))
def test_mixed_precision_trains_as_in_fit(policy):
    def build():
        inputs = keras.Input((6,))
        hidden = layers.Dense(8, activation="relu", dtype=policy)(inputs)
        model = keras.Model(inputs, layers.Dense(1, dtype="float32")(hidden))
        optimizer = keras.optimizers.SGD(0.01)
        model.compile(
            keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=1024) if "16" in policy else optimizer
        )
        model.compile(optimizer=model.optimizer, loss="mse", metrics=["mae"])
        return model

    assert_same_as_fit(build, X, Y, validation_data=HELD_OUT)


class Halving(keras.Model):
    """Trains on half the loss, and logs what no metric holds."""

    def train_step(self, data):
        import tensorflow as tf

        x, y = data
        with tf.GradientTape() as tape:
            loss = self.compute_loss(y=y, y_pred=self(x, training=True)) / 2
        gradients = tape.gradient(loss, self.trainable_weights)
        self.optimizer.apply(gradients, self.trainable_weights)
        return {"half": loss, "norms": {"norm_of_first": keras.ops.norm(gradients[0])}}


class Counting(keras.Model):
    """A subclass with a metric and a weight of its own, built by its first batch."""

    def __init__(self):
        super().__init__()
        self.inner = layers.Dense(8, activation="relu")
        self.last = layers.Dense(1)
        self.spread = keras.metrics.Mean(name="spread")
        self.batches = self.add_weight(shape=(), initializer="zeros", trainable=False)

    def call(self, x, training=False):
        if training:
            self.batches.assign_add(1.0)
            self.add_loss(keras.ops.mean(x) * 0.01)
        return self.last(self.inner(x))

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        self.spread.update_state(keras.ops.std(y_pred))
        return super().compute_metrics(x, y, y_pred, sample_weight)


def test_a_train_step_of_ones_own_trains_as_in_fit():
    def build():
        inputs = keras.Input((6,))
        model = Halving(inputs, layers.Dense(1)(inputs))
        model.compile(optimizer="adam", loss="mse")
        return model

    ours, _ = assert_same_as_fit(build, X, Y, validation_data=HELD_OUT)
    assert list(ours.history.history) == ["half", "norm_of_first", "val_loss"]


def test_a_subclass_that_is_built_by_its_first_batch_trains_as_in_fit():
    def build():
        model = Counting()
        model.compile(optimizer="adam", loss="mse", metrics=["mae"])
        return model

    ours, _ = assert_same_as_fit(build, X, Y, validation_data=HELD_OUT)
    assert float(ours.batches) == 5 * 5


def test_a_sequential_without_an_input_trains_as_in_fit():
    def build():
        inner = [layers.Dense(8), layers.Dropout(0.3), layers.BatchNormalization(), layers.Dense(1)]
        model = keras.Sequential(inner)
        model.compile(optimizer="adam", loss="mse", metrics=["mae"])
        return model

    assert_same_as_fit(build, X, Y, validation_data=HELD_OUT)


def test_a_model_without_targets_trains_as_in_fit():
    class Reconstruct(keras.Model):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            return keras.ops.mean(keras.ops.square(x - y_pred))

    def build():
        inputs = keras.Input((6,))
        model = Reconstruct(inputs, layers.Dense(6)(layers.Dense(2)(inputs)))
        model.compile(optimizer="adam")
        return model

    assert_same_as_fit(build, X, validation_data=HELD_OUT[0])
