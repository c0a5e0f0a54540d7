"""The table of docs/values.md: for each way to write `train`, the value, the curve, the kept model and the epochs."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import keras
import numpy as np
import optuna
import pytest

import sweep
from sweep.rundir import weights_files
from tests.train.here import VALIDATION, Gan, X, Y, network
from tests.whole_study import Kept, run_study

TABLE = Path(__file__).parents[1] / "docs" / "values.md"


@dataclass
class Expected:
    """What a row says of its trial.

    Attributes:
        value: what the trial is worth.
        curve: the values by step that Optuna has.
        models: how many models are kept.
        loss: what the kept model that `sweep.load` gives loses on `loss_on`; None where no model is kept.
        epochs: how many the run has.
    """

    value: float | list[float]
    curve: list[float]
    models: int
    loss: float | None
    epochs: int
    loss_on: tuple[Any, Any] = VALIDATION


Row = tuple[Callable[[Any, list[float]], Any], Callable[[Kept, list[float]], Expected], dict[str, Any]]


def losses(kept: Kept, name: str = "val_loss") -> list[float]:
    return [kept.metrics[0][epoch][name] for epoch in sorted(kept.metrics[0])]


def fit(trial, model, **settings):
    """Four epochs at a rate that lets the loss jump about, so that the last epoch is not the best."""
    return sweep.fit(trial, model, X, Y, **{"epochs": 4, "validation_data": VALIDATION, "shuffle": False, **settings})


def one_fit(trial, returned):
    return fit(trial, network(rate=1.0))


def noting(trial, returned):
    returned.append(one_fit(trial, returned))
    return returned[-1]


def with_a_penalty(trial, returned):
    returned.append(fit(trial, network(rate=1.0)) + 100.0)
    return returned[-1]


def folds(trial, returned):
    for number in (1, 2, 3):
        returned.append(fit(trial, network(rate=float(number)), label=f"fold {number} of 3"))
    return sum(returned) / 3


def pretrained(trial, returned):
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3)])
    other.compile("adam", loss="mse")
    sweep.fit(trial, other, X, X, validation_data=(X, X), epochs=2)
    return fit(trial, network(rate=1.0))


def fine_tuned(trial, returned):
    model = network(rate=1.0)
    fit(trial, model)
    model.compile(keras.optimizers.SGD(1e-3), loss="mse", metrics=["mae"])
    return fit(trial, model, epochs=2)


def any_framework(trial, returned):
    epochs = sweep.epochs(trial, 4)
    for epoch in epochs:
        epochs.report({"val_loss": [3.0, 1.0, 2.0, 4.0][epoch]}, {"weights": np.full(3, epoch)})
    return epochs.value


def reporting(trial, returned):
    for step, value in enumerate((3.0, 1.0, 2.0)):
        trial.report(value, step)
    return 7.0


def a_number(trial, returned):
    return 7.0


def gan(trial, returned):
    model = Gan()
    model.compile(keras.optimizers.SGD(0.05), keras.optimizers.SGD(0.2))
    return sweep.fit(trial, model, X, Y, epochs=4, batch_size=60, shuffle=False)


def generator(trial, returned):
    def batches():
        while True:
            yield X[:30], Y[:30]
            yield X[30:], Y[30:]

    model = network(rate=1.0)
    return sweep.fit(trial, model, batches(), steps_per_epoch=2, epochs=4, validation_data=VALIDATION, shuffle=False)


def two_objectives(trial, returned):
    return fit(trial, network(rate=1.0))


def best_of(kept: Kept, returned: list[float]) -> Expected:
    found = losses(kept)
    return Expected(min(found), found, 1, min(found), 4)


ROWS: dict[str, Row] = {
    "one fit": (one_fit, best_of, {}),
    "a penalty or a test score": (
        with_a_penalty,
        lambda kept, returned: Expected(min(losses(kept)) + 100.0, losses(kept), 1, min(losses(kept)), 4),
        {},
    ),
    "k-fold": (
        folds,
        lambda kept, returned: Expected(sum(returned) / 3, losses(kept)[:4], 3, min(losses(kept)[8:]), 12),
        {},
    ),
    "pretraining, then another model": (
        pretrained,
        lambda kept, returned: Expected(min(losses(kept)[2:]), losses(kept)[:2], 2, min(losses(kept)[2:]), 6),
        {},
    ),
    "fine-tuning the same model": (
        fine_tuned,
        lambda kept, returned: Expected(min(losses(kept)[4:]), losses(kept), 1, min(losses(kept)[4:]), 6),
        {},
    ),
    "another framework, with `sweep.epochs`": (
        any_framework,
        lambda kept, returned: Expected(1.0, losses(kept), 1, None, 4),
        {},
    ),
    "plain Optuna with reports": (reporting, lambda kept, returned: Expected(7.0, [3.0, 1.0, 2.0], 0, None, 3), {}),
    "plain Optuna, a number only": (a_number, lambda kept, returned: Expected(7.0, [], 0, None, 0), {}),
    "a GAN with its own `train_step`": (
        gan,
        lambda kept, returned: Expected(min(losses(kept, "distance")), losses(kept, "distance"), 1, None, 4),
        {"objective": "distance"},
    ),
    "a generator or a dataset": (generator, best_of, {}),
    "any of these with `Study(repeats=3)`": (
        noting,
        lambda kept, returned: Expected(fmean(returned), losses(kept), 1, returned[0], 4),
        {"repeats": 3},
    ),
    "several objectives": (
        two_objectives,
        lambda kept, returned: Expected([losses(kept)[-1], losses(kept, "val_mae")[-1]], [], 1, losses(kept)[-1], 4),
        {"objective": ["val_loss", "val_mae"], "direction": ["minimize", "minimize"]},
    ),
}


def test_the_table_has_these_rows_and_no_others():
    text = TABLE.read_text().partition("| how `train` is written")[2]
    rows = re.findall(r"^\| (.+?) \|", text, re.MULTILINE)
    assert [row for row in rows if not row.startswith(("---", "the value"))] == list(ROWS)


@pytest.mark.parametrize("row", ROWS)
def test_a_row_of_the_table_holds(tmp_path, row):
    train, expect, study = ROWS[row]
    returned: list[float] = []
    kept = run_study(lambda trial: train(trial, returned), tmp_path, broken="report", pruner="nop", **study)
    expected, run = expect(kept, returned), kept.run
    assert run.state == "COMPLETE"
    assert (run.values if isinstance(expected.value, list) else run.value) == expected.value
    trial = optuna.load_study(study_name="test", storage=kept.storage).trials[0]
    assert trial.values == run.values
    assert trial.intermediate_values == dict(enumerate(expected.curve))
    if expected.curve:
        assert (run.best, run.last) == (min(expected.curve), expected.curve[-1])
    assert run.epoch == expected.epochs
    assert len(weights_files(Path(run.directory))) == expected.models
    if expected.loss is not None:
        model = sweep.load(run.directory)
        found = float(np.mean((model.predict(VALIDATION[0], verbose=0) - VALIDATION[1]) ** 2))
        assert found == pytest.approx(expected.loss, rel=1e-3)
