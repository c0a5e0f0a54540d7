"""A database that version 0.1 has left behind is migrated with everything in it, on SQLite and on PostgreSQL."""

import math
import sqlite3

import optuna
import pytest
import sqlalchemy as sa
from optuna.storages._rdb import models

from sweep.cli import run as sweep
from sweep.control.consistency import check_database
from sweep.errors import StoreError
from sweep.serve.app import _open
from sweep.store import Store, schema, tables
from sweep.store.database import parse_url
from sweep.view.runs import best_run
from sweep.view.upgrades import ranked_anew
from tests.databases import optunas_own
from tests.store_builder import add_study, build_store, run
from tests.version_0_1 import unpack

NEW = ('"values"', "constraints", "trainings", "verdict", "rungs")
NEW_OF_STUDIES = ("beaten",)
NEW_TABLES = (tables.repeats,)


@pytest.fixture
def old_url(request, empty_storage_url, tmp_path):
    """The database of version 0.1, not migrated."""
    source = unpack(tmp_path / "old")
    if empty_storage_url.startswith("sqlite"):
        return source
    Store(empty_storage_url, create=True).close()
    there, here = sa.create_engine(source), sa.create_engine(parse_url(empty_storage_url))
    with there.connect() as read, here.begin() as write:
        for column in NEW:
            write.execute(sa.text(f"ALTER TABLE sweep_runs DROP COLUMN {column}"))
        for column in NEW_OF_STUDIES:
            write.execute(sa.text(f"ALTER TABLE sweep_studies DROP COLUMN {column}"))
        for table in NEW_TABLES:
            write.execute(sa.text(f"DROP TABLE {table.name}"))
        write.execute(sa.text(f"UPDATE {schema.VERSION_TABLE} SET version_num = '0003'"))
        new = {name.strip('"') for name in (*NEW, *NEW_OF_STUDIES)}
        for table in [*models.BaseModel.metadata.sorted_tables, *tables.metadata.sorted_tables]:
            if table.name == "version_info" or table in NEW_TABLES:
                continue
            columns = [column for column in table.c if column.name not in new]
            rows = [row._asdict() for row in read.execute(sa.select(*columns))]
            if rows:
                write.execute(sa.insert(table), rows)
    there.dispose()
    here.dispose()
    return empty_storage_url


@pytest.fixture
def migrated(old_url):
    """The database of version 0.1, migrated."""
    with pytest.raises(StoreError, match="sweep db upgrade"):
        Store(old_url)
    store = Store(old_url, create=True)
    yield store
    store.close()


def runs_of(store, name):
    return store.runs(store.study(name).study_id)


def test_complete_runs_have_what_train_returned_and_others_nothing(migrated):
    assert [made.values for made in runs_of(migrated, "reporting")] == [
        [5.0],
        [5.0],
        [1.258064],
        [5.3264000000000005],
        [5.368099999999999],
    ]
    pruning = [(made.state, made.value, made.last) for made in runs_of(migrated, "pruning")]
    assert pruning == [
        ("COMPLETE", 1.0, 2.0),
        ("PRUNED", None, 9.0),  # its last report stands as a value in Optuna's tables
        ("COMPLETE", 4.0, 5.0),
        ("FAIL", None, 8.0),
        ("COMPLETE", -math.inf, 7.0),
        ("COMPLETE", 0.0, 1.0),
        ("PRUNED", None, 9.0),
    ]
    assert runs_of(migrated, "two")[0].values[1] == 10.0
    assert [made.state for made in runs_of(migrated, "stopped")] == ["COMPLETE", "WAITING"]
    assert runs_of(migrated, "stopped")[1].values is None


def test_why_runs_were_pruned_stays_the_text_that_it_was(migrated, tmp_path):
    unpack(tmp_path / "again")
    with sqlite3.connect(tmp_path / "again" / "sweep.db") as old:
        written = dict(old.execute("SELECT name, reason FROM sweep_runs WHERE state = 'PRUNED'").fetchall())
    pruned = [made for study in migrated.studies() for made in runs_of(migrated, study.name) if made.state == "PRUNED"]
    assert {made.name: made.why for made in pruned} == written
    assert any(made.why.startswith("median: ") for made in pruned)
    assert {made.verdict for made in pruned} == {None}


def test_constraints_are_taken_from_optunas_tables(migrated):
    runs = runs_of(migrated, "constrained")
    assert runs[0].constraints == {"weight": 0.5, "height": -2.5}
    assert [made.feasible for made in runs] == [False, True, True, False]
    assert runs_of(migrated, "reporting")[0].feasible is None


def test_the_best_runs_are_optunas_best_trials_and_nothing_is_wrong(migrated):
    with optunas_own(migrated.url.render_as_string(hide_password=False)) as storage:
        for study in migrated.studies():
            best = best_run(study, migrated.runs(study.study_id))
            if study.name == "two":
                assert best is None
            else:
                theirs = optuna.load_study(study_name=study.name, storage=storage).best_trial
                assert (best.number, best.value) == (theirs.number, theirs.value), study.name
    assert check_database(migrated) == []


def test_migrating_twice_changes_nothing(migrated):
    before = {study.name: migrated.runs(study.study_id) for study in migrated.studies()}
    again = Store(migrated.url.render_as_string(hide_password=False), create=True)
    assert {study.name: again.runs(study.study_id) for study in again.studies()} == before
    again.close()


def test_the_upgrade_lists_the_studies_whose_best_run_changes_or_has_lost_its_weights(tmp_path, capsys, monkeypatch):
    url = unpack(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert sweep(["db", "upgrade"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "pruning: the best run is t0002, whose value is 4; by its best epoch it was t0004",
        "constrained: the best run is t0002, whose value is 1; by its best epoch it was t0000",
        "penalised: the best run is t0002, whose value is 3.406; by its best epoch it was t0000",
        "penalised: the weights of t0002, its best run, are gone, since --keep ranked runs by their best epoch. To "
        "train its parameters again: sweep start studies/penalised.py --enqueue penalised-4-width=4-t0002 --trials 4",
    ]
    assert sweep(["db", "upgrade"]) == 0
    assert capsys.readouterr().out == ""
    store = Store(url)
    assert [made.value for made in runs_of(store, "last")] == [made.last for made in runs_of(store, "last")]
    store.close()


def test_a_service_migrates_and_logs_what_changes(tmp_path, caplog):
    store = _open(unpack(tmp_path))
    store.close()
    assert "penalised: the best run is t0002" in caplog.text


def test_a_study_without_any_feasible_run_is_listed_and_one_whose_folder_is_elsewhere_has_lost_nothing(tmp_path):
    store = build_store(tmp_path)
    add_study(store, runs=[run(0, 0.5, constraints={"size": 1.0})])
    add_study(store, "wine", runs=[run(0, 0.5, values=[9.0]), run(1, 0.6, values=[8.0])])
    assert ranked_anew(store, "sqlite:///sweep.db") == [
        "diabetes: the best run was t0000, and now there is none that is feasible",
        "wine: the best run is t0001, whose value is 8; by its best epoch it was t0000",
    ]
    store.close()
