"""One simulated study."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweep.core.pruners.asha import complete_of
from sweep.errors import StudyError
from sweep.simulate.bank import bank_of_study
from sweep.simulate.replay import replay
from sweep.store import Store
from tests.control.started import Folder
from tests.simulate.banks import bank_of, random_bank

PRUNERS = [
    "asha",
    "asha(rungs=[1, 2, 12])",
    "median",
    "halving(1, 2)",
    "hyperband",
    "patient(median, patience=1)",
    "nop",
]
DOWN = [0.5, 0.4, 0.3, 0.2]


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(PRUNERS),
    st.sampled_from(["recorded", "random", "tpe"]),
    st.none() | st.integers(1, 40),
    st.none() | st.integers(1, 400),
    st.integers(1, 4),
    st.integers(0, 5),
)
def test_no_run_exceeds_its_curve_and_no_study_its_limits(pruner, sampler, trials, budget, workers, seed):
    bank = random_bank(seed=seed)
    done = replay(bank, pruner, sampler, trials=trials, budget=budget, workers=workers, seed=seed)
    assert done.spent == sum(run.epochs for run in done.runs)
    assert budget is None or done.spent <= budget
    assert len(done.runs) <= min(len(bank.curves), trials or len(bank.curves))
    assert len({run.curve.number for run in done.runs}) == len(done.runs)
    assert {run.state for run in done.runs} <= {"COMPLETE", "PRUNED"}
    for run in done.runs:
        assert run.epochs <= len(run.curve.values)
        assert run.ended <= done.spent
        assert (run.value is not None) == (run.state == "COMPLETE")
        assert run.state == "PRUNED" or run.epochs == len(run.curve.values)
    if budget is None:
        assert len(done.runs) == min(len(bank.curves), trials or len(bank.curves))


@given(st.integers(1, 30), st.integers(1, 3))
def test_without_a_pruner_every_epoch_is_trained(trials, workers):
    bank = random_bank()
    done = replay(bank, "nop", trials=trials, workers=workers)
    assert [run.epochs for run in done.runs] == [len(curve.values) for curve in bank.curves[:trials]]


@settings(deadline=None)
@given(st.integers(1, 30), st.integers(1, 3), st.sampled_from(["recorded", "random"]), st.integers(0, 5), st.booleans())
def test_a_study_that_pauses_ends_with_as_many_complete_runs_as_it_should(trials, workers, sampler, seed, pausable):
    curves = [[value for value in curve.values if not math.isnan(value)] for curve in random_bank(seed=seed).curves]
    bank = bank_of(*(curve + [1.0] * (12 - len(curve)) for curve in curves))
    done = replay(bank, "asha", sampler, trials=trials, workers=workers, seed=seed, pausable=pausable)
    assert sum(run.state == "COMPLETE" for run in done.runs) >= complete_of(trials, pausable=pausable)


@settings(deadline=None)
@given(st.integers(12, 120), st.sampled_from(["recorded", "random"]), st.integers(0, 5))
def test_epochs_that_suffice_for_a_whole_run_give_one(budget, sampler, seed):
    curves = [[value for value in curve.values if not math.isnan(value)] for curve in random_bank(seed=seed).curves]
    bank = bank_of(*(curve + [1.0] * (12 - len(curve)) for curve in curves))
    done = replay(bank, "asha", sampler, budget=budget, seed=seed)
    assert any(run.state == "COMPLETE" for run in done.runs)
    assert done.spent == min(budget, 360)


def test_a_simulation_is_repeated_by_its_seed():
    bank = random_bank()
    assert replay(bank, "asha", "tpe", seed=3) == replay(bank, "asha", "tpe", seed=3)
    assert replay(bank, "asha", "tpe", seed=3) != replay(bank, "asha", "tpe", seed=4)


def test_a_run_ends_as_its_curve_does():
    bank = bank_of([0.5, math.nan, 0.1], ([0.4, 0.3], "FAIL"), ([0.4], "PRUNED"), [0.3, 0.5], ([], "FAIL"))
    done = replay(bank, "nop")
    assert [(run.state, run.epochs, run.value) for run in done.runs] == [
        ("PRUNED", 2, None),
        ("FAIL", 2, None),
        ("PRUNED", 1, None),
        ("COMPLETE", 2, 0.3),
        ("FAIL", 0, None),
    ]
    assert done.spent == 7


def test_the_best_of_three_pauses_first_and_continues_before_the_fourth_begins():
    bank = bank_of(*([value, value, value, value] for value in (0.5, 0.4, 0.6, 0.7)))
    done = replay(bank, "asha(rungs=[1])", budget=6)
    assert [(run.epochs, run.state, run.ended) for run in done.runs] == [
        (1, "PRUNED", 6),
        (4, "COMPLETE", 6),
        (1, "PRUNED", 6),
    ]


def test_workers_train_at_a_time():
    bank = bank_of(DOWN, DOWN, DOWN, DOWN)
    done = replay(bank, "nop", workers=2)
    assert [run.ended for run in done.runs] == [7, 8, 15, 16]


@pytest.mark.parametrize(("pruner", "sampler"), [("nosuch", "tpe"), ("median", "nosuch")])
def test_a_spec_that_is_none_is_refused(pruner, sampler):
    with pytest.raises(StudyError, match="nosuch"):
        replay(random_bank(), pruner, sampler)


CROSSING = """
    x = trial.suggest_float("x", -1, 1)
    epochs = sweep.epochs(trial, 9)
    done = epochs.resumed["done"] if epochs.resumed else 0
    for epoch in epochs:
        done += 1
        epochs.report({"loss": abs(x) ** (3 / done) + (7 * x * done) % 1 / done}, {"done": done})
    return epochs.value
"""


@pytest.mark.parametrize("pruner", ["median(n_startup_trials=3)", "asha(rungs=[1, 3])", "halving(1, 2)"])
def test_in_recorded_order_a_pruner_decides_as_in_a_live_study(tmp_path, pruner):
    """The same configurations twice, trained whole and with the pruner: the first study foretells the second."""
    folder = Folder(tmp_path, CROSSING, "trials=16, workers=1, seed=7, sampler='random'")
    for name, spec in (("whole", "nop"), ("live", pruner)):
        done = folder.start("--name", name, "--pruner", spec)
        assert done.returncode == 0, done.stderr
    store = Store(folder.url)
    try:
        study = store.study("whole")
        bank = bank_of_study(study, store.runs(study.study_id), store.metrics(study.study_id))
    finally:
        store.close()
    simulated = replay(bank, pruner)
    live = folder.runs("live")
    assert [run.params for run in live] == [run.curve.params for run in simulated.runs]
    assert [(run.state, run.epoch, run.value) for run in live] == [
        (run.state, run.epochs, run.value) for run in simulated.runs
    ]
    assert {run.state for run in live} == {"COMPLETE", "PRUNED"}
