"""`sweep confirm` on a study of Keras: its repeats keep models, which the study file's `test` measures."""

import pytest

import sweep as sweep_package
from sweep.cli import run as sweep
from sweep.study_file import import_file
from tests.control.started import Folder

pytestmark = [pytest.mark.slow, pytest.mark.sample]

STUDY = """
import keras
import numpy as np
import sweep

x = np.random.default_rng(0).normal(size=(64, 3)).astype("float32")
y = x @ np.array([[1.0], [2.0], [3.0]], "float32")

def train(trial):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(trial.suggest_float("lr", 1e-3, 1e-1, log=True)), loss="mse")
    return sweep.fit(trial, model, x[:32], y[:32], validation_data=(x[32:48], y[32:48]), batch_size=8)

def test(model):
    return float(np.square(model.predict(x[48:], verbose=0) - y[48:]).mean())

study = sweep.Study(train, objective="val_loss", direction="minimize", epochs=3, trials=3, seed=1, workers=1)
"""


def test_the_models_of_the_winners_repeats_are_tested(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SWEEP_STORAGE", raising=False)
    (tmp_path / "tiny.py").write_text(STUDY)
    folder = Folder(tmp_path, None)
    done = folder.start()
    assert done.returncode == 0, done.stderr
    assert sweep(["confirm", "tiny", "--top", "2", "--repeats", "2", "--test"]) == 0
    winner, *_ = sorted((found for found in folder.runs() if found.n), key=lambda found: found.mean)
    assert [found.repeat for found in winner.repeats] == [1, 2]
    measured = {found.repeat: found.test["test"] for found in winner.repeats}
    assert len(set(measured.values())) == 2
    assert f"test of t{winner.number:04d}: mean " in capsys.readouterr().out
    file = import_file(tmp_path / "tiny.py")  # which draws the same rows
    for found in winner.repeats:
        assert file.test(sweep_package.load(found.directory)) == pytest.approx(measured[found.repeat])
