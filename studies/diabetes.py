"""Disease progression one year on, from ten measurements of 442 patients: a shallow mlp against a deeper dnn."""

from functools import cache

import keras
import optuna
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split

import sweep


@cache
def data():
    """Rows to train on and to validate with, as they are measured: the model scales them itself."""
    x, y = load_diabetes(return_X_y=True, scaled=False)
    x, x_val, y, y_val = train_test_split(x, y.reshape(-1, 1), test_size=0.2, random_state=0)
    return tuple(part.astype("float32") for part in (x, y, x_val, y_val))


def train(trial: optuna.trial.BaseTrial) -> float:
    x, y, x_val, y_val = data()
    family = trial.suggest_categorical("family", ["mlp", "dnn"])
    width = trial.suggest_int("width", 8, 64, log=True)
    depth = trial.suggest_int("depth", 2, 5) if family == "dnn" else 1
    dropout = trial.suggest_float("dropout", 0.0, 0.5)

    inputs = keras.Input((x.shape[1],))
    hidden = keras.layers.Normalization(mean=x.mean(axis=0), variance=x.var(axis=0))(inputs)
    for _ in range(depth):
        hidden = keras.layers.Dropout(dropout)(keras.layers.Dense(width, activation="relu")(hidden))
    outputs = keras.layers.Rescaling(y.std(), offset=y.mean())(keras.layers.Dense(1)(hidden))
    model = keras.Model(inputs, outputs, name=family)
    # Divided by the targets' standard deviation, so that the loss and its gradients have the size that Adam is used to.
    optimizer = keras.optimizers.Adam(trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True))
    model.compile(optimizer, loss="mae", loss_weights=[1 / y.std()])
    batch_size = trial.suggest_categorical("batch_size", [8, 16, 32, 64])
    return sweep.fit(trial, model, x, y, validation_data=(x_val, y_val), batch_size=batch_size)


study = sweep.Study(train, objective="val_loss", direction="minimize", trials=30, epochs=60, seed=1)

if __name__ == "__main__":
    study.run()
