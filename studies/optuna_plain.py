"""An objective in ordinary Optuna style: no Keras, no `sweep` in it; it reports each epoch and prunes itself.

It runs as well with `optuna.create_study(direction="maximize").optimize(objective, n_trials=20)`.
"""

from functools import cache

import numpy as np
import optuna
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import train_test_split

import sweep

EPOCHS = 20


@cache
def data():
    images, digits = load_digits(return_X_y=True)
    return train_test_split(images / 16, digits, test_size=0.25, random_state=0, stratify=digits)


def objective(trial: optuna.trial.BaseTrial) -> float:
    x, x_val, y, y_val = data()
    penalty = trial.suggest_categorical("penalty", ["l2", "l1", "elasticnet"])
    model = SGDClassifier(
        loss=trial.suggest_categorical("loss", ["hinge", "log_loss", "modified_huber"]),
        penalty=penalty,
        l1_ratio=trial.suggest_float("l1_ratio", 0.0, 1.0) if penalty == "elasticnet" else 0.15,
        alpha=trial.suggest_float("alpha", 1e-6, 1e-1, log=True),
        random_state=0,
    )
    order = np.random.default_rng(0)
    for epoch in range(EPOCHS):
        rows = order.permutation(len(x))
        model.partial_fit(x[rows], y[rows], classes=np.arange(10))
        accuracy = model.score(x_val, y_val)
        trial.report(accuracy, epoch)
        if trial.should_prune():
            raise optuna.TrialPruned
    return accuracy


study = sweep.Study(objective, objective="accuracy", direction="maximize", trials=20, seed=1)

if __name__ == "__main__":
    study.run()
