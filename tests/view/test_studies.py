"""How studies stand."""

from dataclasses import asdict, replace

import pytest

from sweep.store import ADDED
from sweep.store.lease import new_owner
from sweep.view.studies import is_running, view_studies, view_study
from sweep.waiting import Waiting, note
from tests.store_builder import add_study, build_store, run


@pytest.fixture
def store(tmp_path):
    store = build_store(tmp_path)
    yield store
    store.close()


def test_a_study_whose_coordinator_lives_is_running(store):
    study = add_study(store, owner=new_owner())
    assert is_running(store, study)
    assert [view.state for view in view_studies(store, [study])] == ["running"]


def test_a_study_whose_coordinator_died_is_stopped(store):
    runs = [run(0, state="RUNNING"), run(1, state="RUNNING"), run(2, state="WAITING"), run(3, 0.5)]
    study = add_study(store, owner=new_owner(), silent=60.0, runs=runs)
    (view,) = view_studies(store, [study])
    assert (view.state, view.finished) == ("stopped", 1)
    assert view.counts == {"COMPLETE": 1, "WAITING": 3}, "what was running waits to be run again"


def test_a_study_whose_trials_are_used_up_is_finished(store):
    study = add_study(store, runs=[run(0, 0.5), run(1, 0.25), run(2, state="FAIL")], trials=3)
    (view,) = view_studies(store, [study])
    assert (view.state, view.finished, view.best.number) == ("finished", 3, 1)


def test_progress_counts_what_has_ended_and_shows_what_runs(store):
    runs = [run(number, 0.5) for number in range(12)] + [run(number, state="PRUNED") for number in range(12, 15)]
    runs += [run(number, state="RUNNING") for number in range(15, 17)]
    view = view_study(add_study(store, runs=runs), runs, running=True)
    assert (view.finished, view.study.declaration.trials, view.percent, view.pruned_share) == (15, 30, 50, 20)
    assert view.segments == [("complete", 0.0, 40.0), ("pruned", 40.0, 10.0), ("running", 50.0, pytest.approx(20 / 3))]


def test_runs_that_other_programs_added_are_seen_but_do_not_count(store):
    runs = [run(0, 0.5), run(1, 0.25, reason=ADDED)]
    view = view_study(add_study(store, runs=runs), runs, running=False)
    assert (view.counts, view.every, view.best.number) == ({"COMPLETE": 1}, {"COMPLETE": 2}, 1)


def test_a_bar_is_of_all_that_has_ended_or_runs_where_that_is_more_than_was_planned(store):
    runs = [run(0, 0.5), run(1, 0.25), run(2, state="RUNNING"), run(3, state="RUNNING")]
    view = view_study(add_study(store, runs=runs, trials=2), runs, running=True)
    assert view.segments == [("complete", 0.0, 50.0), ("running", 50.0, 50.0)]


def test_a_study_as_json_has_the_value_and_the_name_of_its_best_run(store):
    runs = [run(0, 0.5), run(1, 0.25), run(2, state="FAIL")]
    found = view_study(add_study(store, runs=runs), runs, running=False).as_object()
    assert found == {
        "study": "diabetes",
        "state": "stopped",
        "trials": 30,
        "counts": {"COMPLETE": 2, "FAIL": 1},
        "objective": ["val_loss"],
        "direction": ["minimize"],
        "best": 0.25,
        "best_run": runs[1].name,
        "created": 1.7e9 + 1,
        "directory": "/somewhere/runs/diabetes",
        "file": "/somewhere/studies/diabetes.py",
        "owner": None,
        "waiting": None,
        "confirming": None,
    }


def test_a_running_study_that_waits_says_so_and_one_that_does_not_run_does_not(store, tmp_path):
    study = replace(add_study(store), directory=str(tmp_path))
    waiting = Waiting(1000.0, "sqlite:///sweep.db", "database is locked")
    note(tmp_path, waiting)
    assert view_study(study, [], running=True).as_object()["waiting"] == asdict(waiting)
    assert view_study(study, [], running=False).waiting is None


def test_a_study_that_waits_is_running_although_its_heart_stands_still_in_the_database(store, tmp_path):
    owner = new_owner()
    still = replace(add_study(store), directory=str(tmp_path), owner=owner, silent=100.0)
    assert not still.is_running
    note(tmp_path, Waiting(1000.0, "sqlite:///sweep.db", "database is locked"), "another's")
    assert not still.is_running
    note(tmp_path, Waiting(1000.0, "sqlite:///sweep.db", "database is locked"), owner.token)
    assert still.is_running
    assert not replace(still, owner=None).is_running
