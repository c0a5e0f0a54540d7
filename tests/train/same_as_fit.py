"""What the tests of compiled training share: small data, a small model, and the comparison with Keras' `fit`."""

import keras
import numpy as np
import pytest

from sweep.train import compiled

ROWS = 37  # batches of 8: four full ones and one of five
DRAW = np.random.default_rng(0)
X = DRAW.normal(size=(ROWS, 6))
Y = DRAW.normal(size=(ROWS, 1))
CLASSES = DRAW.integers(0, 3, size=ROWS)
HELD_OUT = (DRAW.normal(size=(11, 6)), DRAW.normal(size=(11, 1)))


def dense(optimizer="adam", loss="mse", outputs=1, hidden=(), **compile):
    inputs = keras.Input((6,))
    inner = keras.layers.Dense(8, activation="relu")(inputs)
    for layer in hidden:
        inner = layer()(inner)
    model = keras.Model(inputs, keras.layers.Dense(outputs)(inner))
    model.compile(
        optimizer=keras.optimizers.get(optimizer) if isinstance(optimizer, str) else optimizer, loss=loss, **compile
    )
    return model


def seeded(build):
    keras.utils.set_random_seed(7)
    return build()


def state(model):
    return [*model.get_weights(), *(np.asarray(variable) for variable in model.optimizer.variables)]


def assert_same_as_fit(build, *data, tolerance=1e-6, **arguments):
    """Trains one model by each, from the same weights and order of rows, and compares all that is left of it."""
    arguments = {"shuffle": False, "epochs": 5, "batch_size": 8, "verbose": 0} | arguments
    theirs, ours = seeded(build), seeded(build)
    callbacks = arguments.pop("callbacks", list)
    expected = theirs.fit(*data, callbacks=callbacks(), **arguments)
    got = compiled.fit(ours, *data, callbacks=callbacks(), compiled=True, **arguments)
    assert got.epoch == expected.epoch
    assert list(got.history) == list(expected.history)
    for name, values in expected.history.items():
        np.testing.assert_allclose(got.history[name], values, rtol=tolerance, atol=tolerance, err_msg=name)
        assert {type(value) for value in got.history[name]} == {float}
    for one, other in zip(state(ours), state(theirs), strict=True):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)
    for one, other in zip(ours.metrics_variables, theirs.metrics_variables, strict=True):
        np.testing.assert_allclose(np.asarray(one), np.asarray(other), rtol=tolerance, atol=tolerance)
    assert ours.history is got
    return ours, theirs


def assert_same(one, other):
    """Compares two trainings, each a history and all arrays that are left of it, bit for bit."""
    np.testing.assert_equal(one[0], other[0])  # for which NaN is NaN
    for mine, theirs in zip(one[1], other[1], strict=True):
        np.testing.assert_array_equal(mine, theirs)


def sometimes(cases, always):
    """Parameters of a test; all but these are left to `make test-all`."""
    return [case if case in always else pytest.param(case, marks=pytest.mark.slow) for case in cases]
