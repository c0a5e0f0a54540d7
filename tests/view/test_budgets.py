"""Runs with another epoch budget than most of their study."""

from sweep.store import Training
from sweep.view.budgets import epoch_budget, mixed_budgets, unusual, usual_budget
from tests.store_builder import run


def test_the_usual_budget_is_that_of_most_runs():
    runs = [run(number, 0.5, epochs=60) for number in range(5)] + [run(5, 0.1, epochs=2)]
    assert usual_budget(runs) == 60
    assert [each.number for each in runs if unusual(each, 60)] == [5]


def test_of_two_budgets_as_frequent_the_larger_is_the_usual_one():
    assert usual_budget([run(0, epochs=2), run(1, epochs=60)]) == 60


def test_runs_of_another_budget_are_named_and_not_compared():
    runs = [run(0, 0.1, epochs=2), run(1, 0.2, epochs=3), *(run(number, 0.5) for number in range(2, 8))]
    assert mixed_budgets(runs, runs) == (
        "t0000, t0001 were to train 2 to 3 epochs and most runs 60: their values do not compare."
    )
    assert mixed_budgets(runs[:1], runs) == (
        "t0000 was to train 2 epochs and most runs 60: its value does not compare."
    )
    assert mixed_budgets(runs[2:], runs) is None


def test_where_epochs_are_a_parameter_no_budget_is_usual_but_it_is_said_that_they_differ():
    runs = [run(number, 0.5, epochs=5 + number) for number in range(10)]
    assert usual_budget(runs) is None
    assert mixed_budgets(runs, runs) == "Their epoch budgets differ, from 5 to 14: their values may not compare."


def test_of_several_trainings_the_first_ones_epochs_count_as_a_pruned_run_has_no_others():
    folds = [Training(0, planned=20, epochs=20), Training(1, first=20, planned=20, epochs=20)]
    assert epoch_budget(run(0, 0.5, epochs=40, trainings=folds)) == 20
    assert epoch_budget(run(1, 0.5, epochs=20, trainings=folds[:1])) == 20


def test_runs_without_epochs_have_no_budget():
    runs = [run(number, 0.5, epochs=None) for number in range(3)]
    assert usual_budget(runs) is None
    assert mixed_budgets(runs, runs) is None
