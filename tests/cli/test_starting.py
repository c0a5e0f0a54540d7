"""What `sweep start` says at the end, and the options it reads."""

import pytest

from sweep.cli.start import seconds
from sweep.cli.starting import CommandLine
from sweep.control.opening import Settings
from sweep.errors import StudyError
from tests.control.started import Folder


@pytest.mark.parametrize(
    ("text", "expected"), [("90", 90.0), ("90s", 90.0), ("10m", 600.0), ("1.5h", 5400.0), ("2d", 172800.0)]
)
def test_a_time_is_a_number_with_its_unit(text, expected):
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "m", "-1", "0", "1x", "nan", "inf", "1 2"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(StudyError, match="a time is a number above 0"):
        seconds(text)


def test_the_command_that_goes_on_says_what_the_first_one_said(monkeypatch):
    monkeypatch.delenv("SWEEP_STORAGE", raising=False)
    monkeypatch.delenv("SWEEP_LOGDIR", raising=False)
    settings = Settings(name="two", epochs=5, timeout=90.0, pruner="median(n_startup_trials=5)", seed=3)
    line = CommandLine("studies/wine.py", settings, ["family=dnn"])
    assert line.again(trials=60) == (
        "sweep start studies/wine.py --trials 60 --timeout 90 --epochs 5 --pruner 'median(n_startup_trials=5)' "
        "--seed 3 --name two --set family=dnn"
    )


def test_the_command_that_goes_on_names_a_database_and_log_directory_of_ones_own(monkeypatch):
    monkeypatch.delenv("SWEEP_STORAGE", raising=False)
    monkeypatch.delenv("SWEEP_LOGDIR", raising=False)
    line = CommandLine("wine.py", Settings(storage="sqlite:///other.db", logdir="logs"), [])
    assert line.again() == "sweep start wine.py --logdir logs --storage sqlite:///other.db"


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
