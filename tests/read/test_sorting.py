"""The order of runs: the objective's best first, what is not there last."""

import math

import pytest

from sweep.errors import SweepError
from sweep.read.runs import select_runs
from tests.store_builder import add_epochs, add_study, build_store, run


@pytest.fixture
def store(tmp_path):
    store = build_store(tmp_path)
    yield store
    store.close()


def order(store, study, by):
    return [run.number for run in select_runs(store, study, sort=by).runs]


@pytest.mark.parametrize(("direction", "expected"), [("minimize", [1, 0, 2, 3]), ("maximize", [2, 0, 1, 3])])
@pytest.mark.parametrize("by", ["val_loss", "best", "last"])
def test_the_objective_puts_the_best_run_first_and_nothing_last(store, by, direction, expected):
    runs = [run(0, 0.5), run(1, 0.1), run(2, 0.9), run(3, None)]
    assert order(store, add_study(store, runs=runs, direction=[direction]), by) == expected


def test_a_minus_turns_the_order_round_and_leaves_nothing_and_nan_last(store):
    runs = [run(0, math.nan), run(1, 0.1), run(2, 0.9), run(3, None)]
    assert order(store, add_study(store, runs=runs), "-last") == [2, 1, 0, 3]


def test_any_metric_sorts_by_its_last_value_the_smallest_first(store):
    study = add_study(store, runs=[run(0, epoch=2), run(1, epoch=1), run(2, epoch=0)])
    add_epochs(store, study, 0, [{"mae": 0.1}, {"mae": 0.7}])
    add_epochs(store, study, 1, [{"mae": 0.5}])
    assert order(store, study, "mae") == [1, 0, 2]


def test_one_of_several_objectives_sorts_by_its_own_direction(store):
    objectives = {"objective": ["loss", "accuracy"], "direction": ["minimize", "maximize"]}
    study = add_study(store, runs=[run(0, epoch=1), run(1, epoch=1)], **objectives)
    add_epochs(store, study, 0, [{"loss": 0.1, "accuracy": 0.7}])
    add_epochs(store, study, 1, [{"loss": 0.2, "accuracy": 0.9}])
    assert order(store, study, "accuracy") == [1, 0]
    assert order(store, study, "loss") == [0, 1]


@pytest.mark.parametrize("by", ["learning_rate", "lr"])
def test_a_parameter_sorts_by_name_or_key(store, by):
    rates = [0.1, 0.001, 0.01]
    runs = [run(number, params={"learning_rate": rate}) for number, rate in enumerate(rates)]
    assert order(store, add_study(store, runs=runs), by) == [1, 2, 0]


def test_values_of_mixed_types_have_an_order(store):
    values = ["adam", 3, None, True, 0.5, "adagrad"]
    runs = [run(number, params={"opt": value}) for number, value in enumerate(values)]
    assert order(store, add_study(store, runs=runs), "opt") == [4, 3, 1, 5, 0, 2]


def test_a_conditional_parameter_puts_runs_without_it_last(store):
    runs = [run(0, params={"bs": 1}), run(1, params={"bs": 1, "drop": 0.5}), run(2, params={"bs": 1, "drop": 0.1})]
    assert order(store, add_study(store, runs=runs), "drop") == [2, 1, 0]


@pytest.mark.parametrize(("by", "expected"), [("number", [0, 1]), ("-number", [1, 0]), ("-duration", [1, 0])])
def test_properties_sort_as_they_are(store, by, expected):
    assert order(store, add_study(store, runs=[run(0), run(1)]), by) == expected


@pytest.mark.parametrize(
    ("by", "near"), [("val_los", "val_loss"), ("learning_rat", "learning_rate"), ("durration", "duration")]
)
def test_an_unknown_name_is_refused_with_the_nearest(store, by, near):
    study = add_study(store, runs=[run(0)])
    with pytest.raises(SweepError, match=f"{by!r}; did you mean {near}"):
        order(store, study, by)
