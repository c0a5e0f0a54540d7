"""The weights that a run keeps, and `sweep.load`, which gives the model back."""

from pathlib import Path

import keras
import numpy as np
import pytest

import sweep
from sweep.errors import StudyError
from tests.train.here import VALIDATION, Line, X, Y, network, run_study


def fit(trial, model=None, **settings):
    trial.suggest_float("x", 0, 1)
    return sweep.fit(trial, model or network(rate=1.0), X, Y, validation_data=VALIDATION, **{"epochs": 6, **settings})


def test_the_model_of_the_best_epoch_comes_back_by_name(tmp_path):
    kept = run_study(fit, tmp_path)
    assert kept.run.best_epoch != 5, "the last epoch must not be the best one for this test to say anything"
    model = sweep.load(kept.run.name, storage=kept.storage)
    loss, _ = model.evaluate(*VALIDATION, verbose=0)
    assert loss == pytest.approx(kept.run.best, rel=1e-5)


def test_a_run_is_also_named_by_its_directory_and_may_be_of_the_last_epoch(tmp_path):
    kept = run_study(fit, tmp_path, value="last")
    model = sweep.load(kept.run.directory)
    assert model.evaluate(*VALIDATION, verbose=0)[0] == pytest.approx(kept.run.last, rel=1e-5)


def test_a_class_of_ones_own_takes_the_weights_into_a_model_that_is_given(tmp_path):
    def train(trial):
        model = Line()
        model.compile("sgd", loss="mse")
        return fit(trial, model)

    kept = run_study(train, tmp_path)
    with pytest.raises(StudyError, match=r"sweep\.load\('line-x=.*', model=model\)"):
        sweep.load(kept.run.directory)
    model = Line()
    model.compile("sgd", loss="mse")
    model(X[:1])
    sweep.load(kept.run.directory, model=model)
    assert model.evaluate(*VALIDATION, verbose=0) == pytest.approx(kept.run.best, rel=1e-5)
    with pytest.raises(StudyError, match="must have the run's weights"):
        sweep.load(kept.run.directory, model=network())


def test_what_is_not_there_is_said(tmp_path):
    kept = run_study(fit, tmp_path, settings={"keep": "none"})
    with pytest.raises(StudyError, match="weights that a run has kept"):
        sweep.load(kept.run.name, storage=kept.storage)
    with pytest.raises(StudyError, match="the name of one run"):
        sweep.load("mlp-x=1-t0099", storage=kept.storage)


def test_only_the_best_runs_keep_theirs(tmp_path):
    def train(trial):
        trial.suggest_float("x", 0, 1)
        rate = [1e-5, 1e-2, 1e-3, 1e-4][trial.number]
        return fit(trial, network(rate=rate))

    kept = run_study(train, tmp_path, trials=4, settings={"keep": "best:2"})
    ranked = sorted(kept.runs, key=lambda run: run.best)
    have = {run.number for run in kept.runs if (Path(run.directory) / "weights.npz").exists()}
    assert have == {run.number for run in ranked[:2]}


def test_a_failed_run_keeps_none_and_a_pruned_one_does(tmp_path):
    def train(trial):
        fit(trial)
        raise ValueError("afterwards")

    kept = run_study(train, tmp_path)
    assert kept.run.state == "FAIL"
    assert not (Path(kept.run.directory) / "weights.npz").exists()

    def broken(trial):
        ends = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: logs.update(loss=float("nan")) if epoch == 2 else None
        )
        return fit(trial, callbacks=[ends])

    pruned = run_study(broken, tmp_path, name="pruned")
    assert pruned.run.state == "PRUNED"
    model = sweep.load(pruned.run.directory)
    assert np.isfinite(model.predict(X, verbose=0)).all()


@pytest.mark.parametrize("wrong", ["best", "best:0", "some", "best:-1", ""])
def test_what_to_keep_is_one_of_three(tmp_path, wrong):
    with pytest.raises(StudyError, match="best:N, all or none"):
        run_study(fit, tmp_path, settings={"keep": wrong})
    assert list(tmp_path.iterdir()) == []


def test_of_several_objectives_there_is_no_best(tmp_path):
    with pytest.raises(StudyError, match="one objective"):
        run_study(
            fit,
            tmp_path,
            objective=["val_loss", "val_mae"],
            direction=["minimize", "minimize"],
            settings={"keep": "best:2"},
        )
