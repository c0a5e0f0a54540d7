"""What every benchmark trains: the chapter's networks on data of the wine table's shape, from fixed sets."""

import multiprocessing
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROWS, VALIDATION_ROWS, INPUTS = 3918, 490, 9
WIDTHS = (16, 24, 32, 48)

SETS = {
    "recurring": "widths from a list of four",
    "single": "a different width in every trial",
    "dropout": "widths from a list of four, a different continuous dropout rate in every trial",
    "free": "one to five layers of free widths (8 to 128)",
    "everything": "one to five layers of free widths (8 to 128), dropout, L2 and weight decay",
}
"""What varies from trial to trial, by the name that `peers.py --sets` takes."""


def data() -> tuple[Any, ...]:
    """Inputs and targets to train on and to validate with: linear and squared terms and noise, standardised."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(ROWS + VALIDATION_ROWS, INPUTS)).astype("float32")
    weights = generator.normal(size=(INPUTS, 1))
    y = (x @ weights + 0.5 * (x**2) @ weights[::-1] + generator.normal(size=(len(x), 1))).astype("float32")
    y /= y.std()
    return x[:ROWS], y[:ROWS], x[ROWS:], y[ROWS:]


def parameter_sets(trials: int, sets: str) -> list[dict[str, Any]]:
    """The same list for every system; its parameters are those that `suggest` asks for.

    None is twice in it: each is another network.

    Args:
        trials: how many.
        sets: one of `SETS`.
    """
    generator = np.random.default_rng(1)
    chosen: list[dict[str, Any]] = []
    while len(chosen) < trials:
        one = _draw(generator, len(chosen), sets)
        if one not in chosen:
            chosen.append(one)
    return chosen


def _draw(generator: np.random.Generator, number: int, sets: str) -> dict[str, Any]:
    """One set; where families are, there are two dnn for each mlp."""
    if sets in ("free", "everything"):
        layers = int(generator.integers(1, 6))
        params: dict[str, Any] = {"layers": layers}
        params |= {f"width_{layer}": round(8 * 16 ** generator.uniform()) for layer in range(layers)}
    else:
        width = 8 + number if sets == "single" else int(generator.choice(WIDTHS))
        params = {"family": "mlp" if number % 3 == 0 else "dnn", "width": width}
    params["learning_rate"] = _log(generator, -3.5, -1.5)
    if sets in ("dropout", "everything"):
        params["dropout"] = float(f"{generator.uniform(0.0, 0.5):.3g}")
    if sets == "everything":
        params |= {"l2": _log(generator, -6, -2), "weight_decay": _log(generator, -6, -2)}
    return params


def _log(generator: np.random.Generator, low: float, high: float) -> float:
    return float(f"{10 ** generator.uniform(low, high):.3g}")


def suggest(trial: Any, sets: str) -> dict[str, Any]:
    """A set as an Optuna trial suggests it."""
    if sets in ("free", "everything"):
        layers = trial.suggest_int("layers", 1, 5)
        params = {"layers": layers}
        params |= {f"width_{layer}": trial.suggest_int(f"width_{layer}", 8, 128, log=True) for layer in range(layers)}
    else:
        params = {
            "family": trial.suggest_categorical("family", ["mlp", "dnn"]),
            "width": trial.suggest_int("width", 4, 4096),
        }
    params["learning_rate"] = trial.suggest_float("learning_rate", 1e-5, 1.0, log=True)
    if sets in ("dropout", "everything"):
        params["dropout"] = trial.suggest_float("dropout", 0.0, 0.5)
    if sets == "everything":
        params["l2"] = trial.suggest_float("l2", 1e-6, 1e-2, log=True)
        params["weight_decay"] = trial.suggest_float("weight_decay", 1e-6, 1e-2, log=True)
    return params


def build(
    *,
    learning_rate: float,
    family: str = "free",
    width: int = 0,
    layers: int = 0,
    dropout: float | None = None,
    l2: float | None = None,
    weight_decay: float | None = None,
    **widths: int,
) -> Any:
    """The chapter's mlp, of one hidden layer, its dnn, of four and one of half their width, or layers of free widths.

    Args:
        learning_rate: of Adam; with a weight decay, of AdamW.
        family: `mlp`, `dnn` or `free`.
        width: of the layers of an `mlp` or `dnn`.
        layers: how many a `free` network has, of the widths `width_0`, `width_1` and so on.
        dropout: the rate behind each hidden layer; None for no such layers.
        l2: the factor of each kernel's regularizer; None for none.
        weight_decay: of AdamW; None for Adam.
    """
    import keras

    hidden = {
        "mlp": [width],
        "dnn": [width, width, width, width, width // 2],
        "free": [widths[f"width_{layer}"] for layer in range(layers)],
    }[family]
    inputs = outputs = keras.Input((INPUTS,))
    for units in hidden:
        regularizer = None if l2 is None else keras.regularizers.L2(l2)
        outputs = keras.layers.Dense(units, activation="relu", kernel_regularizer=regularizer)(outputs)
        if dropout is not None:
            outputs = keras.layers.Dropout(dropout)(outputs)
    model = keras.Model(inputs, keras.layers.Dense(1)(outputs), name=family)
    adam = keras.optimizers.Adam(learning_rate)
    model.compile(
        adam if weight_decay is None else keras.optimizers.AdamW(learning_rate, weight_decay=weight_decay), loss="mae"
    )
    return model


def cores() -> int:
    """How many processors this process may use: as many trials run at once, where a system can."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def one_thread() -> None:
    """Have TensorFlow, where it is not loaded yet, compute with one thread: there is a process for each core."""
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
        os.environ[name] = "1"


def folder() -> Path:
    """Where the system that runs writes: a temporary folder, its working directory."""
    return Path(os.getcwd())


def on_each_core(work: Callable[[int], None]) -> None:
    """Call a function of the script in a process for each core, with the core's number; a failure ends the script."""
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=work, args=(core,)) for core in range(cores())]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        sys.exit("a process failed")
