"""The studies of `time_to_target.py`, on networks and data of `peers/nets.py`: what they search and have to reach."""

import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "peers"))

from nets import build, cores, data, on_each_core, one_thread

EPOCHS = 27
BATCH_SIZE = 32

TARGETS = {"dropout": 0.193, "free": 0.180, "everything": 0.200}
"""The studies, with the validation loss that a run is to reach: what one in some thirty random configurations does."""


def suggest(trial: Any, study: str) -> dict[str, Any]:
    """A configuration, asked for as of an Optuna trial."""
    if study == "dropout":
        params = {
            "family": trial.suggest_categorical("family", ["mlp", "dnn"]),
            "width": trial.suggest_int("width", 8, 64, log=True),
        }
    else:
        layers = trial.suggest_int("layers", 1, 5)
        params = {"layers": layers}
        params |= {f"width_{layer}": trial.suggest_int(f"width_{layer}", 8, 128, log=True) for layer in range(layers)}
    params["learning_rate"] = trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True)
    if study != "free":
        params["dropout"] = trial.suggest_float("dropout", 0.0, 0.5)
    if study == "everything":
        params["l2"] = trial.suggest_float("l2", 1e-6, 1e-2, log=True)
        params["weight_decay"] = trial.suggest_float("weight_decay", 1e-6, 1e-2, log=True)
    return params


def reached(study: str) -> Any:
    """A callback for Keras that tells of an epoch that reaches a study's target. Loads Keras."""
    import keras

    class Reached(keras.callbacks.Callback):
        def on_epoch_end(self, _epoch: int, logs: dict | None = None) -> None:
            if logs["val_loss"] <= TARGETS[study]:
                Path(os.environ["BENCHMARK_REACHED"]).touch()

    return Reached()


def trained(trial: Any, study: str, seed: int, more: list[Any]) -> list[float]:
    """Train a configuration with Keras, as peers do; its validation losses by epoch.

    Args:
        trial: is asked for the configuration.
        seed: of the weights.
        more: callbacks beside those that write for TensorBoard and tell of the target.
    """
    import keras

    keras.utils.set_random_seed(seed)
    model = build(**suggest(trial, study))
    x, y, x_val, y_val = data()
    logs = os.path.join("logs", f"{os.getpid()}-{seed}")
    callbacks = [reached(study), keras.callbacks.TensorBoard(logs, histogram_freq=1), *more]
    fitted = model.fit(
        x, y, validation_data=(x_val, y_val), batch_size=BATCH_SIZE, epochs=EPOCHS, callbacks=callbacks, verbose=0
    )
    return fitted.history["val_loss"]


__all__ = [
    "BATCH_SIZE",
    "EPOCHS",
    "TARGETS",
    "build",
    "cores",
    "data",
    "on_each_core",
    "one_thread",
    "reached",
    "suggest",
    "trained",
]
