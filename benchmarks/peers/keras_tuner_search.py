"""Keras Tuner's RandomSearch, as its guide shows it, over the index of the parameter sets: one process, all cores."""

import sys

import keras
import keras_tuner
from nets import build, data, folder, parameter_sets

trials, epochs = int(sys.argv[1]), int(sys.argv[2])
sets = parameter_sets(trials, sys.argv[3])
x, y, x_val, y_val = data()

tuner = keras_tuner.RandomSearch(
    lambda hp: build(**sets[hp.Choice("set", list(range(trials)))]),
    objective="val_loss",
    max_trials=trials,
    directory=str(folder() / "tuner"),
    seed=0,
)
logs = keras.callbacks.TensorBoard(str(folder() / "logs"), histogram_freq=1)
tuner.search(x, y, validation_data=(x_val, y_val), batch_size=32, epochs=epochs, callbacks=[logs], verbose=0)
print("done", len(tuner.oracle.trials))
