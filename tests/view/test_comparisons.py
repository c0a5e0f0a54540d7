"""Where runs differ: two trainings of a trial, a run and the best one, several runs."""

import math

import pytest

from sweep.declaration import Declaration
from sweep.names import KeyTable
from sweep.store import StudyRecord
from sweep.view.comparisons import Parameters, compare_runs, compare_trainings, differences, split_parameters
from tests.store_builder import DECLARATION, run

NAN = math.nan
STUDY = StudyRecord(1, "diabetes", Declaration.stored(DECLARATION), {}, {}, "/somewhere", 0.0, None, 0)


@pytest.mark.parametrize(
    ("then", "now", "same", "apart"),
    [
        ({0: {"loss": 1.0}}, {0: {"loss": 1.0}}, True, []),
        ({0: {"loss": NAN}}, {0: {"loss": NAN}}, True, []),
        ({0: {"loss": 1.0}}, {0: {"loss": 1.0 + 1e-6}}, True, ["loss"]),
        ({0: {"loss": 1.0, "mae": 1.0}}, {0: {"loss": 1.1, "mae": 2.0}}, False, ["mae", "loss"]),
        ({0: {"loss": 1.0}}, {0: {"loss": NAN}}, False, ["loss"]),
        ({0: {"loss": 1.0}}, {0: {"loss": 1.0}, 1: {"loss": 0.5}}, True, []),
        ({0: {"loss": 1.0}, 1: {"loss": 0.5}}, {0: {"loss": 1.0}}, False, []),
        ({0: {"loss": 1.0}}, {0: {"loss": 1.0, "mae": 1.0}}, False, []),
        ({}, {}, True, []),
    ],
)
def test_metrics_are_the_same_up_to_rounding_or_said(then, now, same, apart):
    found = compare_trainings(then, now)
    assert found.same == same
    assert [difference.metric for difference in found.differences] == apart


def test_the_epoch_where_a_metric_is_furthest_apart_is_named():
    then = {epoch: {"loss": 1.0} for epoch in range(4)}
    now = {epoch: {"loss": 1.0 + 0.1 * (epoch == 2)} for epoch in range(4)}
    (difference,) = compare_trainings(then, now).differences
    assert (difference.epoch, difference.then, difference.now) == (2, 1.0, 1.1)
    shorter = compare_trainings(then, {0: {"loss": 1.0}})
    assert (shorter.epochs, shorter.missing) == (1, ["epoch 2"])


def test_a_run_is_compared_with_the_best_one():
    mine = run(1, 0.6, params={"learning_rate": 0.1, "batch_size": 32, "dropout": 0.5})
    best = run(2, 0.5, params={"learning_rate": 0.01, "batch_size": 32, "layers": 3})
    found = {item.name: (item.value, item.best, item.differs, item.change) for item in differences(STUDY, mine, best)}
    assert found == {
        "learning_rate": ("0.1", "0.01", True, "\N{MULTIPLICATION SIGN}10"),
        "batch_size": ("32", "32", False, ""),
        "dropout": ("0.5", "", True, ""),
        "layers": ("", "3", True, ""),
    }


def test_several_runs_are_compared_by_what_differs():
    runs = [run(1, 0.6, params={"lr": 0.1, "bs": 32}), run(2, 0.5, params={"lr": 0.01, "bs": 32})]
    found = compare_runs(STUDY, runs, {1: {"loss": 1.0}, 2: {"loss": 2.0}})
    assert [(line.label, line.texts, line.lowest, line.highest) for line in found.differing] == [
        ("lr", ["0.1", "0.01"], 1, 0)
    ]
    assert found.same == [("bs", "32")]
    value = next(line for line in found.outcomes if line.label == "value")
    assert (value.texts, value.winner) == (["0.6", "0.5"], 1)


def test_an_infeasible_run_wins_no_comparison():
    runs = [run(1, 0.6, constraints={"size": 0.0}), run(2, 0.5, constraints={"size": 1.0}), run(3, 0.7)]
    found = {line.label: line for line in compare_runs(STUDY, runs, {}).outcomes}
    assert (found["value"].winner, found["constraint size"].texts) == (0, ["0", "1", ""])


def test_parameters_that_vary_are_those_with_several_values_or_that_some_lack():
    keys = KeyTable(table={"learning_rate": "lr", "batch_size": "bs", "family": ""})
    seen = [{"learning_rate": 0.1, "batch_size": 32}, {"learning_rate": 0.1, "batch_size": 32, "family": "dnn"}]
    assert split_parameters(keys, seen) == Parameters({"family": "family"}, {"lr": 0.1, "bs": 32})
    assert split_parameters(keys, seen[:1]) == Parameters({"learning_rate": "lr", "batch_size": "bs"}, {})
