"""Trials that end in every way, of three families, with conditional parameters and values of each kind; for tests."""

import os
import signal
from pathlib import Path

import keras
import numpy as np
import optuna

import sweep

ENDS = ["well", "prune", "diverge", "raise", "crash", "kill"]

x = np.random.default_rng(0).normal(size=(48, 4)).astype("float32")
y = x.sum(axis=1, keepdims=True)


class Net(keras.Model):
    """A model whose layers Keras does not know beforehand."""

    def __init__(self, width, **settings):
        super().__init__(**settings)
        self.hidden, self.out = keras.layers.Dense(width, activation="relu"), keras.layers.Dense(1)

    def call(self, inputs):
        return self.out(self.hidden(inputs))


class EndOfSecondEpoch(keras.callbacks.Callback):
    """Ends the trial in its second epoch, one way or the other."""

    def __init__(self, end, number):
        super().__init__()
        self.end, self.mark = end, Path(f"killed-{number}")

    def on_epoch_end(self, epoch, logs=None):
        if epoch == 1 and self.end == "raise":
            raise ValueError("no <more> *epochs*")
        if epoch == 1 and self.end == "crash":
            signal.signal(signal.SIGSEGV, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGSEGV)
        if epoch == 1 and self.end == "kill" and not self.mark.exists():
            self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)


def network(family, width, depth, dropout):
    if family == "net":
        return Net(width, name="net")
    inputs = hidden = keras.Input((4,))
    for _ in range(depth):
        hidden = keras.layers.Dense(width, activation="relu")(hidden)
    return keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Dropout(dropout)(hidden)), name=family)


def train(trial: optuna.trial.BaseTrial) -> float:
    family = trial.suggest_categorical("family", ["mlp", "dnn", "net"])
    end = trial.suggest_categorical("end", ENDS)
    width = trial.suggest_int("width", 2, 8)
    depth = trial.suggest_int("depth", 2, 4) if family == "dnn" else 1
    dropout = trial.suggest_float("dropout", 0.0, 0.5) if family != "net" else 0.0
    shuffle = trial.suggest_categorical("shuffle", [True, False])
    batch_size = trial.suggest_categorical("batch_size", [None, 16, "whole"])
    scale = {"prune": 1e9, "diverge": float("nan")}.get(end, 1.0)
    model = network(family, width, depth, dropout)
    model.compile(keras.optimizers.Adam(trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True)), loss="mae")
    return sweep.fit(
        trial,
        model,
        x[:32],
        y[:32] * scale,
        validation_data=(x[32:], y[32:] * scale),
        batch_size=32 if batch_size == "whole" else batch_size,
        shuffle=shuffle,
        callbacks=[EndOfSecondEpoch(end, trial.number)],
        gradients=8,
    )


study = sweep.Study(
    train,
    objective="val_loss",
    direction="minimize",
    trials=8,
    epochs=4,
    seed=2,
    pruner="threshold(upper=1000000.0)",
    workers=2,
    enqueue=[
        {"family": "mlp", "end": "well", "batch_size": None, "shuffle": True},
        {"family": "dnn", "end": "well", "batch_size": "whole", "shuffle": False},
        {"family": "net", "end": "well", "batch_size": 16},
        {"family": "dnn", "end": "prune"},
        {"family": "mlp", "end": "diverge"},
        {"family": "net", "end": "raise"},
        {"family": "mlp", "end": "crash"},
        {"family": "dnn", "end": "kill"},
    ],
)
