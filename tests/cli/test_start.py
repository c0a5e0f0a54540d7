"""What `sweep start` says at the end, and the options it reads."""

import optuna
import pytest

from sweep.cli.start import again
from sweep.options import Settings
from tests.control.started import ONE_EPOCH, Folder
from tests.databases import optunas_own


def test_the_command_that_goes_on_says_what_the_first_one_said(monkeypatch):
    monkeypatch.delenv("SWEEP_STORAGE", raising=False)
    monkeypatch.delenv("SWEEP_LOGDIR", raising=False)
    settings = Settings(
        name="two", epochs=5, timeout=90.0, pruner="median(n_startup_trials=5)", seed=3, fixed={"family": "dnn"}
    )
    assert again("studies/wine.py", settings, 60) == (
        "sweep start studies/wine.py --trials 60 --timeout 90 --epochs 5 --pruner 'median(n_startup_trials=5)' "
        "--seed 3 --name two --set family=dnn"
    )


def test_the_command_that_goes_on_names_a_database_and_log_directory_of_ones_own(monkeypatch):
    monkeypatch.delenv("SWEEP_STORAGE", raising=False)
    monkeypatch.delenv("SWEEP_LOGDIR", raising=False)
    assert (
        again("wine.py", Settings(storage="sqlite:///other.db", logdir="logs"))
        == "sweep start wine.py --logdir logs --storage sqlite:///other.db"
    )


@pytest.mark.slow
def test_trials_that_other_programs_added_leave_a_study_unfinished(tmp_path):
    folder = Folder(tmp_path, ONE_EPOCH, "trials=1, workers=1, seed=7")
    assert folder.start().returncode == 0
    with optunas_own(f"sqlite:///{tmp_path}/sweep.db") as storage:
        theirs = optuna.load_study(study_name="tiny", storage=storage)
        for _ in range(9):
            theirs.add_trial(optuna.create_trial(value=0.25))
    said = folder.start("--trials", "9", "--timeout", "0.000001").stdout
    assert " of 9 trials: " in said
    assert "continues" in said
    assert "trains more" not in said


@pytest.mark.slow
def test_a_study_that_goes_on_says_best_so_far_of_what_is_better_than_all_before(tmp_path):
    body = """
    value = [0.2, 0.5, 0.3, 0.1][trial.number]
    trial.report(value, 0)
    return value
"""
    folder = Folder(tmp_path, body, "trials=2, workers=1, seed=7")
    assert folder.start().returncode == 0
    said = folder.start("--trials", "4").stdout.splitlines()
    assert ["best so far" in line for line in said if line.startswith("complete")] == [False, True]


def test_how_much_a_start_prints(tmp_path):
    folder = Folder(tmp_path, ONE_EPOCH, "trials=2, workers=1, seed=7")
    assert folder.start("--quiet", "--verbose").stderr == "sweep: --quiet and --verbose contradict each other.\n"
    quiet = folder.start("--quiet", "--name", "silent")
    assert (quiet.returncode, quiet.stdout) == (0, "")
    said = folder.start("-v").stdout.splitlines()
    assert len([line for line in said if line.startswith("tiny-x=") and " epoch 1  loss " in line]) == 2
