"""A study with a sampler and a pruner of the user's own, which the coordinator imports, or with Optuna's as objects."""

import pytest

from tests.control.started import MANY_EPOCHS, ONE_EPOCH, Folder

MINE = """
import os
from pathlib import Path

import optuna

class Mine(optuna.samplers.RandomSampler):
    def __init__(self, low, seed=None):
        super().__init__(seed)
        self._low = low
        Path(f"imported-{os.getpid()}").touch()

    def sample_independent(self, study, trial, name, distribution):
        return self._low + len(study.get_trials(states=[optuna.trial.TrialState.COMPLETE])) / 100

class From(optuna.pruners.BasePruner):
    def __init__(self, step, number):
        self._step, self._number = step, number

    def prune(self, study, trial):
        return trial.number >= self._number and trial.last_step >= self._step

class Fails(Mine):
    def sample_independent(self, study, trial, name, distribution):
        raise ValueError("there is no such\\nvalue")
"""
SETTINGS = "trials=4, workers=1, seed=7, sampler='mine:Mine(low=0.25)'"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "mine.py").write_text(MINE)
    return lambda body, settings: Folder(tmp_path, body, settings)


def test_the_coordinator_imports_what_is_named_and_a_study_continues_with_it(folder, tmp_path):
    study = folder(ONE_EPOCH, SETTINGS)
    assert study.start("--trials", "2").returncode == 0
    done = study.start()
    assert done.returncode == 0, done.stderr
    assert [trial.params["x"] for trial in study.trials()] == [0.25, 0.26, 0.27, 0.28]
    assert len(list(tmp_path.glob("imported-*"))) == 2, "by each coordinator, and by no worker"
    for command in ("runs", "show", "studies", "best"):
        read = study.command(command, *(["0"] if command == "show" else []))
        assert read.returncode == 0, read.stderr
    assert len(list(tmp_path.glob("imported-*"))) == 2, "reading a study imports nothing"


def test_a_pruner_of_ones_own_stops_runs_and_is_named_in_the_reason(folder):
    study = folder(MANY_EPOCHS, "trials=3, workers=1, seed=7")
    file = study.path / "tiny.py"
    file.write_text(file.read_text().replace('pruner="nop"', "pruner='mine:From(step=2, number=1)'"))
    done = study.start()
    assert done.returncode == 0, done.stderr
    assert study.states() == ["COMPLETE", "PRUNED", "PRUNED"]
    assert [run.epoch for run in study.runs()] == [20, 3, 3]
    assert study.runs()[1].why.startswith("From: loss ")
    assert study.command("show", "1").returncode == 0


def test_a_sampler_that_raises_ends_the_study_with_what_it_said(folder):
    study = folder(ONE_EPOCH, "trials=2, workers=1, seed=7")
    done = study.start("--sampler", "mine:Fails(1.0)")
    assert done.returncode == 2
    assert "The sampler mine:Fails(1.0) failed: ValueError: there is no such value" in done.stderr


def test_a_class_of_the_study_file_is_refused_by_name_and_as_an_object(folder):
    study = folder(ONE_EPOCH, "trials=2, workers=1, seed=7")
    done = study.start("--sampler", "tiny:Mine()")
    assert done.returncode == 2
    assert "tiny:Mine() is in the study file, which only workers import." in done.stderr
    file = study.path / "tiny.py"
    file.write_text("import optuna\nclass Mine(optuna.samplers.RandomSampler): pass\n" + file.read_text())
    file.write_text(file.read_text().replace("trials=2", "sampler=Mine(), trials=2"))
    done = study.start()
    assert done.returncode == 2
    assert 'sampler="MODULE:Mine(...)"' in done.stderr
    assert not (study.path / "sweep.db").exists()


def test_an_object_of_optunas_steers_as_its_text_does(tmp_path):
    studies = {
        "text": "trials=14, workers=1, seed=7, sampler='tpe(n_startup_trials=3)'",
        "object": "trials=14, workers=1, seed=7, sampler=optuna.samplers.TPESampler(n_startup_trials=3)",
    }
    found = {}
    for name, settings in studies.items():
        (tmp_path / name).mkdir()
        study = Folder(tmp_path / name, ONE_EPOCH, settings)
        assert study.start("--trials", "8").returncode == 0
        assert study.start().returncode == 0
        found[name] = [trial.params for trial in study.trials()]
    assert len(found["text"]) == 14
    assert found["object"] == found["text"]
