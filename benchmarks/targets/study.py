"""One of the studies under `sweep start`, with its default sampler and pruner."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from functools import cache

import optuna
from spaces import BATCH_SIZE, EPOCHS, build, data, suggest

import sweep

load = cache(data)


def train(trial: optuna.trial.BaseTrial) -> float:
    model = build(**suggest(trial, os.environ["BENCHMARK_STUDY"]))
    x, y, x_val, y_val = load()
    return sweep.fit(trial, model, x, y, validation_data=(x_val, y_val), batch_size=BATCH_SIZE)


study = sweep.Study(train, objective="val_loss", direction="minimize", trials=10_000, epochs=EPOCHS)
