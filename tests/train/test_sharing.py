"""Which models may run one program, and that none borrows the program of a model with another constant."""

import keras
import numpy as np
import pytest
from keras import layers

from sweep.train import compiled, sharing
from sweep.train.data import rows
from tests.train.same_as_fit import CLASSES, ROWS, X, Y, assert_same_as_fit

DATA = rows(X, np.eye(3)[CLASSES], batch_size=8)


def build(
    *,
    activation="relu",
    rate=0.2,
    seed=1,
    regularizer=None,
    metric="mae",
    optimizer=lambda: keras.optimizers.AdamW(0.01),
    change=lambda model: None,
    weights=1.0,
    trainable=True,
    **loss,
):
    """A model in which any one constant can be another."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(7)
    inputs = keras.Input((6,))
    hidden = layers.Dense(8, activation=activation, kernel_regularizer=regularizer, trainable=trainable)(inputs)
    hidden = layers.BatchNormalization()(layers.Dropout(rate, seed=seed)(hidden))
    model = keras.Model(inputs, layers.Dense(3)(hidden))
    model.compile(optimizer(), keras.losses.CategoricalCrossentropy(True, **loss), [weights], metrics=[metric])
    change(model)
    return model


OTHER_CONSTANTS = {
    "beta": {"optimizer": lambda: keras.optimizers.AdamW(0.01, beta_1=0.5)},
    "weight_decay": {"optimizer": lambda: keras.optimizers.AdamW(0.01, weight_decay=0.5)},
    "dropout_rate": {"rate": 0.6},
    "label_smoothing": {"label_smoothing": 0.3},
    "activation": {"activation": "tanh"},
    "regularizer": {"regularizer": keras.regularizers.L2(0.1)},
    "seed_of_a_layer": {"seed": 2},
    "loss_reduction": {"reduction": "sum"},
    "metric": {"metric": "mse"},
}

MORE_CONSTANTS = {
    "epsilon": {"optimizer": lambda: keras.optimizers.AdamW(0.01, epsilon=1e-3)},
    "clipnorm": {"optimizer": lambda: keras.optimizers.AdamW(0.01, clipnorm=1.0)},
    "ema": {"optimizer": lambda: keras.optimizers.AdamW(0.01, use_ema=True)},
    "class_of_optimizer": {"optimizer": lambda: keras.optimizers.Adam(0.01, weight_decay=0.004)},
    "schedule": {"optimizer": lambda: keras.optimizers.AdamW(keras.optimizers.schedules.CosineDecay(0.01, 20))},
    "other_schedule": {"optimizer": lambda: keras.optimizers.AdamW(keras.optimizers.schedules.CosineDecay(0.01, 30))},
    "loss_weight": {"weights": 0.5},
    "regularization": {"regularizer": keras.regularizers.L2(0.2)},
    "threshold": {"metric": keras.metrics.BinaryAccuracy("mae", threshold=0.3)},
    "other_threshold": {"metric": keras.metrics.BinaryAccuracy("mae", threshold=0.4)},
    "frozen": {"trainable": False},
    "set_on_the_optimizer": {"change": lambda model: setattr(model.optimizer, "beta_2", 0.9)},
    "set_on_a_layer": {"change": lambda model: setattr(model.layers[2], "rate", 0.3)},
    "set_on_a_batch_normalization": {"change": lambda model: setattr(model.layers[3], "momentum", 0.5)},
    "another_activation": {"change": lambda model: setattr(model.layers[1], "activation", keras.activations.gelu)},
    "excluded_from_decay": {"change": lambda model: model.optimizer.exclude_from_weight_decay(var_names=["bias"])},
}


@pytest.fixture(autouse=True)
def _names_as_before():
    yield
    keras.utils.clear_session()


def key(**constants):
    model = build(**constants)
    sharing.build(model, DATA)
    return sharing.key(model)


INPUTS = {"beta", "weight_decay", "dropout_rate", "set_on_the_optimizer", "set_on_a_layer"}
INPUTS |= {"set_on_a_batch_normalization"}


def test_no_two_models_that_differ_in_a_constant_have_one_key():
    every = {"plain": {}} | OTHER_CONSTANTS | MORE_CONSTANTS
    keys = {name: key(**constants) for name, constants in every.items()}
    assert len({one.whole for one in keys.values()}) == len(every)
    digests = {name: one.digest for name, one in keys.items()}
    assert {name for name, digest in digests.items() if digest == digests["plain"]} == {"plain"} | INPUTS
    assert digests["regularizer"] == digests["regularization"]
    others = {"plain", "regularization"} | INPUTS
    assert len({digest for name, digest in digests.items() if name not in others}) == len(every) - len(others)


def test_what_is_in_variables_makes_no_other_key():
    plain = key()
    assert key(optimizer=lambda: keras.optimizers.AdamW(0.5)).whole == plain.whole
    assert key().whole == plain.whole
    model = build()
    model.fit(X, np.eye(3)[CLASSES], verbose=0)
    assert sharing.key(model).whole == plain.whole


@pytest.mark.parametrize("name", OTHER_CONSTANTS)
def test_a_model_borrows_no_program_from_one_with_another_constant(name):
    y = np.eye(3)[CLASSES]
    compiled.fit(build(), X, y, batch_size=8, shuffle=False, compiled=True)
    assert_same_as_fit(lambda: build(**OTHER_CONSTANTS[name]), X, y, epochs=2)


def test_statistics_of_a_normalization_are_part_of_the_key():
    def adapted(data):
        keras.utils.clear_session()
        normalization = layers.Normalization()
        normalization.adapt(data)
        model = keras.Sequential([keras.Input((6,)), normalization, layers.Dense(1)])
        model.compile(optimizer="sgd", loss="mse")
        sharing.build(model, rows(X, Y))
        return model

    assert sharing.key(adapted(X)).digest == sharing.key(adapted(X)).digest != sharing.key(adapted(2 * X)).digest
    compiled.fit(adapted(X), X, Y, batch_size=8, shuffle=False, compiled=True)
    assert_same_as_fit(lambda: adapted(2 * X), X, Y, epochs=2)


def test_topology_is_part_of_the_key():
    def joined(swapped):
        keras.utils.clear_session()
        inputs = keras.Input((6,))
        one, other = layers.Dense(4, name="one")(inputs), layers.Dense(4, name="other")(inputs)
        model = keras.Model(inputs, layers.Dense(1)(layers.Subtract()([other, one] if swapped else [one, other])))
        model.compile(optimizer="sgd", loss="mse")
        sharing.build(model, rows(X, Y))
        return sharing.key(model).digest

    assert joined(False) == joined(False) != joined(True)


class OwnLayer(layers.Dense):
    pass


class OwnModel(keras.Model):
    pass


def own_loss(y_true, y_pred):
    return keras.ops.mean(y_pred - y_true, -1)


@pytest.mark.parametrize(
    "make",
    [
        lambda inputs: (OwnLayer(1)(inputs), {}),
        lambda inputs: (layers.Dense(1, activation=lambda x: x)(inputs), {}),
        lambda inputs: (layers.Lambda(lambda x: x)(inputs), {}),
        lambda inputs: (layers.Dense(1, kernel_regularizer=lambda kernel: 0.0)(inputs), {}),
        lambda inputs: (layers.Dense(1)(inputs), {"loss": own_loss}),
        lambda inputs: (layers.Dense(1)(inputs), {"metrics": [own_loss]}),
        lambda inputs: (layers.Dense(1)(inputs), {"optimizer": keras.optimizers.SGD(lambda: 0.1)}),
    ],
    ids=["layer", "activation", "lambda", "regularizer", "loss", "metric", "learning_rate"],
)
def test_a_model_with_something_of_ones_own_shares_nothing(make):
    inputs = keras.Input((6,))
    outputs, compile = make(inputs)
    model = keras.Model(inputs, outputs)
    model.compile(**{"optimizer": "sgd", "loss": "mse"} | compile)
    with pytest.raises(sharing.Unshareable):
        sharing.key(model)


def test_own_models_patched_methods_and_kept_states_share_nothing():
    inputs = keras.Input((6,))
    own = OwnModel(inputs, layers.Dense(1)(inputs))
    patched = keras.Model(inputs, layers.Dense(1)(inputs))
    patched.train_step = lambda data: {}
    steps = keras.Input((5, 2), batch_size=8)
    stateful = keras.Model(steps, keras.Sequential([layers.LSTM(2, stateful=True)])(steps))
    for model in (own, patched, stateful):
        model.compile(optimizer="sgd", loss="mse")
        with pytest.raises(sharing.Unshareable):
            sharing.key(model)


def test_building_by_a_row_leaves_weights_metrics_and_random_numbers_as_they_were():
    def recurrent():
        keras.utils.clear_session()
        keras.utils.set_random_seed(7)
        inner = [layers.Reshape((3, 2)), layers.LSTM(4, dropout=0.2), layers.Dropout(0.1), layers.BatchNormalization()]
        model = keras.Sequential([keras.Input((6,)), *inner, layers.Dense(3)])
        model.compile(optimizer="adam", loss="mse", metrics=["mae"])
        return model

    model, untouched = recurrent(), recurrent()
    sharing.build(model, DATA)
    for one, other in zip(model.variables, untouched.variables, strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))
    assert all(float(variable) == 0.0 for variable in model.metrics_variables)
    assert model.optimizer.built


def test_mixed_precision_and_determinism_stay_a_graph():
    inputs = keras.Input((6,))
    mixed = keras.Model(inputs, layers.Dense(1, dtype="mixed_bfloat16")(inputs))
    mixed.compile(optimizer="sgd", loss="mse")
    assert sharing.suits_xla(build())
    assert not sharing.suits_xla(mixed)


def test_the_rows_are_as_many_as_said():
    assert DATA.layout.count == ROWS
