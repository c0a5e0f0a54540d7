"""Which of two values is better, and which run is the best: the same one that Optuna calls so."""

import math

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import TrialState, create_trial

from sweep.objective import Objective
from sweep.store import RunRecord

LOSS, SCORE = Objective("loss"), Objective("score", "maximize")


@pytest.mark.parametrize(
    ("value", "than", "lower", "higher"),
    [
        (1.0, 2.0, True, False),
        (2.0, 1.0, False, True),
        (1.0, 1.0, False, False),
        (0.0, -0.0, False, False),
        (1.0, None, True, True),
        (None, 1.0, False, False),
        (None, None, False, False),
        (math.nan, 1.0, False, False),
        (1.0, math.nan, True, True),
        (math.nan, None, False, False),
        (-math.inf, 1.0, True, False),
        (math.inf, math.nan, True, True),
        (math.inf, math.inf, False, False),
    ],
)
def test_a_value_is_better_than_another_only_where_it_is_strictly_so(value, than, lower, higher):
    assert LOSS.better(value, than) is lower
    assert SCORE.better(value, than) is higher


def test_the_best_of_values_is_a_number_if_there_is_one():
    assert LOSS.best([3.0, None, math.nan, 1.0, 2.0]) == 1.0
    assert SCORE.best([3.0, None, math.nan, 1.0]) == 3.0
    assert LOSS.best([None, math.nan]) is None


VALUES = st.one_of(st.integers(-3, 3).map(float), st.sampled_from([math.inf, -math.inf]))
CONSTRAINTS = st.dictionaries(st.sampled_from(["size", "time"]), st.integers(-1, 1).map(float))
ENDS = st.lists(
    st.tuples(st.sampled_from(["COMPLETE", "COMPLETE", "PRUNED", "FAIL", "RUNNING"]), VALUES, CONSTRAINTS), max_size=8
)


@given(ends=ENDS, direction=st.sampled_from(["minimize", "maximize"]))
def test_the_first_of_the_ranking_is_optunas_best_trial(ends, direction):
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction=direction)
    runs = []
    for number, (state, value, constraints) in enumerate(ends):
        attributes = {f"constraints:{name}": bound for name, bound in constraints.items()}
        reported = {0: value} if state == "PRUNED" else {}
        returned = value if state in ("COMPLETE", "PRUNED") else None  # that of a pruned one is its last report
        study.add_trial(
            create_trial(state=TrialState[state], value=returned, system_attrs=attributes, intermediate_values=reported)
        )
        values = [value] if state == "COMPLETE" else None
        runs.append(RunRecord(number, state=state, values=values, constraints=constraints))
    try:
        best = study.best_trial.number
    except ValueError:  # no trial is complete and feasible
        best = None
    ranked = Objective("loss", direction).rank(runs)
    assert (ranked[0].number if ranked else None) == best
