"""The chapter's dnn by Keras' `fit`, as whole epochs in a graph, and by XLA: interleaved, from the same weights.

    python benchmarks/epoch_loop.py [--epochs 20] [--repeats 5]

9 inputs, Dense 32-32-32-32-16-1 (4,033 parameters), 3,918 rows in batches of 32, 490 rows to validate on; no events, no
histograms. Ratios come first. "Cold" is a first training, tracing or compiling included; "recurring" one
whose program is there already; "an epoch" is the median of the epochs after the first of a training.
A Markdown table goes to standard output.
"""

import argparse
import os
import statistics
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from sweep.train import compiled, program_cache, programs
from sweep.train.xla_times import XlaTimes

programs.xla_times = lambda: XlaTimes(Path(os.devnull, "forgotten"))  # what was measured before decides nothing here

DRAW = np.random.default_rng(0)
X, HELD_OUT = DRAW.normal(size=(3918, 9)).astype("float32"), DRAW.normal(size=(490, 9)).astype("float32")
TRUTH = DRAW.normal(size=(9, 1)).astype("float32")
DATA = {"x": X, "y": X @ TRUTH, "validation_data": (HELD_OUT, HELD_OUT @ TRUTH), "batch_size": 32}


def dnn() -> keras.Model:
    """A fresh dnn, as a trial would build it."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(1)
    inputs = keras.Input((9,))
    hidden = inputs
    for units in (32, 32, 32, 32, 16):
        hidden = keras.layers.Dense(units, activation="relu")(hidden)
    model = keras.Model(inputs, keras.layers.Dense(1)(hidden))
    model.compile(optimizer="adam", loss="mse", metrics=["mae"])
    return model


class Clock(keras.callbacks.Callback):
    """Notes when each epoch ends."""

    def on_train_begin(self, _logs=None):
        self.times = [time.perf_counter()]

    def on_epoch_end(self, _epoch, _logs=None):
        self.times.append(time.perf_counter())


def by_keras(model: keras.Model, epochs: int, clock: Clock) -> None:
    """Keras' own `fit`."""
    model.fit(**DATA, epochs=epochs, verbose=0, callbacks=[clock])


def by_graph(model: keras.Model, epochs: int, clock: Clock) -> None:
    """Whole epochs, never by XLA."""
    programs.EXPECTED = float("inf")
    compiled.fit(model, **DATA, epochs=epochs, callbacks=[clock], compiled=True)


def by_xla(model: keras.Model, epochs: int, clock: Clock) -> None:
    """Whole epochs, compiled by XLA as soon as the graph has run twice."""
    programs.EXPECTED = -float("inf")
    compiled.fit(model, **DATA, epochs=epochs, callbacks=[clock], compiled=True)


WAYS: dict[str, Callable[[keras.Model, int, Clock], None]] = {
    "Keras' fit": by_keras,
    "graph": by_graph,
    "XLA": by_xla,
}


def measure(way: str, epochs: int) -> tuple[float, float]:
    """Seconds of a whole training, building the model left out, and of an epoch."""
    model, clock = dnn(), Clock()
    began = time.perf_counter()
    WAYS[way](model, epochs, clock)
    return time.perf_counter() - began, statistics.median(np.diff(clock.times)[1:])


def main() -> None:
    """Measures all ways in turn and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=20, help="epochs of a training (20)")
    parser.add_argument("--repeats", type=int, default=5, help="of each way (5)")
    arguments = parser.parse_args()
    cold: dict[str, list[float]] = {way: [] for way in WAYS}
    recurring: dict[str, list[float]] = {way: [] for way in WAYS}
    epoch: dict[str, list[float]] = {way: [] for way in WAYS}
    for repeat in range(arguments.repeats):
        for way in WAYS:
            program_cache.clear()
            cold[way].append(measure(way, arguments.epochs)[0])
            for thread in threading.enumerate():
                if thread.name == "sweep-xla":
                    thread.join()
            seconds, each = measure(way, arguments.epochs)
            recurring[way].append(seconds)
            epoch[way].append(each)
            print(f"{repeat + 1}/{arguments.repeats} {way}", file=sys.stderr)
    print("| way | cold, Keras = 1 | recurring, Keras = 1 | epoch, Keras = 1 | cold, s | recurring, s | epoch, ms |")
    print("|---|---|---|---|---|---|---|")
    base = [statistics.median(taken["Keras' fit"]) for taken in (cold, recurring, epoch)]
    for way in WAYS:
        mine = [statistics.median(taken[way]) for taken in (cold, recurring, epoch)]
        ratios = " | ".join(f"{theirs / own:.1f}x" for theirs, own in zip(base, mine, strict=True))
        print(f"| {way} | {ratios} | {mine[0]:.2f} | {mine[1]:.2f} | {1000 * mine[2]:.1f} |")


if __name__ == "__main__":
    main()
