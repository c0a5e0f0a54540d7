"""`sweep confirm`: a study's best runs trained again with fresh seeds, without Keras."""

import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import sweep as sweep_package
from sweep.cli import run as sweep
from sweep.control.repeats import REPEAT
from sweep.control.start import Outcome
from sweep.names import decode
from sweep.options import Cluster
from sweep.store import Store
from sweep.tensorboard.event_files import read
from sweep.tensorboard.hparams import parse_start
from tests.control.started import PATIENCE, Folder, copied_here, wait_for
from tests.databases import optunas_own
from tests.refusals import refusal_of
from tests.store_builder import add_study, build_store, run

STUDY = """
import os, random, time
from pathlib import Path
import numpy as np
import sweep

def train(trial):
    x = trial.suggest_float("x", 0, 1)
    epochs = sweep.epochs(trial)
    noise = random.random()
    for epoch in epochs:
        if Path("hold").exists() and trial.number > 1:
            while Path("hold").exists():
                time.sleep(0.01)
        if Path("broken").exists() and x > 0.5:
            raise ValueError("broken")
        epochs.report({"loss": x + (0.001 + 0.0002 * x) * noise}, {"x": np.array([x, noise])})
    return epochs.value

study = sweep.Study(train, objective="loss", direction="minimize", epochs=2, trials=4, seed=1, pruner="nop",
                    enqueue=[{"x": 0.1}, {"x": 0.2}, {"x": 0.6}, {"x": 0.7}])
"""
TEST = """

def test(state):
    return {"offset": float(state["x"][0] - 0.1), "noise": float(state["x"][1])}
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A study of four runs."""
    path = tmp_path_factory.mktemp("trained")
    (path / "tiny.py").write_text(STUDY)
    folder = Folder(path, None)
    done = folder.start("--workers", "1")
    assert done.returncode == 0, done.stderr
    return path


@pytest.fixture
def folder(trained, tmp_path, monkeypatch):
    """A copy of the study in the working directory."""
    return copied_here(trained, tmp_path, monkeypatch)


def refused(capsys, *words):
    """What a command prints that is refused, in a line."""
    capsys.readouterr()
    assert sweep(words) != 0
    lines = capsys.readouterr().err.splitlines()
    first = next(at for at, line in enumerate(lines) if line.startswith("sweep: "))
    return refusal_of("\n".join(lines[first:]))


def ended(folder):
    """What every repeat gave, by run and repeat."""
    return {(one.repeat_of, one.repeat): one for found in folder.runs() for one in found.repeats}


def test_the_best_runs_are_trained_again_with_the_same_fresh_seeds(folder, capsys):
    trials = folder.trials()
    before = {made.number: (made.value, made.seed) for made in folder.runs()}
    assert sweep(["confirm", "tiny", "--top", "3", "--repeats", "5", "--workers", "1"]) == 0
    out = capsys.readouterr().out
    found = ended(folder)
    assert {number for number, _ in found} == {0, 1, 2}
    assert [repeat for number, repeat in sorted(found) if number == 0] == [1, 2, 3]  # enough for such a difference
    for repeat in (1, 2, 3):
        seeds = {one.seed for (_, at), one in found.items() if at == repeat}
        assert len(seeds) == 1
        assert seeds.isdisjoint(seed for _, seed in before.values())
    assert re.search(r"^t0000: mean 0\.100\d+, sd 0\.000\d+ \(n = 3\)\.$", out, re.MULTILINE)
    assert "Confirmed: t0000 is better than the 2 others (one-sided paired t-tests, Bonferroni" in out
    assert folder.trials() == trials  # Optuna's tables have none of it
    assert {made.number: (made.value, made.seed) for made in folder.runs()} == before


def test_as_many_repeats_train_as_the_noise_demands(folder, capsys):
    """Also where three workers ask at once: those that have nothing to do wait until it is known what to train."""
    assert sweep(["confirm", "tiny", "--workers", "3"]) == 0
    out = capsys.readouterr().out
    trained = [made.n for made in folder.runs()]
    assert trained == [5, 2, 2, 2]
    assert re.search(r"^t0000: mean 0\.100\d+, sd 0\.000\d+ \(n = 5\)\.$", out, re.MULTILINE)
    assert (
        "t0000 is the best of the 4, or within a tenth of the runs' standard deviation of the best, with a probability "
        "of more than 99% by a normal model of seeds."
    ) in out
    assert sweep(["confirm", "tiny", "--workers", "1"]) == 0
    assert "every repeat has been trained" in capsys.readouterr().err
    assert sweep(["confirm", "tiny", "--repeats", "3", "--workers", "1"]) == 0
    assert [made.n for made in folder.runs()] == [5, 3, 3, 3]


def test_a_race_whose_budget_is_spent_says_so_and_how_it_continues(folder, capsys):
    assert sweep(["confirm", "tiny", "--budget", "5", "--workers", "1"]) == 0
    assert len(ended(folder)) == 5
    assert sweep(["confirm", "tiny", "--budget", "8", "--repeats", "1", "--workers", "1"]) == 0
    assert len(ended(folder)) == 5


def test_repeats_have_names_and_directories_of_their_own(folder):
    assert sweep(["confirm", "tiny", "--top", "2", "--repeats", "2", "--workers", "1"]) == 0
    names = {made.number: made.name for made in folder.runs()}
    for (number, repeat), one in ended(folder).items():
        assert one.name == f"{names[number]}r{repeat}"
        assert (decode(one.name).number, decode(one.name).repeat) == (number, repeat)
        directory = Path(one.directory)
        assert directory == folder.path / "runs" / "tiny" / "repeats" / one.name
        assert list(directory.glob("events.out.tfevents.*"))
        assert (one.state, one.epoch) == ("COMPLETE", 2)
        group, params = next(filter(None, (parse_start(event.summary) for event in read(directory))))
        assert (group, params) == (f"{names[number]}r", {"x": [0.1, 0.2][number]})
    assert not list((folder.path / "runs" / "tiny" / "repeats").glob("*.db*"))


def test_more_repeats_go_on_where_the_race_was(folder, capsys):
    words = ["confirm", "tiny", "--top", "2", "--workers", "1"]
    assert sweep([*words, "--repeats", "2"]) == 0
    first = ended(folder)
    assert sweep([*words, "--repeats", "4"]) == 0
    assert {key: one for key, one in ended(folder).items() if key in first} == first
    assert len(ended(folder)) > len(first) == 4
    capsys.readouterr()
    assert sweep([*words, "--repeats", "4"]) == 0
    assert "every repeat has been trained" in capsys.readouterr().err


def test_the_files_that_the_study_was_trained_with_are_used(folder):
    (folder.path / "tiny.py").write_text("raise SystemExit")
    assert sweep(["confirm", "tiny", "--top", "2", "--repeats", "1", "--workers", "1"]) == 0
    assert len(ended(folder)) == 2


def test_the_limits_of_the_study_are_not_for_its_repeats(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SWEEP_STORAGE", raising=False)
    limits = 'budget_epochs=4, stop_when="loss < 1", timeout=3600, trials=4'
    (tmp_path / "tiny.py").write_text(STUDY.replace("trials=4", limits))
    folder = Folder(tmp_path, None)
    assert folder.start("--workers", "1", "--stop-when", "loss < 0.15", "--enqueue", "x=0.3").returncode == 0
    before = folder.runs()
    assert sweep(["confirm", "tiny", "--repeats", "3", "--workers", "1"]) == 0
    assert len(ended(folder)) == 3 * len(before)
    assert len(folder.runs()) == len(before)


def test_a_run_whose_repeat_fails_is_out_and_is_trained_no_further(folder, capsys):
    (folder.path / "broken").touch()
    assert sweep(["confirm", "tiny", "--top", "4", "--repeats", "3", "--workers", "1"]) == 0
    printed = capsys.readouterr()
    found = ended(folder)
    assert [(key, found[key].state) for key in sorted(found) if key[0] > 1] == [((2, 1), "FAIL"), ((3, 1), "FAIL")]
    assert found[2, 1].value is None
    assert "t0002 is out: it failed" in printed.err
    assert "t0002 is out: its repeat 1 gave no number (ValueError: broken" in printed.out
    (folder.path / "broken").unlink()
    assert sweep(["confirm", "tiny", "--top", "4", "--repeats", "3", "--workers", "1", "--retry-failed"]) == 0
    assert "2 repeats that failed will be trained again" in capsys.readouterr().err
    assert [ended(folder)[number, 1].state for number in range(4)] == ["COMPLETE"] * 4


def test_a_dry_run_trains_nothing(folder, capsys):
    assert sweep(["confirm", "tiny", "--top", "2", "--dry-run"]) == 0
    printed = capsys.readouterr()
    assert [line.partition(",")[0] for line in printed.out.splitlines()] == [
        made.name for made in folder.runs() if made.number < 2
    ]
    assert "would train 4 to 20 trainings, more where seeds matter more: 8 to 40 epochs" in printed.err
    assert not ended(folder)
    assert not (folder.path / "runs" / "tiny" / "repeats").exists()
    assert sweep(["confirm", "tiny", "--top", "2", "--repeats", "5", "--dry-run"]) == 0
    assert "would train 10 trainings at most: 20 epochs" in capsys.readouterr().err
    assert sweep(["confirm", "tiny", "--top", "2", "--repeats", "5", "--dry-run", "--json"]) == 0
    planned = json.loads(capsys.readouterr().out)
    assert [(one["number"], one["trainings"]) for one in planned["candidates"]] == [(0, 5), (1, 5)]
    assert (planned["trainings"], planned["epochs"]) == (10, 20)


def test_repeats_train_where_the_options_say_as_trials_do(folder, monkeypatch, capsys):
    """On a real cluster: tests/cluster/test_confirm_on_ray.py."""
    found = []

    def start_file(_file, settings, *_more):
        found.append(settings)
        return Outcome(None, None, [], "Ctrl-C", signal.SIGINT, None)

    monkeypatch.setattr("sweep.control.repeats.start_file", start_file)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    words = ["--workers", "7", "--on", "ray", "--address", "head:6379", "--resource", "big=2", "--gpus-per-worker", "1"]
    assert sweep(["confirm", "tiny", "--top", "2", *words]) == 130
    assert found[0].workers == 7
    assert found[0].cluster == Cluster("head:6379", gpus=1.0, resources={"big": 2.0})
    again = capsys.readouterr().err.strip().rpartition("Continue with: ")[2].splitlines()[0]
    assert sweep(shlex.split(again)[1:]) == 130
    assert (found[1].workers, found[1].cluster) == (found[0].workers, found[0].cluster)
    assert sweep(["confirm", "tiny", "--gpus", "2,3", "--per-gpu", "2"]) == 130
    assert (found[2].workers, found[2].gpus, found[2].per_gpu) == (None, ("2", "3"), 2)
    assert "--address applies only to a Ray cluster. Add --on ray." in refused(
        capsys, "confirm", "tiny", "--address", "head:6379"
    )


def confirming(folder, *words):
    return subprocess.Popen(
        [sys.executable, "-m", "sweep", "confirm", "tiny", "--top", "2", "--repeats", "5", "--workers", "1", *words],
        cwd=folder.path,
        env=folder.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_race_that_was_stopped_or_killed_goes_on_where_it_was(folder, how):
    (folder.path / "hold").touch()  # two repeats end, the third waits
    process = confirming(folder)
    try:
        wait_for(lambda: len(ended(folder)) == 2)
        first = ended(folder)
        process.send_signal(how)
        (folder.path / "hold").unlink()
        out, _ = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert "Continue with: sweep confirm tiny --top 2 --repeats 5 --workers 1" in out
        assert list((folder.path / "runs" / "tiny" / "repeats").glob("*.db"))
    assert len(ended(folder)) < 10
    assert sweep(["confirm", "tiny", "--top", "2", "--repeats", "5", "--workers", "1"]) == 0
    found = ended(folder)
    assert {key: found[key] for key in first} == first
    assert len({one.name for one in found.values()}) == len(found) >= 6
    assert len({(one.repeat, one.seed) for one in found.values()}) == len({one.repeat for one in found.values()})
    assert len(folder.trials()) == 4


def test_what_ended_while_the_table_could_not_be_written_is_found_again(folder, monkeypatch):
    """As after a kill between the end of a repeat and its row."""
    monkeypatch.setattr("sweep.control.repeats.Recorder.ended", lambda *_: None)
    assert sweep(["confirm", "tiny", "--top", "2", "--repeats", "2", "--workers", "1"]) == 0
    assert sorted(ended(folder)) == [(0, 1), (0, 2), (1, 1), (1, 2)]


def test_the_study_of_repeats_knows_which_run_each_trial_repeats_and_one_process_trains_them(folder, capsys):
    (folder.path / "hold").touch()
    process = confirming(folder)
    try:
        wait_for(lambda: len(ended(folder)) == 2)
        (place,) = (folder.path / "runs" / "tiny" / "repeats").glob("*.db")
        with optunas_own(f"sqlite:///{place}") as storage:
            (study_id,) = (study._study_id for study in storage.get_all_studies())
            repeated = [trial.user_attrs[REPEAT] for trial in storage.get_all_trials(study_id)]
        assert repeated[:3] == [[0, 1], [1, 1], [0, 2]]
        refusal = refused(capsys, "confirm", "tiny", "--top", "2", "--workers", "1")
        assert f"Another process is training repeats of study tiny, process {process.pid} on " in refusal
    finally:
        process.send_signal(signal.SIGINT)
        (folder.path / "hold").unlink()
        process.communicate(timeout=PATIENCE)


def test_the_winner_is_tested_once_for_each_repeat(folder, capsys):
    words = ["confirm", "tiny", "--top", "2", "--repeats", "3", "--workers", "1"]
    assert "has no function test(model)" in refused(capsys, *words, "--test")
    (folder.path / "tiny.py").write_text(STUDY + TEST)
    assert sweep([*words, "--test"]) == 0
    printed = capsys.readouterr()
    assert "test(model) is that of tiny.py as it is today" in printed.err
    assert "offset of t0000: mean 0, sd 0 (n = 3), on data that no choice has seen" in printed.out
    found = ended(folder)
    noises = [found[0, repeat].test["noise"] for repeat in (1, 2, 3)]
    assert len(set(noises)) == 3
    assert all(one.test is None for (number, _), one in found.items() if number == 1)
    (folder.path / "tiny.py").write_text(STUDY + TEST.replace("- 0.1", ""))
    assert sweep([*words, "--test"]) == 0  # each was tested already
    assert "offset of t0000: mean 0, sd 0 (n = 3)" in capsys.readouterr().out


@pytest.mark.slow  # loads Keras; the other refusals are decided in tests/test_held_out.py
def test_a_test_that_fails_is_named_with_its_repeat(folder, capsys):
    (folder.path / "tiny.py").write_text(f"{STUDY}\ndef test(state):\n    return 1 / 0\n")
    words = ["confirm", "tiny", "--top", "2", "--repeats", "1", "--workers", "1", "--test"]
    refusal = "test(model) failed for tiny-x=0.1-t0000r1: ZeroDivisionError: division by zero"
    assert refusal in refused(capsys, *words)


def test_the_confirmed_run_is_named_everywhere(folder, capsys):
    """The noise of the second run's own training is taken away, so that its value is the best."""
    store = Store(folder.url)
    study = store.study("tiny")
    assert sweep(["confirm", "tiny", "--top", "2", "--repeats", "5", "--workers", "1"]) == 0
    with store.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE sweep_runs SET \"values\" = '[0.01]' WHERE number = 1")
    store.close()
    capsys.readouterr()
    assert sweep(["best", "tiny"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[1].startswith("★  t0001")
    assert "By fresh seeds t0000 is the best: mean 0.100" in out
    assert "It is tiny:confirmed in sweep.load, --from and sweep best." in out
    assert sweep(["best", "tiny:confirmed"]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("★  t0000")
    assert sweep(["best", "tiny:confirmed", "--json"]) == 0
    first, second = json.loads(capsys.readouterr().out)
    assert (first["number"], first["n"], len(first["repeats"])) == (0, 3, 3)
    assert first["mean"] < second["mean"]
    assert np.isclose(sweep_package.load(f"{study.name}:confirmed")["x"][0], 0.1)
    assert np.isclose(sweep_package.load(f"{study.name}:best")["x"][0], 0.2)
    repeat = folder.runs()[0].repeats[1]
    state = sweep_package.load(repeat.name)
    assert state["x"][1] != sweep_package.load(f"{study.name}:confirmed")["x"][1]
    assert np.array_equal(sweep_package.load(repeat.directory)["x"], state["x"])
    assert sweep(["best", "tiny:confirmed", "--save", "best.npz"]) == 0
    assert "best.npz is the state of tiny-x=0.1-t0000" in capsys.readouterr().out
    assert sweep(["runs", "tiny", "--where", "n = 3 and mean < 0.15", "--sort", "mean", "--json"]) == 0
    assert [found["number"] for found in json.loads(capsys.readouterr().out)] == [0]
    assert sweep(["show", "tiny", "0"]) == 0
    out = capsys.readouterr().out
    assert "fresh seeds" in out
    assert "repeats" in out
    done = folder.start("--name", "next", "--trials", "1", "--from", "tiny:confirmed")
    assert done.returncode == 0, done.stderr
    assert folder.runs("next")[0].params == {"x": 0.1}


def test_removing_a_run_removes_its_repeats_and_a_copy_has_them(folder, capsys):
    assert sweep(["confirm", "tiny", "--top", "2", "--repeats", "2", "--workers", "1"]) == 0
    repeats = folder.path / "runs" / "tiny" / "repeats"
    assert sweep(["db", "copy", "sqlite:///sweep.db", "sqlite:///other.db"]) == 0
    there = Store(f"sqlite:///{folder.path}/other.db")
    copied = there.runs(there.study("tiny").study_id)
    assert [found.repeats for found in copied] == [found.repeats for found in folder.runs()]
    there.close()
    (folder.path / "other.db").unlink()
    assert sweep(["rm", "tiny", "1", "--yes"]) == 0
    assert sorted(ended(folder)) == [(0, 1), (0, 2)]
    assert sorted(decode(path.name).number for path in repeats.glob("tiny-*")) == [0, 0]
    assert sweep(["rm", "tiny", "--yes"]) == 0
    assert not (folder.path / "runs" / "tiny").exists()
    store = Store(folder.url)
    with store.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT COUNT(*) FROM sweep_repeats").scalar() == 0
    store.close()


def test_a_study_whose_folder_is_gone_is_refused(folder, capsys):
    shutil.move("runs", "elsewhere")
    refusal = refused(capsys, "confirm", "tiny", "--top", "2")
    assert f"The folder of study tiny is gone: {folder.path}/runs/tiny." in refusal
    assert not (folder.path / "runs").exists()


def test_the_end_of_a_study_suggests_the_command(folder):
    done = folder.start("--trials", "5", "--workers", "1")
    assert "  sweep confirm tiny" in done.stdout


def test_what_cannot_be_confirmed_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    store = build_store(tmp_path)
    add_study(store, "empty", runs=[run(0, state="FAIL")])
    add_study(store, "imported", runs=[run(0, 0.5)])
    add_study(store, "both", runs=[run(0, 0.5)], objective=["a", "b"], direction=["minimize", "minimize"])
    store.close()
    assert "Study empty has no complete run yet, so there is nothing to confirm." in refused(capsys, "confirm", "empty")
    assert "Cannot repeat dnn-lr=0.001-bs=32-t0000: no snapshot of its study file was kept." in refused(
        capsys, "confirm", "imported"
    )
    assert "several objectives" in refused(capsys, "confirm", "both")
    assert "No run of study imported has been confirmed." in refused(capsys, "best", "imported:confirmed")
