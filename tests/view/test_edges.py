"""The best run at the edge of its search space, and the change that widens it."""

import pytest
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)

from sweep.declaration import Declaration
from sweep.store import StudyRecord
from sweep.view.edges import edges
from tests.store_builder import DECLARATION, run


def study(**space):
    known = {name: [distribution_to_json(domain)] for name, domain in space.items()}
    return StudyRecord(1, "s", Declaration.stored(DECLARATION), {}, known, "/somewhere", 0.0, None, 0)


def found(domain, value, complete=20):
    return edges(study(x=domain), run(3, 0.5, params={"x": value}), complete)


@pytest.mark.parametrize(
    ("domain", "value", "said", "change"),
    [
        (
            FloatDistribution(1e-4, 1e-1, log=True),
            0.0981,
            "x 0.0981 is at the upper end of 0.0001 to 0.1",
            'trial.suggest_float("x", 0.0001, 1, log=True)',
        ),
        (
            FloatDistribution(1e-4, 1e-1, log=True),
            0.0001,
            "x 0.0001 is at the lower end of 0.0001 to 0.1",
            'trial.suggest_float("x", 1e-05, 0.1, log=True)',
        ),
        (
            FloatDistribution(0.0, 0.5),
            0.495,
            "x 0.495 is at the upper end of 0 to 0.5",
            'trial.suggest_float("x", 0, 0.75)',
        ),
        (FloatDistribution(-1.0, 1.0), -1.0, "x -1 is at the lower end of -1 to 1", 'trial.suggest_float("x", -2, 1)'),
        (IntDistribution(2, 5), 5, "x 5 is at the upper end of 2 to 5", 'trial.suggest_int("x", 2, 7)'),
        (IntDistribution(2, 5), 2, "x 2 is at the lower end of 2 to 5", 'trial.suggest_int("x", 1, 5)'),
        (
            IntDistribution(8, 64, log=True),
            64,
            "x 64 is at the upper end of 8 to 64",
            'trial.suggest_int("x", 8, 640, log=True)',
        ),
        (
            IntDistribution(16, 64, step=16),
            64,
            "x 64 is at the upper end of 16 to 64",
            'trial.suggest_int("x", 16, 88, step=16)',
        ),
        (
            CategoricalDistribution([16, 32, 64]),
            64,
            "x 64 is the largest of 16, 32, 64",
            'trial.suggest_categorical("x", [16, 32, 64, 128])',
        ),
        (
            CategoricalDistribution([16, 32, 64]),
            16,
            "x 16 is the smallest of 16, 32, 64",
            'trial.suggest_categorical("x", [8, 16, 32, 64])',
        ),
        (
            CategoricalDistribution([0, 16, 32]),
            0,
            "x 0 is the smallest of 0, 16, 32",
            'trial.suggest_categorical("x", [-16, 0, 16, 32])',
        ),
    ],
)
def test_a_value_at_an_edge_is_pointed_out_with_the_change_that_widens_it(domain, value, said, change):
    assert [(edge.said, edge.change) for edge in found(domain, value)] == [(said, change)]


@pytest.mark.parametrize(
    ("domain", "value"),
    [
        (FloatDistribution(1e-4, 1e-1, log=True), 0.01),
        (FloatDistribution(0.0, 0.5), 0.0),  # nothing lies below no dropout
        (IntDistribution(1, 8), 1),
        (IntDistribution(3, 3), 3),
        (CategoricalDistribution(["relu", "tanh", "elu"]), "relu"),
        (CategoricalDistribution([True, False]), True),
        (CategoricalDistribution([1, 2]), 2),
        (CategoricalDistribution([1, 2, 4]), 1),  # half a unit is none
    ],
)
def test_a_value_within_or_at_an_end_by_nature_is_not(domain, value):
    assert found(domain, value) == []


def test_a_few_runs_say_nothing_about_the_domain():
    assert found(IntDistribution(2, 5), 5, complete=7) == []
    assert len(found(IntDistribution(2, 5), 5, complete=8)) == 1


def test_a_study_without_a_best_run_has_no_edges():
    assert edges(study(x=IntDistribution(2, 5)), None, 20) == []
