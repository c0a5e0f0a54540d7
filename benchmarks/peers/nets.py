"""What every benchmark trains: the chapter's networks on data of the wine table's shape, from fixed sets."""

import os
from pathlib import Path
from typing import Any

import numpy as np

ROWS, VALIDATION_ROWS, INPUTS = 3918, 490, 9
WIDTHS = (16, 24, 32, 48)


def data() -> tuple[Any, ...]:
    """Inputs and targets to train on and to validate with: linear and squared terms and noise, standardised."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(ROWS + VALIDATION_ROWS, INPUTS)).astype("float32")
    weights = generator.normal(size=(INPUTS, 1))
    y = (x @ weights + 0.5 * (x**2) @ weights[::-1] + generator.normal(size=(len(x), 1))).astype("float32")
    y /= y.std()
    return x[:ROWS], y[:ROWS], x[ROWS:], y[ROWS:]


def parameter_sets(trials: int, *, recurring: bool) -> list[dict[str, Any]]:
    """The same list for every system: two dnn for each mlp; widths from a short list, or each one another.

    None is twice in it: a study tries what is enqueued twice once, and then a set of its own.
    """
    generator = np.random.default_rng(1)
    sets: list[dict[str, Any]] = []
    while (number := len(sets)) < trials:
        width = int(generator.choice(WIDTHS)) if recurring else 8 + number
        rate = float(f"{10 ** generator.uniform(-3.5, -1.5):.3g}")
        family = "mlp" if number % 3 == 0 else "dnn"
        chosen = {"family": family, "width": width, "learning_rate": rate}
        if chosen not in sets:
            sets.append(chosen)
    return sets


def build(family: str, width: int, learning_rate: float) -> Any:
    """The chapter's mlp, of one hidden layer, or its dnn, of four and one of half their width."""
    import keras

    hidden = [width] if family == "mlp" else [width, width, width, width, width // 2]
    inputs = outputs = keras.Input((INPUTS,))
    for units in hidden:
        outputs = keras.layers.Dense(units, activation="relu")(outputs)
    model = keras.Model(inputs, keras.layers.Dense(1)(outputs), name=family)
    model.compile(keras.optimizers.Adam(learning_rate), loss="mae")
    return model


def folder() -> Path:
    """Where the system that runs writes: a temporary folder, its working directory."""
    return Path(os.getcwd())
