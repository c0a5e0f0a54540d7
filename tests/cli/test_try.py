"""`sweep try`: two trials before a long run, of which nothing stays."""

import json
import signal
import subprocess
import sys

import pytest

from tests.control.started import PATIENCE, ROOT, Folder, wait_for

GOOD = """
    x = trial.suggest_float("x", -1, 1)
    epochs = sweep.epochs(trial, 12, architecture="1")
    done = epochs.resumed["done"] if epochs.resumed else 0
    for epoch in epochs:
        assert done == epoch, "it continues where it paused"
        done += 1
        epochs.report({"loss": x * x + 1 / done}, {"done": done, "x": __import__("numpy").array([x])})
    return epochs.value
"""
STARTS_OVER = """
    epochs = sweep.epochs(trial, 12, architecture=str(time.time_ns()))
    for epoch in epochs:
        epochs.report({"loss": 1.0}, {"done": epoch})
    return epochs.value
"""
FAILING = """
    x = trial.suggest_float("x", -1, 1)
    if trial.number == 1:
        raise ValueError("a bug of the study file")
    return x
"""
ENDLESS = """
    trial.suggest_float("x", -1, 1)
    open("begun", "w").close()
    while True:
        time.sleep(0.05)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Makes a working directory with a study; its temporary files are apart, so that what stays of them is seen."""
    work, temporary = tmp_path / "w", tmp_path / "t"
    work.mkdir()
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")

    def make(body, settings="trials=30"):
        made = Folder(work, body, settings)
        made.temporary = temporary
        return made

    return make


def nothing_stays(folder):
    there = {path.name for path in folder.path.iterdir()}
    return there <= {"tiny.py", "begun"} and not list(folder.temporary.iterdir())


def test_two_trials_show_what_the_whole_study_will_take_and_nothing_of_them_stays(folder):
    folder = folder(GOOD)
    done = folder.command("try", "tiny.py", "--json", "--workers", "3")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["ok"] is True
    assert [(trial["state"], trial["epochs"]) for trial in found["trials"]] == [("COMPLETE", 2), ("COMPLETE", 2)]
    assert found["paused_and_continued"] is True
    assert found["checkpoint_bytes"] > 0
    assert (found["saved"]["kind"], found["saved"]["checked"]) == (".npz", True)
    assert found["memory_bytes"] > 10**6
    assert found["epoch_seconds"] > 0
    assert found["run_bytes"] > found["epoch_bytes"] > 0
    whole = found["estimate"]
    assert (whole["trials"], whole["trainings"], whole["workers"]) == (30, [12], 3)
    assert whole["most_epochs"] == 360
    assert nothing_stays(folder)


def test_it_is_told_in_words_with_the_command_that_starts_the_study(folder):
    folder = folder(GOOD)
    done = folder.command("try", "tiny.py", "--trials", "9", "--pruner", "asha")
    assert done.returncode == 0, done.stderr
    assert "runs can be paused: one paused after epoch 1 and continued from its checkpoint" in done.stdout
    assert "9 trials of 12 epochs" in done.stdout
    assert "with what asha pauses" in done.stdout
    assert "To start the study: sweep start tiny.py --trials 9 --pruner asha" in done.stdout


def test_a_trial_that_fails_is_shown_with_its_traceback_and_the_exit_status_says_so(folder):
    folder = folder(FAILING)
    done = folder.command("try", "tiny.py")
    assert done.returncode == 1
    assert "failed: ValueError: a bug of the study file" in done.stdout
    assert 'raise ValueError("a bug of the study file")' in done.stdout
    assert "To start the study" not in done.stdout
    assert nothing_stays(folder)


def test_a_trial_that_cannot_continue_from_its_checkpoint_is_broken(folder):
    folder = folder(STARTS_OVER)
    done = folder.command("try", "tiny.py", "--json")
    assert done.returncode == 1, done.stdout
    (broken,) = json.loads(done.stdout)["broken"]
    assert broken["what"].startswith("t0000 did not continue from its checkpoint but began anew, since the network")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_nothing_stays_where_it_is_interrupted(folder, number):
    folder = folder(ENDLESS)
    line = [sys.executable, "-m", "sweep", "try", "tiny.py"]
    with subprocess.Popen(line, cwd=folder.path, env=folder.environment, stderr=subprocess.PIPE) as process:
        try:
            wait_for(lambda: (folder.path / "begun").exists())
            process.send_signal(number)
            assert process.wait(PATIENCE) == 128 + signal.SIGINT
        finally:
            process.kill()
    assert nothing_stays(folder)


def test_a_file_that_is_no_study_is_refused(folder):
    folder = folder(GOOD)
    done = folder.command("try", "nosuch.py")
    assert done.returncode == 2
    assert "No such study file: nosuch.py" in done.stderr


@pytest.mark.slow
@pytest.mark.sample
def test_a_keras_model_is_tried_saved_and_read_back(folder):
    folder = folder(None)
    (folder.path / "tiny.py").write_text((ROOT / "studies" / "diabetes.py").read_text())
    done = folder.command("try", "tiny.py", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["paused_and_continued"] is True
    assert (found["saved"]["kind"], found["saved"]["checked"]) == (".keras", True)
    assert all(how.startswith("Whole epochs as one program") for trial in found["trials"] for how in trial["trained"])
    assert found["estimate"]["trainings"] == [60]
    assert nothing_stays(folder)
