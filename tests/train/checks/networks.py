"""Small networks and data for checks, and what is found while they train."""

import keras
import numpy as np

from sweep.train.checks.before import check

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(400, 6)).astype("float32")
Y = (X[:, 0] * X[:, 1] + X[:, 2] + 0.3 * RANDOM.normal(size=400)).astype("float32")


def network(*, hidden=(16, 16), last=None, units=1, loss="mse", optimizer="adam", activation="relu", **layer):
    """A compiled chain of Dense layers over six inputs; `layer` goes to each."""
    inputs = at = keras.Input((6,))
    for width in hidden:
        at = keras.layers.Dense(width, activation=activation, **layer)(at)
    model = keras.Model(inputs, keras.layers.Dense(units, activation=last, **layer)(at))
    model.compile(optimizer, loss)
    return model


def found(model, x=X, y=Y, **settings):
    """What is found in the first epochs, by kind."""
    return {finding.kind: finding for finding in check(model, x, y, **settings)}
