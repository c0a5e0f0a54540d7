"""Studies and runs that are removed: whoever is killed meanwhile, and whatever other programs do afterwards."""

import shutil
from pathlib import Path

import optuna
import pytest
import sqlalchemy as sa
from optuna.trial import TrialState

from sweep.control import removal
from sweep.control.consistency import check_database
from sweep.control.copy import copy_study
from sweep.control.removal import finish_removals, remove_runs, remove_study, runs_to_remove
from sweep.errors import StudyError
from sweep.store import DELETED, Store, tables
from sweep.store.lease import new_owner
from tests.control.workers import a_house
from tests.databases import optunas_own


class Killed(BaseException):
    """Stands for SIGKILL."""


@pytest.fixture
def store(tmp_path, storage_url):
    """A study of four trials, one of them pruned, whose runs have folders; another study beside it."""
    train(tmp_path, storage_url, 4)
    with a_house(tmp_path, storage_url, name="other") as house:
        house.worker("0").train()
    for name in ("study", "other"):
        (tmp_path / "runs" / name / "workers").mkdir(parents=True, exist_ok=True)
    store = Store(storage_url)
    for name in ("study", "other"):
        for run in store.runs(store.study(name).study_id):
            (Path(run.directory) / "checkpoints").mkdir(parents=True)
            (Path(run.directory) / "weights.npz").write_text("")
    yield store
    store.close()


def train(tmp_path, url, trials):
    """Train as many trials as the study is to have, the second of them pruned; what each worker was given."""
    given = []
    with a_house(tmp_path, url, options={"trials": trials}) as house:
        worker = house.worker("0")
        while "end" not in (answer := worker.begin()):
            given.append(answer["number"])
            worker.epoch(0, 0.5 + worker.number)
            if worker.number == 1:
                worker.end("PRUNED", None, "why")
            else:
                worker.end(value=0.5 + worker.number)
    return given


def numbers(store, name="study"):
    return [run.number for run in store.runs(store.study(name).study_id)]


def delete(store, *some, keep_files=False):
    study = store.study("study")
    chosen = store.runs(study.study_id, list(some))
    remove_runs(store, study, runs_to_remove(store, study, chosen, keep_files=keep_files))


def folders(tmp_path, name="study"):
    return sorted(path.name.rpartition("-")[2] for path in (tmp_path / "runs" / name).glob("*-t*"))


def test_a_deleted_run_is_gone_and_its_number_stays(store, storage_url, tmp_path):
    delete(store, 1, 2)
    study = store.study("study")
    assert numbers(store) == [0, 3]
    assert store.counts(study.study_id, added=True) == {"COMPLETE": 2}
    assert sorted(store.metrics(study.study_id)) == [0, 3]
    assert folders(tmp_path) == ["t0000", "t0003"]
    assert folders(tmp_path, "other") == ["t0000"]
    assert check_database(store) == []
    with optunas_own(storage_url) as storage:
        theirs = optuna.load_study(study_name="study", storage=storage)
        assert [(trial.number, trial.state) for trial in theirs.trials] == [
            (0, TrialState.COMPLETE), (1, TrialState.FAIL), (2, TrialState.FAIL), (3, TrialState.COMPLETE),
        ]  # fmt: skip
        for number in (1, 2):
            left = theirs.trials[number]
            assert (left.params, left.user_attrs, left.intermediate_values, left.values) == ({}, {}, {}, None)
            assert list(left.system_attrs) == [DELETED]
        assert theirs.best_trial.number == 0


def test_no_number_is_given_again_whoever_asks(store, storage_url, tmp_path):
    delete(store, 1, 3)
    with optunas_own(storage_url) as storage:
        theirs = optuna.load_study(study_name="study", storage=storage)
        theirs.tell(theirs.ask({"x": optuna.distributions.FloatDistribution(-1, 1)}), 0.125)
        theirs.add_trial(optuna.trial.create_trial(value=0.25))
        assert [trial.number for trial in theirs.trials] == list(range(6))
    assert numbers(store) == [0, 2, 4, 5]
    delete(store, 5)
    assert train(tmp_path, storage_url, 4) == [6, 7], "deleted runs do not count as done, nor do those of others"
    assert numbers(store) == [0, 2, 4, 6, 7]
    assert check_database(store) == []
    with optunas_own(storage_url) as storage:
        trials = optuna.load_study(study_name="study", storage=storage).trials
        assert [trial.number for trial in trials] == list(range(8))
        assert [trial.number for trial in trials if DELETED in trial.system_attrs] == [1, 3, 5]


def test_a_run_that_waits_is_deleted_and_never_run(store, storage_url, tmp_path):
    with a_house(tmp_path, storage_url, options={"trials": 6}) as house:
        house.worker("0").begin()
    assert [run.state for run in store.runs(store.study("study").study_id, [4])] == ["WAITING"]
    delete(store, 4)
    assert train(tmp_path, storage_url, 6) == [5, 6]
    assert check_database(store) == []


def test_a_study_whose_runs_are_all_deleted_begins_anew(store, storage_url, tmp_path):
    delete(store, 0, 1, 2, 3)
    assert numbers(store) == []
    assert check_database(store) == []
    assert train(tmp_path, storage_url, 2) == [4, 5]


def test_a_study_with_deleted_runs_is_copied(store, tmp_path):
    delete(store, 1)
    target = Store(f"sqlite:///{tmp_path}/copy.db", create=True)
    copy_study(store, store.study("study"), target)
    assert numbers(target) == [0, 2, 3]
    assert check_database(target) == []
    with pytest.raises(StudyError, match="also has study study in it"):
        delete(store, 2)
    delete(store, 2, keep_files=True)
    finish_removals(store, tmp_path / "runs")
    assert "t0002" in folders(tmp_path)
    target.close()


def test_runs_of_a_study_that_is_taken_meanwhile_stay(store, monkeypatch):
    with store.engine.begin() as connection:
        connection.execute(sa.update(tables.studies).values(owner=removal.json.dumps(vars(new_owner()))))
    monkeypatch.setattr("sweep.control.lease.WATCH_SECONDS", 0.2)
    study = store.study("study")
    gone = runs_to_remove(store, study, store.runs(study.study_id, [0]))
    with store.engine.begin() as connection:
        connection.execute(sa.update(tables.studies).values(beat=tables.studies.c.beat + 1))
    with pytest.raises(StudyError, match="Cannot remove runs of study study while it is running"):
        remove_runs(store, study, gone)
    assert numbers(store) == [0, 1, 2, 3]


def killed_at(monkeypatch, place):
    """Have a removal killed at a place."""

    def die(*_arguments, **_more):
        raise Killed

    whole = shutil.rmtree

    def half(path, ignore_errors=False):
        whole(min(Path(path).glob("*")), ignore_errors=True)
        raise Killed

    if place == "before the rows":
        monkeypatch.setattr(removal, "_remove_rows", die)
        monkeypatch.setattr(removal, "_empty_trials", die)
    elif place == "after the rows":
        monkeypatch.setattr(removal, "_remove_folder", die)
        monkeypatch.setattr("sweep.control.removal.shutil.rmtree", die)
    else:
        monkeypatch.setattr(removal.shutil, "rmtree", half)


PLACES = ["before the rows", "after the rows", "among the files"]


@pytest.mark.parametrize("place", PLACES)
def test_a_study_whose_removal_is_killed_is_there_whole_or_gone_with_the_next_command(
    store, storage_url, tmp_path, place
):
    with pytest.MonkeyPatch.context() as patched:
        killed_at(patched, place)
        with pytest.raises(Killed):
            remove_study(store, store.study("study"), tmp_path / "runs")
    there = place == "before the rows"
    assert (store.find_study("study") is not None) == there
    given = train(tmp_path, storage_url, 5)  # the next start of that name
    assert given == ([4] if there else [0, 1, 2, 3, 4])
    assert [name for name in folders(tmp_path) if int(name[1:]) < 4] == (
        ["t0000", "t0001", "t0002", "t0003"] if there else []
    ), "no folder of the removed study is the new one's"
    assert not list((tmp_path / "runs").glob(".*"))
    assert folders(tmp_path, "other") == ["t0000"]
    assert check_database(store) == []
    finish_removals(store, tmp_path / "runs")
    assert store.find_study("study") is not None
    assert (tmp_path / "runs" / "study").is_dir()


@pytest.mark.parametrize("place", PLACES)
def test_runs_whose_removal_is_killed_are_there_whole_or_gone_with_the_next_command(
    store, storage_url, tmp_path, place
):
    with pytest.MonkeyPatch.context() as patched:
        killed_at(patched, place)
        with pytest.raises(Killed):
            delete(store, 0, 2)
    there = place == "before the rows"
    assert numbers(store) == ([0, 1, 2, 3] if there else [1, 3])
    assert train(tmp_path, storage_url, 4) == ([] if there else [4, 5])
    assert ("t0000" in folders(tmp_path), "t0002" in folders(tmp_path)) == (there, there)
    assert check_database(store) == []


def test_a_folder_that_another_database_has_taken_since_is_not_removed(store, tmp_path):
    with pytest.MonkeyPatch.context() as patched:
        killed_at(patched, "after the rows")
        with pytest.raises(Killed):
            remove_study(store, store.study("study"), tmp_path / "runs")
    train(tmp_path, f"sqlite:///{tmp_path}/theirs.db", 1)
    finish_removals(store, tmp_path / "runs")
    assert (tmp_path / "runs" / "study" / "databases.json").exists()
    assert "t0003" in folders(tmp_path)
