"""What a whole study is estimated to take, from what was measured of two trials."""

import pytest

from sweep.control.estimate import Measured, estimate
from sweep.declaration import Declaration

MEASURED = Measured(
    load=10.0, epoch=2.0, first=5.0, other=1.0, run_bytes=1000, epoch_bytes=10, checkpoint_bytes=100, memory=None
)


def declared(**values):
    return Declaration("tiny", ["loss"], ["minimize"], **{"trials": 30, "pruner": "nop", **values})


def test_without_a_pruner_every_trial_trains_to_its_end():
    found = estimate(declared(), MEASURED, [27], workers=3, pausable=True)
    assert (found.most_epochs, found.likely_epochs) == (30 * 27, None)
    assert found.most_seconds == pytest.approx(10 + (30 * 27 * 2 + 30 * (5 + 1)) / 3)
    assert found.most_bytes == 30 * 1000 + 30 * 27 * 10


def test_asha_trains_a_third_of_the_trials_to_the_end_and_the_rest_to_the_first_rung():
    found = estimate(declared(pruner="asha"), MEASURED, [27], workers=1, pausable=True)  # rungs 1, 3 and 9
    assert found.likely_epochs == 30 * 1 + 10 * 26
    assert found.likely_seconds < found.most_seconds
    assert found.likely_bytes == 30 * 1000 + found.likely_epochs * 10 + 20 * 100


def test_of_runs_that_cannot_be_paused_the_first_rungs_stop_none():
    found = estimate(declared(pruner="asha"), MEASURED, [27], workers=1, pausable=False)  # a tenth of 27 is 3
    assert found.likely_epochs == 30 * 3 + 10 * 24


def test_later_trainings_of_a_trial_are_those_of_the_complete_runs():
    found = estimate(declared(pruner="asha"), MEASURED, [27, 4], workers=1, pausable=True)
    assert found.likely_epochs == 30 * 1 + 10 * 26 + 10 * 4
    assert found.most_epochs == 30 * 31


def test_other_seeds_are_trained_of_the_complete_runs():
    found = estimate(declared(pruner="asha", repeats=3), MEASURED, [27], workers=1, pausable=True)
    assert found.likely_epochs == 30 * 1 + 10 * 26 + 10 * 2 * 27
    assert found.most_epochs == 30 * 3 * 27
    assert found.most_seconds == pytest.approx(10 + 30 * 3 * (27 * 2 + 6))


def test_a_budget_of_epochs_and_a_timeout_bound_it():
    found = estimate(declared(budget_epochs=50), MEASURED, [27], workers=1, pausable=True)
    assert found.most_epochs == 50
    assert estimate(declared(timeout=60.0), MEASURED, [27], workers=1, pausable=True).most_seconds == 60


def test_no_more_workers_count_than_there_are_trials():
    one, many = (estimate(declared(trials=2), MEASURED, [27], workers=count, pausable=True) for count in (2, 64))
    assert one.most_seconds == many.most_seconds


def test_where_no_epochs_are_seen_trials_are_counted():
    found = estimate(declared(), Measured(load=1.0, other=3.0, run_bytes=7), [], workers=2, pausable=False)
    assert (found.most_epochs, found.most_seconds, found.most_bytes) == (None, 1 + 30 * 3 / 2, 30 * 7)
