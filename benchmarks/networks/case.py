"""A training to look at: how its model and data are made, and what must be found."""

from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np


@dataclass(frozen=True)
class Case:
    """`make` gives a compiled model and the data, arguments of `sweep.check`; `expects` are findings, one of which is
    wanted, and severe if `severe`."""

    name: str
    make: Callable
    expects: tuple[str, ...] = ()
    severe: bool = False
    epochs: int = 3
    seed: int = 0


def regression(rows=1500, columns=9, seed=0, noise=0.5):
    """Standardised inputs, and a target of them with a product, a bend and noise, of spread 1."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(rows, columns)).astype("float32")
    y = x[:, 0] * x[:, 1] + np.abs(x[:, 2]) + 0.5 * x[:, 3] + noise * random.normal(size=rows)
    return x, ((y - y.mean()) / y.std()).astype("float32")


def classes(rows=1500, columns=16, count=4, seed=0):
    """Gaussian clouds, one a class."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, count, rows)
    centres = random.normal(size=(count, columns))
    return (centres[labels] + random.normal(size=(rows, columns))).astype("float32"), labels.astype("int32")


def images(rows=600, size=12, count=3, seed=0):
    """Grey images with a bright patch whose place is the class, pixels from 0 to 1."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, count, rows)
    x = random.uniform(0, 0.5, (rows, size, size, 1))
    for row, label in enumerate(labels):
        x[row, 3 * label : 3 * label + 4, 4:9] += 0.5
    return x.astype("float32"), labels.astype("int32")


def sequences(rows=500, steps=12, seed=0):
    """Sequences of two channels; the target is the mean of the first, with noise."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(rows, steps, 2)).astype("float32")
    y = 3 * x[:, :, 0].mean(axis=1) + 0.2 * random.normal(size=rows)
    return x, y.astype("float32")


def words(rows=600, steps=10, vocabulary=50, seed=0):
    """Sequences of word numbers; the class says whether words below 10 are many."""
    random = np.random.default_rng(seed)
    x = random.integers(0, vocabulary, (rows, steps))
    return x.astype("int32"), ((x < 10).sum(axis=1) > 1.5).astype("float32")


def split(x, y, share=0.8):
    """Data as arguments: the first rows to train on, the others to validate with."""
    at = int(share * len(y))
    return {"x": x[:at], "y": y[:at], "validation_data": (x[at:], y[at:]), "batch_size": 32}


def mlp(columns, hidden=(32, 32), out=1, last=None, activation="relu", **layer):
    """Dense layers, each made with `layer`'s arguments."""
    inputs = at = keras.Input((columns,))
    for units in hidden:
        at = keras.layers.Dense(units, activation=activation, **layer)(at)
    return keras.Model(inputs, keras.layers.Dense(out, activation=last, **layer)(at))


def compiled(model, optimizer="adam", loss="mse", **settings):
    """The model, compiled."""
    model.compile(optimizer, loss, **settings)
    return model
