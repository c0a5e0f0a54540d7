"""Handwritten digits of 8 x 8 pixels: a small CNN against an MLP, by their validation accuracy.

Each family has parameters of its own, and each optimizer too: `momentum` is there for SGD alone.
"""

from functools import cache

import keras
import numpy as np
import optuna
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import sweep

CLASSES = 10


@cache
def data() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Images of shape (8, 8, 1), 0 to 16 as they are recorded, and their digits: to train on, then to validate with."""
    images, digits = load_digits(return_X_y=True)
    images = images.reshape(-1, 8, 8, 1).astype("float32")
    x, x_val, y, y_val = train_test_split(images, digits, test_size=0.2, random_state=0, stratify=digits)
    return x, y, x_val, y_val


def cnn(trial: optuna.trial.BaseTrial, images: keras.KerasTensor) -> keras.KerasTensor:
    filters = trial.suggest_categorical("filters", [8, 16, 32])
    kernel_size = trial.suggest_categorical("kernel_size", [3, 5])
    features = images
    for block in range(trial.suggest_int("blocks", 1, 2)):
        features = keras.layers.Conv2D(filters << block, kernel_size, padding="same", activation="relu")(features)
        features = keras.layers.MaxPooling2D()(features)
    return keras.layers.Flatten()(features)


def mlp(trial: optuna.trial.BaseTrial, images: keras.KerasTensor) -> keras.KerasTensor:
    width = trial.suggest_int("width", 16, 128, log=True)
    features = keras.layers.Flatten()(images)
    for _ in range(trial.suggest_int("depth", 1, 3)):
        features = keras.layers.Dense(width, activation="relu")(features)
    return features


def optimizer(trial: optuna.trial.BaseTrial) -> keras.optimizers.Optimizer:
    learning_rate = trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True)
    if trial.suggest_categorical("optimizer", ["adam", "sgd"]) == "adam":
        return keras.optimizers.Adam(learning_rate)
    return keras.optimizers.SGD(learning_rate, momentum=trial.suggest_float("momentum", 0.0, 0.95))


def train(trial: optuna.trial.BaseTrial) -> float:
    x, y, x_val, y_val = data()
    family = trial.suggest_categorical("family", ["cnn", "mlp"])
    inputs = keras.Input((8, 8, 1))
    scaled = keras.layers.Rescaling(1 / 16)(inputs)  # in the model, so that a saved one takes images as they are
    features = cnn(trial, scaled) if family == "cnn" else mlp(trial, scaled)
    features = keras.layers.Dropout(trial.suggest_float("dropout", 0.0, 0.5))(features)
    model = keras.Model(inputs, keras.layers.Dense(CLASSES, activation="softmax")(features), name=family)
    model.compile(optimizer(trial), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    batch_size = trial.suggest_categorical("batch_size", [32, 64, 128])
    return sweep.fit(trial, model, x, y, validation_data=(x_val, y_val), batch_size=batch_size)


study = sweep.Study(train, objective="val_accuracy", direction="maximize", trials=40, epochs=30, seed=1)

if __name__ == "__main__":
    study.run()
