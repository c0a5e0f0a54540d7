"""Studies run whole, in this process: a test gives the `train` function, and gets what the store holds."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

import sweep
from sweep.control.start import start_here
from sweep.options import Settings
from sweep.store import RunRecord, Store, StudyRecord

GENERATOR = np.random.default_rng(3)
X = GENERATOR.normal(size=(60, 3)).astype("float32")
Y = (X @ np.array([[1.0], [-2.0], [0.5]])).astype("float32")
VALIDATION = (X[:20], Y[:20])


def network(units: int = 4, *, rate: float = 0.01, name: str | None = "mlp") -> keras.Model:
    """A small compiled regressor."""
    layers = [keras.Input((3,)), keras.layers.Dense(units, "relu"), keras.layers.Dense(1)]
    model = keras.Sequential(layers, name=name) if name else keras.Sequential(layers)
    model.compile(keras.optimizers.Adam(rate), loss="mse", metrics=["mae"])
    return model


class Line(keras.Model):
    """A subclass that says no configuration, and is built by its first call."""

    def __init__(self) -> None:
        super().__init__(name="line")
        self.dense = keras.layers.Dense(1)

    def call(self, inputs: Any) -> Any:
        return self.dense(inputs)


class Gan(keras.Model):
    """Two networks with an optimizer each; its own `train_step` says how far the generated are from the real."""

    def __init__(self) -> None:
        super().__init__(name="gan")
        self.generator = keras.layers.Dense(1)
        self.judge = keras.layers.Dense(1)
        self.generator.build((None, 3))
        self.judge.build((None, 1))

    def compile(self, g_optimizer: Any, d_optimizer: Any) -> None:
        super().compile()
        self.g_optimizer, self.d_optimizer = g_optimizer, d_optimizer

    def call(self, inputs: Any) -> Any:
        return self.generator(inputs)

    def train_step(self, data: Any) -> dict[str, Any]:
        import tensorflow as tf

        noise, real = data
        with tf.GradientTape(persistent=True) as tape:
            made = self.generator(noise)
            fooled = tf.reduce_mean(tf.square(self.judge(made) - 1.0))
            caught = tf.reduce_mean(tf.square(self.judge(real) - 1.0)) + tf.reduce_mean(tf.square(self.judge(made)))
        for optimizer, layer, loss in (
            (self.g_optimizer, self.generator, fooled),
            (self.d_optimizer, self.judge, caught),
        ):
            variables = layer.trainable_variables
            optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return {"distance": tf.reduce_mean(tf.square(self.generator(noise) - real)), "g_loss": fooled, "d_loss": caught}


@dataclass
class Kept:
    """What a study left in its store."""

    study: StudyRecord
    runs: list[RunRecord]
    metrics: dict[int, dict[int, dict[str, float]]]
    storage: str
    folder: Path

    @property
    def run(self) -> RunRecord:
        """The only run."""
        (run,) = self.runs
        return run


def run_study(train: Callable[..., Any], folder: Path, *, settings: dict[str, Any] | None = None, **study: Any) -> Kept:
    """Run a study of one trial, unless `study` says otherwise, and read its store."""
    declared = {"objective": "val_loss", "direction": "minimize", "trials": 1, "name": "test", "seed": 1, **study}
    storage = f"sqlite:///{folder / 'sweep.db'}"
    start_here(
        sweep.Study(train, **declared), Settings(storage=storage, logdir=str(folder / "runs"), **(settings or {}))
    )
    return read(storage, declared["name"], folder)


def read(storage: str, name: str, folder: Path) -> Kept:
    """What a store holds of a study."""
    store = Store(storage)
    try:
        record = store.study(name)
        return Kept(record, store.runs(record.study_id), store.metrics(record.study_id), storage, folder)
    finally:
        store.close()


def nothing_written(folder: Path) -> bool:
    """Whether a refused study left neither a database nor a run."""
    return not list(folder.iterdir())
