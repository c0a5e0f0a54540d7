"""The order of runs: the objective's best first, what is not there last."""

import math

import pytest

from sweep.errors import SweepError
from sweep.quantities import PROPERTIES
from sweep.store import RepeatRecord
from tests.store_builder import add_epochs, add_study, build_store, run, select


@pytest.fixture
def store(tmp_path):
    store = build_store(tmp_path)
    yield store
    store.close()


def order(store, study, by):
    return [run.number for run in select(store, study, sort=by).runs]


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
    with pytest.raises(SweepError, match=f"{by!r}\\. Did you mean {near}"):
        order(store, study, by)


@pytest.mark.parametrize(("direction", "expected"), [("minimize", [2, 0, 1, 3]), ("maximize", [0, 2, 1, 3])])
def test_sorting_by_the_value_puts_the_best_run_first_and_infeasible_ones_behind(store, direction, expected):
    least = -9.0 if direction == "minimize" else 9.0
    runs = [
        run(0, 0.1, values=[5.0]),
        run(1, 0.2, values=[least], constraints={"size": 1.0}),
        run(2, 0.3, values=[4.0], constraints={"size": 0.0}),
        run(3, 0.0, state="PRUNED"),
    ]
    study = add_study(store, runs=runs, direction=[direction])
    assert order(store, study, "value") == order(store, study, "run.value") == expected
    assert order(store, study, "-value") == [*reversed(expected[:3]), 3]


def test_the_objective_sorts_by_its_last_epoch_and_its_best_by_its_best_epoch(store):
    runs = [run(0, 0.1, epoch=2, last=0.9, values=[5.0]), run(1, 0.2, epoch=2, last=0.3, values=[6.0])]
    study = add_study(store, runs=runs)
    for number, last in ((0, 0.9), (1, 0.3)):
        add_epochs(store, study, number, [{"val_loss": 0.2}, {"val_loss": last}])
    assert order(store, study, "val_loss") == [1, 0]
    assert order(store, study, "best.val_loss") == order(store, study, "best") == [0, 1]
    assert order(store, study, "value") == order(store, study, "value.val_loss") == [0, 1]


def test_an_objective_that_no_epoch_reports_sorts_by_what_train_returned(store):
    study = add_study(store, runs=[run(0, values=[5.0]), run(1, values=[4.0])])
    add_epochs(store, study, 0, [{"loss": 0.1}])
    assert order(store, study, "val_loss") == [1, 0]


def test_a_constraint_sorts_by_its_name(store):
    runs = [run(0, constraints={"size": 2.0}), run(1), run(2, constraints={"size": -1.0})]
    study = add_study(store, runs=runs)
    assert order(store, study, "constraint.size") == [2, 0, 1]
    assert order(store, study, "feasible") == [2, 0, 1]
    with pytest.raises(SweepError, match=r"Did you mean constraint\.size"):
        order(store, study, "constraint.siz")


@pytest.mark.parametrize("name", ["value", "feasible", "mean", "sd", "n", "code"])
@pytest.mark.parametrize("what", ["parameter", "metric"])
def test_a_parameter_or_metric_keeps_its_name_where_a_property_is_called_so_too(store, name, what):
    # The property would put run 1 first, the parameter or metric run 0.
    runs = [
        run(0, values=[2.0], constraints={"size": 1.0}, epoch=1, params={name: 1} if what == "parameter" else {}),
        run(1, values=[1.0], constraints={"size": 0.0}, epoch=1, params={name: 2} if what == "parameter" else {}),
    ]
    study = add_study(store, runs=runs)
    fresh = {0: [1.0, 2.0, 3.0], 1: [0.0, 0.1]}
    store.record_repeats(
        study.study_id,
        [
            RepeatRecord(number, at, seed=at, value=value)
            for number in fresh
            for at, value in enumerate(fresh[number], 1)
        ],
    )
    if what == "metric":
        for number in (0, 1):
            add_epochs(store, study, number, [{name: float(number)}])
    assert order(store, study, name) == [0, 1]
    if name in PROPERTIES:
        assert order(store, study, f"run.{name}") == [1, 0]
    assert select(store, study, where=f"{name} = {1 if what == 'parameter' else 0}").runs[0].number == 0
    assert [one.number for one in select(store, study, where="run.value = 1 and run.feasible = true").runs] == [1]


def test_the_best_of_a_metric_that_has_no_direction_is_refused(store):
    study = add_study(store, runs=[run(0, epoch=1)])
    add_epochs(store, study, 0, [{"val_loss": 0.1, "mae": 0.2}])
    with pytest.raises(SweepError, match="Only the objective has a best epoch, and mae is not the objective"):
        order(store, study, "best.mae")
    with pytest.raises(SweepError, match="There is no metric 'ma' in study diabetes"):
        order(store, study, "best.ma")
