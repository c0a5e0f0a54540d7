"""How studies stand."""

import os
import subprocess
import sys

import pytest

from sweep.store import Owner
from sweep.store.lease import this_host
from sweep.view.studies import is_running, standings
from tests.store_builder import add_study, build_store, run


@pytest.fixture
def store(tmp_path):
    store = build_store(tmp_path)
    yield store
    store.close()


def dead_process():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_study_whose_coordinator_lives_is_running(store):
    study = add_study(store, owner=Owner(this_host(), os.getpid(), "token"))
    assert is_running(store, study)
    assert [standing.state for standing in standings(store, [study])] == ["running"]


def test_a_study_whose_coordinator_died_is_stopped(store):
    runs = [run(0, state="RUNNING"), run(1, state="RUNNING"), run(2, state="WAITING"), run(3, 0.5)]
    study = add_study(store, owner=Owner(this_host(), dead_process(), "token"), runs=runs)
    (standing,) = standings(store, [study])
    assert (standing.state, standing.finished) == ("stopped", 1)
    assert standing.counts == {"COMPLETE": 1, "WAITING": 3}, "what was running waits to be run again"


def test_a_study_whose_trials_are_used_up_is_finished(store):
    study = add_study(store, runs=[run(0, 0.5), run(1, 0.25), run(2, state="FAIL")], trials=3)
    (standing,) = standings(store, [study])
    assert (standing.state, standing.finished, standing.best.number) == ("finished", 3, 1)
