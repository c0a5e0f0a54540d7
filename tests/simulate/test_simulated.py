"""What simulations are summed up to."""

import math

import pytest

from sweep.simulate.replay import Replayed, Simulation
from sweep.simulate.simulated import reached, summed_up
from tests.simulate.banks import bank_of

BANK = bank_of([1.0], [2.0], [3.0], [4.0], [100.0])  # sd 2 / 1.349, so that 0.1 sd is up to 1.148, and 1 % up to 1.02
CLOSE = bank_of([1.0], [1.1], [3.0], [4.0], [100.0])


def simulation(*runs, spent=100, bank=BANK):
    """Runs as (curve, state, epochs of the study when it ended)."""
    made = []
    for number, (curve, state, ended) in enumerate(runs):
        value = bank.curves[curve].values[0] if state == "COMPLETE" else None
        made.append(Replayed(number, bank.curves[curve], 1, state, value, ended))
    return Simulation(made, spent)


def test_only_a_complete_run_has_found_the_best():
    assert reached(BANK, simulation((0, "PRUNED", 10), (1, "COMPLETE", 20)), 1.0) is None
    assert reached(BANK, simulation((1, "COMPLETE", 20), (0, "COMPLETE", 30)), 1.0) == 30


def test_epochs_are_geometric_means_with_the_budget_where_nothing_was_found():
    made = [simulation((0, "COMPLETE", 25)), simulation((1, "COMPLETE", 10))]
    found = summed_up(BANK, "tpe", "asha", made, 100)
    assert found.as_dict() == {
        "sampler": "tpe",
        "pruner": "asha",
        "simulations": 2,
        "budget_epochs": 100,
        "found_01sd": 0.5,
        "epochs_01sd": pytest.approx(50.0),
        "found_1pct": 0.5,
        "epochs_1pct": pytest.approx(50.0),
        "regret": pytest.approx(1 / BANK.sd / 2),
    }


def test_near_the_best_has_two_measures():
    found = summed_up(CLOSE, "tpe", "asha", [simulation((1, "COMPLETE", 25), bank=CLOSE)], 100)
    assert (found.found_01sd, found.found_1pct) == (1.0, 0.0)


def test_the_regret_is_that_of_the_studies_that_have_a_complete_run():
    made = [simulation((0, "PRUNED", 5)), simulation((2, "COMPLETE", 9), (1, "COMPLETE", 9))]
    found = summed_up(BANK, "tpe", "asha", made, 100)
    assert found.regret == pytest.approx(1 / BANK.sd)
    assert (found.empty, found.survived, found.complete) == (0.5, 0.5, 1.0)
    assert summed_up(BANK, "tpe", "asha", made[:1], 100).regret is None


def test_the_best_of_those_that_began_may_not_have_survived():
    pruned = simulation((0, "PRUNED", 5), (1, "COMPLETE", 9))
    assert summed_up(BANK, "tpe", "asha", [pruned], 100).survived == 0.0
    assert math.isclose(summed_up(BANK, "tpe", "asha", [simulation((1, "COMPLETE", 9))], 100).survived, 1.0)
