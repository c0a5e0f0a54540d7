"""What is read from a store, over every database."""

import math
from dataclasses import replace

import pytest
import sqlalchemy as sa

from sweep.core.pruners import Verdict
from sweep.errors import StoreError
from sweep.finding import Finding, Picture
from sweep.store import Owner, RepeatRecord, RunRecord, Store, tables
from sweep.store.records import storable
from tests.store_builder import add_all_epochs, add_epochs, add_study, run


@pytest.fixture
def store(storage_url):
    store = Store(storage_url)
    yield store
    store.close()


def test_studies_are_listed_the_oldest_first(store):
    for name in ("wine", "diabetes", "digits"):
        add_study(store, name)
    assert [study.name for study in store.studies()] == ["wine", "diabetes", "digits"]


def test_a_study_is_found_by_its_name_whole(store):
    owner = Owner("host", 17, "token")
    added = add_study(store, keys={"x": "x"}, space={"x": ["{}"]}, owner=owner, trials=7)
    found = store.study("diabetes")
    assert found == added
    assert (found.owner, found.keys, found.space, found.declaration.trials) == (owner, {"x": "x"}, {"x": ["{}"]}, 7)
    assert store.find_study("diabete") is None


def test_an_unknown_study_is_refused_with_the_nearest_names(store):
    with pytest.raises(StoreError, match="Start one with `sweep start FILE`"):
        store.study("diabetes")
    for name in ("wine", "diabetes"):
        add_study(store, name)
    with pytest.raises(StoreError, match=r"No such study: diabets\. Did you mean diabetes\?$"):
        store.study("diabets")
    for name in ("qq1", "qq2"):
        add_study(store, name)
    with pytest.raises(StoreError, match=r"No such study: xyz\. The studies are wine, diabetes, qq1 and 1 more\.$"):
        store.study("xyz")


def test_a_run_is_read_as_it_was_written(store):
    written = [
        RunRecord(0),
        run(
            1,
            0.5,
            reason="why",
            findings=[Finding("dead-relu", "日本", "do", picture=Picture("a", [[0.5]], [[1.0]]))],
            traceback="where",
            worker="0",
            attempt=2,
            epochs=60,
            revives=0,
            interruptions=["after 1 epoch: é"],
        ),
        run(3, 0.5, state="PRUNED", verdict=Verdict("median", "val_loss", 0.5, 3, math.inf, 8, {"percentile": 50.0})),
        RunRecord(2, params={"a": None, "b": True, "c": 2**70, "d": 0.1, "e": "日本", "f": math.inf}, last=-math.inf),
    ]
    study = add_study(store, runs=written, keys={})
    written.sort(key=lambda made: made.number)
    assert store.runs(study.study_id) == written
    assert store.runs(study.study_id, [2, 0, 99]) == [written[0], written[2]]
    assert store.runs(study.study_id, []) == []


@pytest.mark.parametrize("value", [None, 0.0, 1e-300, -1.5, math.inf, -math.inf, math.nan])
def test_a_float_that_may_be_no_number_is_two_columns(value):
    joined = tables.join_float(*tables.split_float(value))
    assert repr(joined) == repr(value)


def test_metrics_are_read_by_run_and_epoch(store):
    study = add_study(store, runs=[run(0), run(1)])
    other = add_study(store, "wine", runs=[run(0)])
    epochs = [{"loss": 1.0, "val_loss": math.inf}, {"loss": -math.inf}]
    add_all_epochs(store, study, {0: epochs, 1: epochs[:1]})
    add_epochs(store, other, 0, [{"loss": 9.0}])
    assert store.metrics(study.study_id) == {0: {0: epochs[0], 1: epochs[1]}, 1: {0: epochs[0]}}
    assert store.metrics(study.study_id, [1]) == {1: {0: epochs[0]}}


def test_nan_is_read_as_nan(store):
    study = add_study(store, runs=[run(0)])
    add_epochs(store, study, 0, [{"loss": math.nan}])
    assert math.isnan(store.metrics(study.study_id)[0][0]["loss"])


def test_the_last_metrics_are_those_of_the_last_finished_epoch(store):
    study = add_study(store, runs=[run(0, epoch=2), run(1, epoch=0)])
    add_epochs(store, study, 0, [{"loss": 3.0}, {"loss": 2.0}])
    assert store.last_metrics(study.study_id) == {0: {"loss": 2.0}}


def test_runs_are_counted_by_their_state(store):
    study = add_study(store, runs=[run(0), run(1), run(2, state="FAIL")])
    assert store.counts(study.study_id) == {"COMPLETE": 2, "FAIL": 1}
    assert store.counts(study.study_id + 1) == {}


def test_commands_stand_in_their_order(store):
    study = add_study(store)
    store.command(study.study_id, "prune", numbers=[2, 1], reason="by hand")
    store.command(study.study_id, "prune", numbers=[], reason="nothing")
    store.command(study.study_id, "stop", reason="enough")
    columns = tables.commands.c.verb, tables.commands.c.number, tables.commands.c.reason
    with store.engine.connect() as connection:
        rows = connection.execute(sa.select(*columns).order_by(tables.commands.c.command_id)).all()
    assert rows == [("prune", 2, "by hand"), ("prune", 1, "by hand"), ("stop", None, "enough")]


@pytest.mark.parametrize(("text", "expected"), [("plain ü", "plain ü"), ("a\x00b", "a\\x00b"), ("\ud83d", "\\ud83d")])
def test_a_text_is_stored_as_every_database_can_hold_it(text, expected):
    assert storable(text) == expected


def test_repeats_are_read_as_they_were_written_with_their_run_and_of_no_other_study(store, tmp_path):
    study = add_study(store, runs=[run(0, 0.5), run(3, 0.4)], directory=str(tmp_path / "runs" / "diabetes"))
    other = add_study(store, "wine", runs=[run(3, 0.4)])
    written = [
        RepeatRecord(
            3, 1, seed=2**31 - 1, name="dnn-t0003r1", directory=str(tmp_path / "runs" / "diabetes" / "repeats" / "x"),
            value=0.25, epoch=60, started=1.7e9, duration=2.5, snapshot="0" * 64, test={"mae": 0.125},
        ),
        RepeatRecord(3, 2, seed=7, state="FAIL", reason="ValueError: 日本\x00"),
    ]  # fmt: skip
    store.record_repeats(study.study_id, written)
    store.record_repeats(study.study_id, written[:1])  # again changes nothing
    never, found = store.runs(study.study_id)
    assert list(found.repeats) == [written[0], replace(written[1], reason="ValueError: 日本\\x00")]
    assert list(never.repeats) == []
    assert store.repeats(study.study_id) == {3: found.repeats}
    assert store.repeats(other.study_id) == {}
    assert store.runs(other.study_id)[0].n is None
