"""`sweep prune`, `sweep stop`, `sweep db upgrade`: what they put into the store, and what they refuse."""

import os
import sqlite3

import pytest
import sqlalchemy as sa

from sweep.cli import run as sweep
from sweep.store import tables
from sweep.store.lease import new_owner
from tests.store_builder import add_study, run


@pytest.fixture
def running(store):
    """A study whose coordinator is this process, with two running trials."""
    runs = [run(0), run(1, state="RUNNING"), run(2, state="RUNNING", family="mlp"), run(3, state="PRUNED")]
    return add_study(store, runs=runs, owner=new_owner())


def commands(store):
    columns = tables.commands.c.verb, tables.commands.c.number, tables.commands.c.reason
    with store.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(sa.select(*columns))]


def test_the_running_trials_that_match_are_pruned_by_hand(store, running, capsys):
    assert sweep(["prune", "diabetes", "^dnn", "--yes"]) == 0
    assert commands(store) == [("prune", 1, "by hand")]
    said = capsys.readouterr()
    assert "t0001" in said.out
    assert "t0002" not in said.out
    assert "1 trial of diabetes will be pruned after the present epoch" in said.err


@pytest.mark.parametrize("name", ["protect", "keep"])  # its former name
def test_a_running_trial_is_protected_and_an_ended_one_is_not(store, running, capsys, name):
    assert sweep([name, "diabetes", "1"]) == 0
    assert commands(store) == [("protect", 1, "by hand")]
    assert "will not be pruned" in capsys.readouterr().err
    assert sweep([name, "diabetes", "0"]) == 2
    assert ": it is COMPLETE, neither RUNNING nor PAUSED." in capsys.readouterr().err


def test_a_dry_run_shows_what_matches_and_asks_for_nothing(store, running, capsys):
    assert sweep(["prune", ".", "--dry-run"]) == 0
    assert commands(store) == []
    assert "2 trials would be pruned" in capsys.readouterr().err


def test_where_nobody_can_be_asked_pruning_is_refused(store, running, capsys, monkeypatch):
    with open(os.devnull) as nothing:
        monkeypatch.setattr("sys.stdin", nothing)
        assert sweep(["prune", "."]) == 2
    assert commands(store) == []
    assert "Pass --yes" in capsys.readouterr().err


def test_pruning_wants_a_pattern(store, running, capsys):
    assert sweep(["prune", "diabetes"]) == 2
    assert "sweep: Nothing to prune: give a pattern" in capsys.readouterr().err


def test_a_pattern_that_matches_no_running_trial_prunes_nothing(store, running, capsys):
    assert sweep(["prune", "^cnn", "--yes"]) == 0
    assert commands(store) == []
    assert "no running trial of diabetes matches '^cnn'" in capsys.readouterr().err


def test_a_running_study_is_asked_to_stop(store, running, capsys):
    assert sweep(["stop"]) == 0
    assert commands(store) == [("stop", None, "by hand")]
    assert "continue it with: sweep start /somewhere/studies/diabetes.py" in capsys.readouterr().err


def test_a_study_under_another_name_than_its_files_goes_on_under_it(store, capsys):
    add_study(store, "second", owner=new_owner())
    assert sweep(["stop", "second"]) == 0
    assert "continue it with: sweep start /somewhere/studies/diabetes.py --name second" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["stop", "wine"], ["prune", "wine", ".", "--yes"]])
def test_a_study_that_nobody_runs_is_given_no_command(store, capsys, arguments):
    add_study(store, "wine", [run(0, state="RUNNING")])
    assert sweep(arguments) == 2
    assert commands(store) == []
    assert f"Study wine is stopped, so there is nothing to {arguments[0]}." in capsys.readouterr().err


def test_a_database_of_an_older_schema_is_migrated(store, tmp_path, capsys):
    store.close()
    assert sweep(["db", "upgrade"]) == 0
    assert "has the schema of this version" in capsys.readouterr().err


def test_a_database_that_is_not_there_is_not_made(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert sweep(["db", "upgrade", "--storage", "sqlite:///none.db"]) == 2
    assert "No database at none.db" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_database_of_somebody_else_is_left_as_it_is(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with sqlite3.connect("theirs.db") as connection:
        connection.execute("CREATE TABLE theirs (number INTEGER)")
    connection.close()
    before = (tmp_path / "theirs.db").read_bytes()
    assert sweep(["db", "upgrade", "--storage", "sqlite:///theirs.db"]) == 2
    assert "has none of sweep's tables" in capsys.readouterr().err
    assert (tmp_path / "theirs.db").read_bytes() == before
