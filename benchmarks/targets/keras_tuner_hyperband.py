"""Keras Tuner's Hyperband, one trial at a time, as documented."""

import os
import sys
from types import SimpleNamespace

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import keras
import keras_tuner
from spaces import BATCH_SIZE, EPOCHS, build, data, reached, suggest

name, seed = sys.argv[1], int(sys.argv[2])


def asked(hp: keras_tuner.HyperParameters) -> SimpleNamespace:
    """Hyperparameters that are asked for as of an Optuna trial."""

    def scale(log: bool) -> str:
        return "log" if log else "linear"

    return SimpleNamespace(
        suggest_categorical=lambda key, choices: hp.Choice(key, choices),
        suggest_int=lambda key, low, high, log=False: hp.Int(key, low, high, sampling=scale(log)),
        suggest_float=lambda key, low, high, log=False: hp.Float(key, low, high, sampling=scale(log)),
    )


x, y, x_val, y_val = data()
keras.utils.set_random_seed(seed)
tuner = keras_tuner.Hyperband(
    lambda hp: build(**suggest(asked(hp), name)),
    objective=keras_tuner.Objective("val_loss", "min"),
    max_epochs=EPOCHS,
    factor=3,
    hyperband_iterations=100,
    seed=seed,
    directory="tuner",
)
callbacks = [reached(name), keras.callbacks.TensorBoard("logs", histogram_freq=1)]
tuner.search(x, y, validation_data=(x_val, y_val), batch_size=BATCH_SIZE, callbacks=callbacks, verbose=0)
