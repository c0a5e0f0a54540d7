"""Commands to copy."""

import pytest

from sweep.commands import command, rerun_command, run_again
from tests.store_builder import add_study, build_store, run

DEFAULT = "sqlite:///sweep.db"


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.delenv("SWEEP_STORAGE", raising=False)
    monkeypatch.chdir(tmp_path)
    store = build_store(tmp_path)
    yield store
    store.close()


def test_a_command_names_the_storage_only_where_it_must(store, monkeypatch):
    assert command("show", "t0001", storage=DEFAULT) == "sweep show t0001"
    assert command("show", "t0001", storage="sqlite:///x.db") == "sweep show t0001 --storage sqlite:///x.db"
    monkeypatch.setenv("SWEEP_STORAGE", "sqlite:///x.db")
    assert command("show", "t0001", storage="sqlite:///x.db") == "sweep show t0001"


def test_a_pattern_is_quoted_for_the_shell(store):
    assert command("runs", "^dnn|mlp", storage=DEFAULT) == "sweep runs '^dnn|mlp'"


def test_a_run_of_a_study_that_goes_on_is_enqueued(store, tmp_path):
    study = add_study(store, runs=[run(0)], file=str(tmp_path / "studies/wine.py"))
    again = run_again(study, store.runs(study.study_id)[0], 1, storage=DEFAULT)
    assert again == "sweep start studies/wine.py --name diabetes --enqueue dnn-lr=0.001-bs=32-t0000"


def test_a_run_of_a_finished_study_needs_one_trial_more(store, tmp_path):
    study = add_study(store, runs=[run(0)], file=str(tmp_path / "wine.py"), trials=30)
    again = run_again(study, store.runs(study.study_id)[0], 30, storage=DEFAULT)
    assert again == "sweep start wine.py --name diabetes --enqueue dnn-lr=0.001-bs=32-t0000 --trials 31"


def test_a_study_that_is_called_as_its_file_needs_no_name(store, tmp_path):
    study = add_study(store, "wine", [run(0)], file=str(tmp_path / "wine.py"))
    again = run_again(study, store.runs(study.study_id)[0], 1, storage=DEFAULT)
    assert again == "sweep start wine.py --enqueue dnn-lr=0.001-bs=32-t0000"


def test_a_run_is_reproduced_from_its_snapshot(store):
    study = add_study(store, runs=[run(0, snapshot="0" * 64), run(1), run(2, state="RUNNING", snapshot="0" * 64)])
    said = [rerun_command(study, each, storage=DEFAULT) for each in store.runs(study.study_id)]
    assert said == ["sweep rerun diabetes t0000", None, None]
    assert rerun_command(study, store.runs(study.study_id)[0], storage="http://host:8080") is None


def test_a_run_of_a_notebook_has_no_such_command(store):
    study = add_study(store, runs=[run(0)], file=None)
    assert run_again(study, store.runs(study.study_id)[0], 1, storage=DEFAULT) is None
