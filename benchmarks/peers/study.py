"""The same networks and parameter sets under `sweep start`."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from functools import cache

import optuna
from nets import build, data, parameter_sets, suggest

import sweep

TRIALS, EPOCHS, SETS = (os.environ[f"BENCHMARK_{name}"] for name in ("TRIALS", "EPOCHS", "SETS"))
load = cache(data)


def train(trial: optuna.trial.BaseTrial) -> float:
    model = build(**suggest(trial, SETS))
    x, y, x_val, y_val = load()
    return sweep.fit(trial, model, x, y, validation_data=(x_val, y_val), batch_size=32)


study = sweep.Study(
    train,
    objective="val_loss",
    direction="minimize",
    trials=int(TRIALS),
    epochs=int(EPOCHS),
    sampler="random",
    pruner="nop",
    seed=0,
    enqueue=parameter_sets(int(TRIALS), SETS),
)
