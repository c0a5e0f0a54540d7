"""Which digit is it? A softmax regression in plain NumPy, which neither imports nor needs Keras.

`sweep.epochs` names the run, writes its curves, has it pruned, resumes it after a kill and keeps its best weights. What
is below the line `for epoch in epochs` is what any framework would do there.
"""

from functools import cache

import numpy as np
import optuna
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import sweep


@cache
def data():
    images, digits = load_digits(return_X_y=True)
    return train_test_split(images / 16, np.eye(10)[digits], test_size=0.25, random_state=0, stratify=digits)


def probabilities(weights, x):
    scores = x @ weights
    exponents = np.exp(scores - scores.max(axis=1, keepdims=True))
    return exponents / exponents.sum(axis=1, keepdims=True)


def measure(weights, x, y):
    found = probabilities(weights, x)
    loss = -np.log((found * y).sum(axis=1) + 1e-12).mean()
    return loss, (found.argmax(axis=1) == y.argmax(axis=1)).mean()


def train(trial: optuna.trial.BaseTrial) -> float:
    x, x_val, y, y_val = data()
    rate = trial.suggest_float("learning_rate", 1e-3, 10.0, log=True)
    decay = trial.suggest_float("weight_decay", 1e-6, 1e-1, log=True)
    size = trial.suggest_categorical("batch_size", [16, 64, 256])

    epochs = sweep.epochs(trial, architecture="64_10")
    weights = epochs.resumed["weights"] if epochs.resumed else np.zeros((64, 10))
    for _ in epochs:
        for rows in np.array_split(np.random.permutation(len(x)), len(x) // size):
            error = probabilities(weights, x[rows]) - y[rows]
            weights = weights - rate * (x[rows].T @ error / len(rows) + decay * weights)
        loss, accuracy = measure(weights, x, y)
        val_loss, val_accuracy = measure(weights, x_val, y_val)
        epochs.report(
            {"loss": loss, "accuracy": accuracy, "val_loss": val_loss, "val_accuracy": val_accuracy},
            {"weights": weights},
            histograms={"weights": weights},
        )
    return epochs.value


study = sweep.Study(train, objective="val_accuracy", direction="maximize", trials=30, epochs=20, seed=1)

if __name__ == "__main__":
    study.run()
