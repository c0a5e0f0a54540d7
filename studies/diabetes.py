"""Disease progression one year on, from ten measurements of 442 patients: a shallow mlp against a deeper dnn."""

from functools import cache

import keras
import optuna
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

import sweep


@cache
def data():
    """Rows to train on and to validate with; inputs and target in standard deviations of the training rows."""
    x, y = load_diabetes(return_X_y=True)
    rows = train_test_split(x, y.reshape(-1, 1), test_size=0.2, random_state=0)
    x, x_val, y, y_val = (part.astype("float32") for part in rows)
    inputs, target = StandardScaler().fit(x), StandardScaler().fit(y)
    return inputs.transform(x), target.transform(y), inputs.transform(x_val), target.transform(y_val)


def train(trial: optuna.trial.BaseTrial) -> float:
    x, y, x_val, y_val = data()
    family = trial.suggest_categorical("family", ["mlp", "dnn"])
    width = trial.suggest_int("width", 8, 64, log=True)
    depth = trial.suggest_int("depth", 2, 5) if family == "dnn" else 1
    dropout = trial.suggest_float("dropout", 0.0, 0.5)

    inputs = hidden = keras.Input((x.shape[1],))
    for _ in range(depth):
        hidden = keras.layers.Dropout(dropout)(keras.layers.Dense(width, activation="relu")(hidden))
    model = keras.Model(inputs, keras.layers.Dense(1)(hidden), name=family)
    model.compile(keras.optimizers.Adam(trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True)), loss="mae")
    batch_size = trial.suggest_categorical("batch_size", [8, 16, 32, 64])
    return sweep.fit(trial, model, x, y, validation_data=(x_val, y_val), batch_size=batch_size)


study = sweep.Study(train, objective="val_loss", direction="minimize", trials=30, epochs=60, seed=1)

if __name__ == "__main__":
    study.run()
