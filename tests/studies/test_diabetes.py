"""studies/diabetes.py, the shortest good example."""

import hashlib
import json
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from sweep.study_file import load
from tests.studies.test_sweeps import sweep

FILE = Path(__file__).parents[2] / "studies" / "diabetes.py"


@pytest.fixture(scope="module")
def study():
    return load(FILE)


def test_it_is_short_enough_to_be_read_at_once():
    assert len(FILE.read_text().splitlines()) < 45


def test_it_declares_thirty_trials_of_sixty_epochs(study):
    declared = study.declaration()
    assert (declared.name, declared.trials, declared.epochs) == ("diabetes", 30, 60)
    assert (declared.objective, declared.direction) == (["val_loss"], ["minimize"])


def test_its_rows_are_loaded_once_as_they_are_measured(study):
    data = study.train.__globals__["data"]
    x, y, x_val, y_val = data()
    assert data() is data()
    assert [part.shape for part in (x, y, x_val, y_val)] == [(353, 10), (353, 1), (89, 10), (89, 1)]
    assert {part.dtype for part in (x, y, x_val, y_val)} == {np.dtype("float32")}
    assert 40 < x[:, 0].mean() < 60, "years"


@pytest.mark.slow
@pytest.mark.sample
def test_its_saved_model_takes_raw_rows_and_its_record_leads_back_to_the_run(study, tmp_path):
    x, _, x_val, y_val = study.train.__globals__["data"]()
    start = ["start", FILE, "--trials", 2, "--epochs", 4, "--workers", 1, "--pruner", "nop"]
    sweep(tmp_path, *start)
    sweep(tmp_path, "best", "diabetes", "--save", "x.keras")
    (best,) = json.loads(sweep(tmp_path, "best", "diabetes", "-n", 1, "--json"))
    model = keras.models.load_model(tmp_path / "x.keras")
    deviation = study.train.__globals__["data"]()[1].std()
    apart = np.abs(model.predict(x_val, verbose=0) - y_val).mean() / deviation
    assert apart == pytest.approx(best["value"], rel=1e-4)
    found = json.loads((tmp_path / "x.json").read_text())
    assert (found["run"], found["value"], found["params"]) == (best["name"], best["value"], best["params"])
    assert found["inputs"] == [{"name": model.inputs[0].name, "shape": [None, x.shape[1]], "dtype": "float32"}]
    assert found["model"]["sha256"] == hashlib.sha256((tmp_path / "x.keras").read_bytes()).hexdigest()
    model.export(str(tmp_path / "served"), verbose=False)
    served = tf.saved_model.load(str(tmp_path / "served"))  # which TensorFlow does not keep by itself
    np.testing.assert_allclose(served.serve(x_val), model.predict(x_val, verbose=0), rtol=1e-4)
