"""How much alcohol is in a white wine, from nine other measurements: an mlp, a dnn, and a dnn that cannot learn.

The networks are those of the tutorial's third chapter: `mlp` has 353 parameters, `dnn` 4,033; `dnn_broke` is the `dnn`
with every kernel at 0 and every bias at 1, so that all units of a layer stay alike and a finding should say so.

Data: P. Cortez, A. Cerdeira, F. Almeida, T. Matos and J. Reis, Modeling wine preferences by data mining from
physicochemical properties, Decision Support Systems 47(4):547-553, 2009; UCI Machine Learning Repository, CC BY 4.0.
The file is downloaded once, or read from the path in SWEEP_WINE_CSV.
"""

import fcntl
import os
from functools import cache
from pathlib import Path

import keras
import numpy as np
import optuna

import sweep

URL = "https://archive.ics.uci.edu/ml/machine-learning-databases/wine-quality/winequality-white.csv"
SHA256 = "76c3f809815c17c07212622f776311faeb31e87610d52c26d87d6e361b169836"
COLUMNS = 12
INPUTS, TARGET = slice(0, 9), 10  # fixed acidity to pH; alcohol

HIDDEN = {"mlp": [32], "dnn": [32, 32, 32, 32, 16], "dnn_broke": [32, 32, 32, 32, 16]}


def csv_file() -> Path:
    """Where the white wines are, `;`-separated under a line of names.

    Raises:
        SweepError: SWEEP_WINE_CSV names no file, or it is not set and the download fails or is not the file expected.
    """
    if given := os.environ.get("SWEEP_WINE_CSV"):
        if not Path(given).is_file():
            raise sweep.SweepError(f"SWEEP_WINE_CSV names no file: {given}.")
        return Path(given)
    try:
        with open(__file__) as turn:  # all workers begin at once; the first of them downloads, the others wait
            fcntl.flock(turn, fcntl.LOCK_EX)
            return Path(keras.utils.get_file(origin=URL, file_hash=SHA256, hash_algorithm="sha256"))
    except Exception as error:  # Keras raises a bare Exception where a URL cannot be fetched
        why = str(error).rpartition(" -- ")[2]  # Keras puts the URL before it
        hint = f"Fetch {URL} and set SWEEP_WINE_CSV to its path."
        raise sweep.SweepError(f"Cannot download the white wines: {why}.", hint) from error


@cache
def rows() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """80% of the rows to train on, 10% to validate with, 10% kept for a test: always the same ones, as measured.

    Raises:
        SweepError: the file is not that of the white wines.
    """
    try:
        table = np.loadtxt(csv_file(), delimiter=";", skiprows=1, ndmin=2)
    except ValueError as error:
        raise sweep.SweepError(f"The white wines must be numbers separated by ;: {error}.") from error
    if table.shape[1] != COLUMNS or len(table) < 10:
        there = f"{table.shape[0]} of {table.shape[1]}"
        raise sweep.SweepError(f"The white wines have at least 10 rows of {COLUMNS} columns, not {there}.")
    table = np.random.default_rng(0).permutation(table)
    first, second = round(0.8 * len(table)), round(0.9 * len(table))
    return tuple(np.split(table.astype("float32"), [first, second]))


def network(family: str) -> keras.Model:
    """One of the chapter's networks, not compiled: nine inputs, hidden layers of relu, one linear output.

    Inputs and output are as they are measured: the network itself scales them by the rows to train on.
    """
    training, *_ = rows()
    x, y = training[:, INPUTS], training[:, TARGET]
    broke = {"kernel_initializer": "zeros", "bias_initializer": "ones"} if family == "dnn_broke" else {}
    inputs = keras.Input((9,))
    hidden = keras.layers.Normalization(mean=x.mean(axis=0), variance=x.var(axis=0))(inputs)
    for units in HIDDEN[family]:
        hidden = keras.layers.Dense(units, activation="relu", **broke)(hidden)
    outputs = keras.layers.Rescaling(y.std(), offset=y.mean())(keras.layers.Dense(1, **broke)(hidden))
    return keras.Model(inputs, outputs, name=family)


def spread() -> float:
    """The standard deviation of the alcohol in the rows to train on, in which losses are counted."""
    training, *_ = rows()
    return float(training[:, TARGET].std())


def train(trial: optuna.trial.BaseTrial) -> float:
    training, validation, _ = rows()
    model = network(trial.suggest_categorical("family", list(HIDDEN)))
    optimizer = keras.optimizers.Adam(trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True))
    model.compile(optimizer, loss="mae", loss_weights=[1 / spread()])
    return sweep.fit(
        trial,
        model,
        training[:, INPUTS],
        training[:, TARGET],
        validation_data=(validation[:, INPUTS], validation[:, TARGET]),
        batch_size=trial.suggest_categorical("batch_size", [16, 32, 64, 128]),
    )


def test(model: keras.Model) -> dict[str, float]:
    """How well a model does on the tenth that nothing has been chosen by: `sweep confirm wine --test` calls this."""
    *_, kept = rows()
    apart = model.predict(kept[:, INPUTS], verbose=0)[:, 0] - kept[:, TARGET]
    return {"test mae": float(np.abs(apart).mean()) / spread()}


study = sweep.Study(
    train,
    objective="val_loss",
    direction="minimize",
    trials=40,
    epochs=200,
    seed=3,
    enqueue=[{"family": family, "learning_rate": 0.001, "batch_size": 32} for family in HIDDEN],
)
rows()  # a file that is missing is told here, before any trial

if __name__ == "__main__":
    study.run()
