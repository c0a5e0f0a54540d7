"""Keras Tuner's Hyperband, one trial at a time, as documented."""

import os
import sys
from types import SimpleNamespace

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import keras
import keras_tuner
from spaces import BATCH_SIZE, EPOCHS, TARGETS, build, data, suggest

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


class Reached(keras.callbacks.Callback):
    """Tells of the target."""

    def on_epoch_end(self, _epoch: int, logs: dict | None = None) -> None:
        if logs["val_loss"] <= TARGETS[name]:
            open(os.environ["BENCHMARK_REACHED"], "w").close()


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
callbacks = [Reached(), keras.callbacks.TensorBoard("logs", histogram_freq=1)]
tuner.search(x, y, validation_data=(x_val, y_val), batch_size=BATCH_SIZE, callbacks=callbacks, verbose=0)
