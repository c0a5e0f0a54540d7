"""Trials that are trained with several seeds, in processes: what stays through kills, Ctrl-C and another start."""

import json
import signal

import pytest

from sweep.control.consistency import check_database
from sweep.names import decode
from sweep.store import Store
from sweep.tensorboard import hparams
from sweep.tensorboard.event_files import read
from tests.control.started import Folder, wait_for
from tests.whole_study import scalars

SEEDED = """
    x = trial.suggest_float("x", -1, 1)
    epochs = sweep.epochs(trial, 4)
    noise = epochs.resumed["noise"] if epochs.resumed else random.random()
    for epoch in epochs:
        time.sleep(SECONDS)
        epochs.report({"loss": x * x + noise + 1 / (epoch + 1)}, {"noise": noise})
    return epochs.value
"""


def seeded(path, settings="trials=4, workers=2, seed=7, repeats=3", seconds=0.0, storage=None):
    body = "\n    import random" + SEEDED.replace("SECONDS", str(seconds))
    return Folder(path, body, settings, storage=storage)


def values_of(folder):
    return {run.number: [(one.repeat, one.seed, one.value) for one in run.of_value] for run in folder.runs()}


def is_whole(folder, trials=4):
    """Whether each trial was trained with three seeds, whose mean is its value, and nothing is inconsistent."""
    runs = folder.runs()
    store = Store(folder.url)
    try:
        wrong = check_database(store)
    finally:
        store.close()
    assert wrong == []
    assert [run.state for run in runs] == ["COMPLETE"] * trials
    for run in runs:
        assert [one.repeat for one in run.of_value] == [1, 2, 3]
        assert run.value == pytest.approx(sum(one.value for one in run.of_value) / 3)
        assert [one.state for one in run.of_value] == ["COMPLETE"] * 3
        assert run.of_value[0].seed == run.seed
    assert len({one.seed for run in runs for one in run.of_value[1:]}) == 2, "the same for every trial"
    return True


def test_each_trial_is_trained_with_three_seeds_and_its_value_is_the_mean(tmp_path, storage_url):
    folder = seeded(tmp_path, storage=storage_url)
    done = folder.start()
    assert done.returncode == 0, done.stderr
    assert is_whole(folder)


def test_tensorboard_has_the_mean_as_the_trials_value_and_a_run_for_each_other_seed(tmp_path):
    folder = seeded(tmp_path, "trials=1, workers=1, seed=7, repeats=3")
    assert folder.start().returncode == 0
    (run,) = folder.runs()
    directory = tmp_path / "runs" / "tiny"
    assert list(scalars(directory / run.name, "value").values()) == [pytest.approx(run.value)]
    assert len(scalars(directory / run.name, "loss")) == 4
    first, second, third = run.of_value
    assert (first.name, decode(second.name).repeat, decode(third.name).repeat) == (run.name, 2, 3)
    for one in (second, third):
        assert list(scalars(directory / "repeats" / one.name, "value").values()) == [pytest.approx(one.value)]
    ends = [hparams.parse_end(event.summary) for event in read(directory / run.name)]
    assert [end for end in ends if end] == ["SUCCESS"]


def test_a_coordinator_that_is_killed_trains_what_is_missing_and_nothing_twice(tmp_path):
    folder = seeded(tmp_path, seconds=0.05)
    with folder.started() as started:
        wait_for(lambda: sum(len(run.of_value) for run in folder.runs()) >= 4)
        before = values_of(folder)
        started.kill()
    assert folder.start().returncode == 0
    assert is_whole(folder)
    after = values_of(folder)
    for number, ended in before.items():
        assert after[number][: len(ended)] == ended


def test_ctrl_c_leaves_trials_that_wait_for_their_other_seeds(tmp_path):
    folder = seeded(tmp_path, seconds=0.05)
    with folder.started() as started:
        wait_for(lambda: any(run.of_value for run in folder.runs()))
        started.send(signal.SIGINT)
        started.end()
    assert {run.state for run in folder.runs()} <= {"WAITING", "COMPLETE"}
    assert folder.start().returncode == 0
    assert is_whole(folder)


def test_a_study_keeps_the_number_of_its_seeds(tmp_path):
    folder = seeded(tmp_path, "trials=1, workers=1, seed=7")
    assert folder.start("--repeats", "2").returncode == 0
    more = folder.start("--trials", "2")
    assert more.returncode == 0, more.stderr
    assert [len(run.of_value) for run in folder.runs()] == [2, 2]
    refused = folder.start("--trials", "3", "--repeats", "3")
    assert refused.returncode != 0
    assert "Study tiny trains each trial with 2 seeds, not 3" in refused.stderr


def test_confirm_trains_seeds_that_are_no_part_of_the_values(tmp_path):
    folder = seeded(tmp_path)
    assert folder.start().returncode == 0
    before = values_of(folder)
    done = folder.command("confirm", "tiny", "--top", "2", "--repeats", "3", "--json")
    assert done.returncode == 0, done.stderr
    race = json.loads(done.stdout)
    assert values_of(folder) == before
    raced = [run for run in folder.runs() if run.fresh]
    assert {run.number for run in raced} == {one["number"] for one in race["candidates"]}
    for run in raced:
        assert [one.repeat for one in run.fresh] == [4, 5, 6]
        assert not {one.seed for one in run.fresh} & {one.seed for one in run.of_value}
        assert run.n == 3


def test_a_run_is_trained_again_with_its_own_seed_alone(tmp_path):
    folder = seeded(tmp_path, "trials=1, workers=1, seed=7, repeats=3")
    assert folder.start().returncode == 0
    again = folder.command("rerun", "tiny", "t0000")
    assert again.returncode == 0, again.stdout + again.stderr
    assert len(values_of(folder)[0]) == 3
