"""Runs kept in memory: what a snapshot says is what the store says, whatever has changed."""

import sqlalchemy as sa

from sweep.serve import snapshots as module
from sweep.serve.snapshots import Snapshots
from sweep.store import tables
from tests.store_builder import add_epochs, add_study, build_store, run


def change(store, number, **values):
    with store.engine.begin() as connection:
        connection.execute(sa.update(tables.runs).where(tables.runs.c.number == number).values(**values))


def insert(store, study, made):
    with store.engine.begin() as connection:
        connection.execute(sa.insert(tables.runs), [made.row(study.study_id)])


def test_a_run_that_ends_and_one_that_begins_are_seen(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "FRESH_SECONDS", 0.0)
    store = build_store(tmp_path)
    study = add_study(store, "s", [run(0, 0.5), run(1, 0.4, state="RUNNING", epoch=3)])
    kept = Snapshots(store)
    assert kept.of(study).counts == {"COMPLETE": 1, "RUNNING": 1}
    assert kept.of(study).best.number == 0
    change(store, 1, state="COMPLETE", epoch=60, values="[0.4]")
    insert(store, study, run(2, None, state="RUNNING", epoch=0))
    snapshot = kept.of(study)
    assert snapshot.runs == store.runs(study.study_id)
    assert (snapshot.best.number, snapshot.counts) == (1, {"COMPLETE": 2, "RUNNING": 1})
    store.close()


def test_last_metrics_are_those_of_the_store(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "FRESH_SECONDS", 0.0)
    store = build_store(tmp_path)
    study = add_study(store, "s", [run(0, 0.5, epoch=1), run(1, 0.4, state="RUNNING", epoch=0)])
    add_epochs(store, study, 0, [{"loss": 1.0}])
    kept = Snapshots(store)
    assert kept.last_metrics(kept.of(study)) == {0: {"loss": 1.0}}
    add_epochs(store, study, 1, [{"loss": 2.0}, {"loss": 1.5}])
    change(store, 1, epoch=2)
    assert kept.last_metrics(kept.of(study)) == {0: {"loss": 1.0}, 1: {"loss": 1.5}}
    store.close()


def test_a_run_is_found_by_its_number(tmp_path):
    store = build_store(tmp_path)
    study = add_study(store, "s", [run(0, 0.5), run(1, 0.4)])
    snapshot = Snapshots(store).of(study)
    assert snapshot.run(1).number == 1
    assert (snapshot.run(2), snapshot.run(-1)) == (None, None)
    assert [found.number for found in snapshot.numbered([1, 7, 0])] == [1, 0]
    store.close()
