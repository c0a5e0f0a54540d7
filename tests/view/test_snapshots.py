"""Runs kept in memory: what a snapshot says is what the store says, whatever has changed."""

import optuna
import sqlalchemy as sa

from sweep.store import RepeatRecord, tables
from sweep.view import snapshots as module
from sweep.view.snapshots import Snapshots
from tests.databases import optunas_own
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


def test_a_finished_run_that_is_repeated_is_seen(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "FRESH_SECONDS", 0.0)
    store = build_store(tmp_path)
    study = add_study(store, "s", [run(0, 0.5), run(1, 0.4)])
    kept = Snapshots(store)
    before = kept.of(study)
    assert [found.n for found in before.runs] == [None, None]
    for repeat in (1, 2):
        store.record_repeats(study.study_id, [RepeatRecord(1, repeat, seed=repeat, value=0.45)])
        after = kept.of(study)
        assert [found.n for found in after.runs] == [None, repeat]
        assert after.runs == store.runs(study.study_id)
        assert kept.of(study) is after
    assert after.runs[0] is before.runs[0]
    store.close()


def add_trials(store, *trials):
    with optunas_own(store.url.render_as_string(hide_password=False)) as storage:
        theirs = optuna.create_study(study_name="s", storage=storage, load_if_exists=True)
        for value in trials:
            theirs.add_trial(optuna.create_trial(value=value))


def test_a_trial_that_another_program_has_added_is_seen_and_does_not_count(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "FRESH_SECONDS", 0.0)
    store = build_store(tmp_path)
    study = add_study(store, "s", [run(0, 0.5), run(1, 0.4)])
    add_trials(store, 0.5, 0.4)  # Optuna's of the two runs
    kept = Snapshots(store)
    assert kept.of(study).counts == {"COMPLETE": 2}
    add_trials(store, 0.3)
    snapshot = kept.of(study)
    assert snapshot.runs == store.runs(study.study_id)
    assert (len(snapshot.runs), snapshot.counts, snapshot.counted) == (3, {"COMPLETE": 3}, {"COMPLETE": 2})
    assert snapshot.counted == store.counts(study.study_id)
    assert kept.of(study) is snapshot  # nothing has changed since
    store.close()


def test_runs_are_found_where_a_trial_of_another_program_has_no_run_yet(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "FRESH_SECONDS", 0.0)
    store = build_store(tmp_path)
    began = [run(number, None, state="RUNNING", epoch=0) for number in (2, 3)]
    study = add_study(store, "s", [run(0, 0.5), *began])
    kept = Snapshots(store)
    assert [kept.of(study).run(number) for number in (1, 2, 3)] == [None, *began]
    change(store, 2, state="COMPLETE", epoch=60, values="[0.4]")
    assert kept.of(study).runs == store.runs(study.study_id)
    insert(store, study, run(1, 0.25))
    snapshot = kept.of(study)
    assert snapshot.runs == store.runs(study.study_id)
    assert [found.number for found in snapshot.numbered([3, 1])] == [3, 1]
    store.close()


def test_last_metrics_are_those_of_the_store(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "FRESH_SECONDS", 0.0)
    store = build_store(tmp_path)
    study = add_study(store, "s", [run(0, 0.5, epoch=1), run(1, 0.4, state="RUNNING", epoch=0)])
    add_epochs(store, study, 0, [{"loss": 1.0}])
    kept = Snapshots(store)
    assert kept.of(study).last_metrics() == {0: {"loss": 1.0}}
    add_epochs(store, study, 1, [{"loss": 2.0}, {"loss": 1.5}])
    change(store, 1, epoch=2)
    assert kept.of(study).last_metrics() == {0: {"loss": 1.0}, 1: {"loss": 1.5}}
    store.close()


def test_a_run_is_found_by_its_number(tmp_path):
    store = build_store(tmp_path)
    study = add_study(store, "s", [run(0, 0.5), run(1, 0.4)])
    snapshot = Snapshots(store).of(study)
    assert snapshot.run(1).number == 1
    assert (snapshot.run(2), snapshot.run(-1)) == (None, None)
    assert [found.number for found in snapshot.numbered([1, 7, 0])] == [1, 0]
    store.close()


def test_a_run_that_was_deleted_is_seen_although_another_has_taken_its_place_in_the_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "FRESH_SECONDS", 0.0)
    store = build_store(tmp_path)
    study = add_study(store, "s", [run(number, 0.5) for number in range(4)])
    kept = Snapshots(store)
    for new in ([4], [5, 6]):
        assert kept.of(study).runs == store.runs(study.study_id)
        with store.engine.begin() as connection:
            connection.execute(sa.delete(tables.runs).where(tables.runs.c.number == new[0] - 3))
        for number in new:
            insert(store, study, run(number, 0.5))
        assert kept.of(study).runs == store.runs(study.study_id)
    store.close()
