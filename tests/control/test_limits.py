"""What ends a study before it has all its trials: limits that it may be given, and a trial that has seen enough."""

import optuna
import pytest

import sweep
from sweep.errors import StudyError
from tests.control.started import MANY_EPOCHS, ONE_EPOCH, Folder, wait_for

THREE_EPOCHS = """
    x = trial.suggest_float("x", -1, 1)
    for epoch in range(3):
        trial.report(x * x + 1 / (epoch + 1), epoch)
    return x * x
"""
STOPS = """
    x = trial.suggest_float("x", -1, 1)
    if trial.number == 2:
        trial.study.stop()
    return x * x
"""
BETTER_AND_BETTER = """
    x = trial.suggest_float("x", -1, 1)
    return 1 / (trial.number + 1) if trial.number < 4 else 1.0
"""


def ended_at(folder, trials, why, *options):
    """Start a study, and see that it has so many trials, is finished and says why."""
    done = folder.start(*options)
    assert done.returncode == 0, done.stderr
    assert folder.states() == ["COMPLETE"] * trials
    assert f"the study is finished: {why}" in done.stdout
    assert " finished " in folder.command("studies").stdout
    return done


@pytest.mark.parametrize(
    ("body", "options", "trials", "why"),
    [
        (THREE_EPOCHS, ["--budget-epochs", "7"], 3, "its budget of 7 epochs is spent"),
        (
            BETTER_AND_BETTER,
            ["--stop-when", "no better in 3 trials"],
            7,
            "no trial of the last 3 was better than t0003",
        ),
        (ONE_EPOCH, ["--stop-when", "number >= 1 and loss <= 1"], 2, "tiny-x="),
        (STOPS, [], 3, "t0002 called study.stop()"),
    ],
    ids=["epochs", "no better", "condition", "study.stop"],
)
def test_a_limit_ends_a_study_as_if_it_had_all_its_trials(tmp_path, body, options, trials, why):
    folder = Folder(tmp_path, body, "trials=60, workers=1, seed=7")
    done = ended_at(folder, trials, why, *options)
    assert ("trains more" in done.stdout) == ("--budget-epochs" in options)


def test_a_study_that_is_spent_trains_nothing_more_until_its_limit_is_raised(tmp_path):
    folder = Folder(tmp_path, THREE_EPOCHS, "workers=1, seed=7, budget_epochs=80, stop_when='value < 0'")
    first = folder.start("--budget-epochs", "6")
    assert "the study is finished: its budget of 6 epochs is spent" in first.stdout
    assert "[2/6, 6 of 6 epochs]" in first.stdout
    assert "--budget-epochs 12" in first.stdout
    folder.start("--budget-epochs", "6")
    assert len(folder.runs()) == 2
    done = folder.start()  # beyond 20 trials, since nobody says how many
    assert "the study is finished: its budget of 80 epochs is spent" in done.stdout
    assert len(folder.runs()) == 27


def test_a_condition_on_what_there_is_not_is_said_and_ends_nothing(tmp_path):
    folder = Folder(tmp_path, ONE_EPOCH, "trials=3, workers=1, seed=7, stop_when=['val_los < 1', 'x > 2']")
    done = folder.start()
    assert folder.states() == ["COMPLETE"] * 3
    assert done.stdout.count("--stop-when cannot hold so far: No such metric, parameter or property: 'val_los'") == 1


def test_the_timeout_interrupts_a_study_as_ctrl_c_does(tmp_path):
    folder = Folder(tmp_path, MANY_EPOCHS.replace("range(20)", "range(10 ** 6)"), "trials=2, workers=1, seed=7")
    with folder.started("--timeout", "3s") as started:
        status, said = started.end()
    assert status == 0, said
    assert "stopped: its timeout of 3 s is over" in said
    assert folder.states() == ["WAITING"]
    (run,) = folder.runs()
    assert run.interruptions == [f"after {run.epoch} epochs: its timeout of 3 s is over"]
    with folder.started() as started:  # it is run again
        wait_for(lambda: [run.state for run in folder.runs()] == ["RUNNING"])


SLOW = """
    x = trial.suggest_float("x", -1, 1)
    epochs = sweep.epochs(trial, 10 ** 6)
    for epoch in epochs:
        time.sleep(0.05)
        epochs.report({"loss": x * x + 1 / (epoch + 1)}, {"epoch": epoch})
    return epochs.value
"""


def test_a_trial_whose_time_is_over_finishes_with_the_epochs_that_it_has(tmp_path):
    folder = Folder(tmp_path, SLOW, "trials=2, workers=1, seed=7, max_trial_time='1s'")
    done = folder.start()
    assert done.returncode == 0, done.stderr
    assert folder.states() == ["COMPLETE", "COMPLETE"]
    for run in folder.runs():
        assert 0 < run.epoch < 10**6
        assert run.value == run.best
        assert f"{run.name} finishes early: its --max-trial-time of 1 s is over" in done.stdout


def test_an_objective_of_plain_optuna_whose_time_is_over_is_pruned_with_that_reason(tmp_path):
    body = MANY_EPOCHS.replace("range(20)", "range(10 ** 6)")
    folder = Folder(tmp_path, body, "trials=1, workers=1, seed=7")
    assert folder.start("--max-trial-time", "1s").returncode == 0
    (run,) = folder.runs()
    assert (run.state, run.reason) == ("PRUNED", "its --max-trial-time of 1 s is over")


def study_in_this_process(tmp_path, monkeypatch, train, **more):
    monkeypatch.chdir(tmp_path)
    study = sweep.Study(train, objective="loss", direction="minimize", name="here", workers=0, seed=7, **more)
    return study.run(storage="sqlite:///here.db")


def test_python_has_the_same_limits_and_the_last_trial_is_none_too_many(tmp_path, monkeypatch):
    def train(trial):
        trial.suggest_float("x", 0, 1)
        return trial.number

    found = study_in_this_process(tmp_path, monkeypatch, train, trials=50, stop_when="no better in 4 trials")
    assert [trial.state.name for trial in found.trials] == ["COMPLETE"] * 5


def test_what_a_trial_may_know_of_its_study(tmp_path, monkeypatch):
    seen = []

    def train(trial):
        seen.append(trial.study.direction)
        with pytest.raises(AttributeError, match="no best_value here"):
            _ = trial.study.best_value
        trial.study.stop()
        return 1.0

    study_in_this_process(tmp_path, monkeypatch, train)
    assert seen == [optuna.study.StudyDirection.MINIMIZE]


def test_a_study_file_with_a_rule_that_is_none_is_refused():
    with pytest.raises(StudyError, match="stop_when must be a rule, such as 'no better in 20 trials'"):
        sweep.Study(lambda _: 0.0, objective="loss", direction="minimize", stop_when="no better")
