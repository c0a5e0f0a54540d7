"""The same networks and parameter sets under `sweep start`."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from functools import cache

import optuna
from nets import build, data, parameter_sets

import sweep

TRIALS, EPOCHS = int(os.environ["BENCHMARK_TRIALS"]), int(os.environ["BENCHMARK_EPOCHS"])
load = cache(data)


def train(trial: optuna.trial.BaseTrial) -> float:
    model = build(
        trial.suggest_categorical("family", ["mlp", "dnn"]),
        trial.suggest_int("width", 4, 4096),
        trial.suggest_float("learning_rate", 1e-5, 1.0, log=True),
    )
    x, y, x_val, y_val = load()
    return sweep.fit(trial, model, x, y, validation_data=(x_val, y_val), batch_size=32)


study = sweep.Study(
    train,
    objective="val_loss",
    direction="minimize",
    trials=TRIALS,
    epochs=EPOCHS,
    sampler="random",
    pruner="nop",
    seed=0,
    enqueue=parameter_sets(TRIALS, recurring=os.environ["BENCHMARK_SETS"] == "recurring"),
)
