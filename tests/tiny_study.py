"""A study file that trains without Keras in a moment, and keeps its states. For tests."""

STUDY = """
import numpy as np
import sweep

def train(trial):
    x = trial.suggest_float("x", -1, 1)
    epochs = sweep.epochs(trial)
    for epoch in epochs:
        epochs.report({"loss": x * x + 1 / (epoch + 1)}, {"x": np.array([x])})
    return epochs.value

study = sweep.Study(train, objective="loss", direction="minimize", epochs=2, seed=1, pruner="nop", name="tiny")
"""
