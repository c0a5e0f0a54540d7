"""Bigger work: an MLP, a CNN and an LSTM by Keras' `fit` and by `compiled.fit`, interleaved, from the same weights.

    python benchmarks/bigger_networks.py [--epochs 10] [--repeats 3]

A Markdown table goes to standard output: seconds of a whole training, tracing and compilation included, and the ratio.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable

import keras
import numpy as np

from sweep.train import compiled


def mlp() -> keras.Model:
    """784-512-256-128-10."""
    layers = [keras.layers.Dense(units, activation="relu") for units in (512, 256, 128)]
    return keras.Sequential([keras.Input((28, 28)), keras.layers.Flatten(), *layers, keras.layers.Dense(10)])


def cnn() -> keras.Model:
    """Two convolutions of 16 and 32 filters over 28x28 images."""
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            keras.layers.Conv2D(16, 3, activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(32, 3, activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Flatten(),
            keras.layers.Dense(10),
        ]
    )


def lstm() -> keras.Model:
    """An LSTM of 32 units over the 28 rows of an image."""
    return keras.Sequential([keras.Input((28, 28)), keras.layers.LSTM(32), keras.layers.Dense(10)])


NETWORKS: dict[str, tuple[Callable[[], keras.Model], int, int]] = {
    "MLP 784-512-256-128-10, 10,000 rows": (mlp, 10_000, 128),
    "CNN 28x28, 4,000 rows": (cnn, 4_000, 64),
    "LSTM 28x28, 4,000 rows": (lstm, 4_000, 64),
}


def seconds(make: Callable[[], keras.Model], rows: int, batch_size: int, epochs: int, mode: bool | str) -> float:
    """One training from the same weights; `mode` False is Keras' fit."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    model = make()
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    generator = np.random.default_rng(0)
    x = generator.normal(size=(rows, *model.input_shape[1:])).astype("float32")
    y = generator.integers(10, size=rows)
    began = time.perf_counter()
    compiled.fit(model, x, y, batch_size=batch_size, epochs=epochs, compiled=mode)
    return time.perf_counter() - began


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    print(f"\n{options.epochs} epochs, median of {options.repeats}\n")
    print("| network | fit / sweep | Keras' fit, s | sweep, first, s | sweep, median, s |")
    print("|---|---|---|---|---|")
    for name, (make, rows, batch) in NETWORKS.items():
        fits, ours = [], []
        for _ in range(options.repeats):
            fits.append(seconds(make, rows, batch, options.epochs, False))
            ours.append(seconds(make, rows, batch, options.epochs, "auto"))
        fit, our = statistics.median(fits), statistics.median(ours)
        print(f"| {name} | {fit / our:.2f} | {fit:.2f} | {ours[0]:.2f} | {our:.2f} |", flush=True)
        print(f"{name}: fit {fits}, sweep {ours}", file=sys.stderr)


if __name__ == "__main__":
    main()
