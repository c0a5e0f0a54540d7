"""The courses of many runs as the data of a chart: what is there is said, and what is drawn is chosen."""

import itertools
import math

import pytest

from sweep.view.curves import CURVES, curves
from sweep.view.snapshots import Snapshots
from tests.store_builder import add_all_epochs, add_study, build_store, run


@pytest.fixture
def store(tmp_path):
    store = build_store(tmp_path)
    yield store
    store.close()


def snapshot_of(store, runs, epochs, **declaration):
    study = add_study(store, runs=runs, **declaration)
    add_all_epochs(store, study, epochs)
    return Snapshots(store).of(study)


def test_a_chart_says_how_many_runs_were_asked_for_and_how_many_have_a_course(store):
    runs = [run(0, 0.5, epoch=1), run(1, 0.25, epoch=2), run(2, None, state="FAIL", epoch=0)]
    losses = {0: [{"val_loss": 0.5, "loss": 1.0}], 1: [{"val_loss": 0.123456789}, {"val_loss": math.nan}]}
    found = curves(store, snapshot_of(store, runs, losses), runs, "")
    assert {name: found[name] for name in ("metric", "metrics", "best", "better", "chosen", "matched")} == {
        "metric": "val_loss",
        "metrics": ["val_loss", "loss"],
        "best": 1,
        "better": "low",
        "chosen": 3,
        "matched": 2,
    }
    assert [(each["number"], each["state"], each["values"]) for each in found["runs"]] == [
        (0, "complete", [0.5]),
        (1, "complete", [0.123457, None]),
    ]


def test_of_a_metric_that_is_no_objective_neither_end_is_better(store):
    runs = [run(0, 0.5, epoch=1)]
    found = curves(store, snapshot_of(store, runs, {0: [{"val_loss": 0.5, "loss": 1.0}]}), runs, "loss")
    assert (found["metric"], found["better"]) == ("loss", None)
    assert curves(store, snapshot_of(store, [], {0: [{"m": 1.0}]}, name="up", direction=["maximize"]), [], "x")[
        "better"
    ] == ("high")


def test_of_more_runs_than_a_chart_holds_the_best_and_those_asked_for_are_drawn_once_and_others_evenly(store):
    count = 2 * CURVES
    runs = [run(number, 1.0 + number % 7, epoch=1) for number in range(count)]
    runs[5].values, runs[7].state = [0.5], "RUNNING"
    snapshot = snapshot_of(store, runs, {number: [{"val_loss": 1.0}] for number in range(count)})
    drawn = [each["number"] for each in curves(store, snapshot, runs, "", always=[9])["runs"]]
    assert len(drawn) == len(set(drawn)) == CURVES
    assert {5, 7, 9} <= set(drawn)
    others = sorted(set(drawn) - {5, 7, 9})
    assert max(after - before for before, after in itertools.pairwise(others)) <= 5
