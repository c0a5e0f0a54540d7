"""Rounding: short numbers, always inside the range, enough of them, and nothing else about a sampler changed."""

import math
from decimal import Decimal
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution
from optuna.samplers import BaseSampler, GridSampler, NSGAIISampler, PartialFixedSampler, RandomSampler, TPESampler
from optuna.trial import TrialState

from sweep.control.sampler import DISTINCT, PRECISION, RoundingSampler, on_step, round_within
from tests import strategies

optuna.logging.set_verbosity(optuna.logging.WARNING)


@pytest.mark.parametrize(
    ("value", "low", "high", "log", "rounded"),
    [
        (0.0011843, 1e-5, 1e-1, True, 0.00118),
        (0.0000213579, 1e-6, 1e-4, True, 0.00002136),
        (0.31278, 0.0, 0.5, False, 0.3128),
        (0.31278, 0.0, 1.0, False, 0.313),
        (0.0123456, 0.0, 1.0, False, 0.0123),
        (123.456, 0.0, 1000.0, False, 123.0),
        (123.456, 100.0, 200.0, False, 123.5),
        (0.99934567, 0.999, 0.99999, False, 0.9993457),
        (0.99934567, 0.999, 0.99999, True, 0.9993457),
        (1000012.3456, 1000000.0, 1000100.0, False, 1000012.3),
        (1000012.3456, 1000000.0, 1000100.0, True, 1000012.35),
        (-0.31278, -1.0, 1.0, False, -0.313),
        (-0.0, -1.0, 1.0, False, 0.0),
        (1.234567e-9, -1.0, 1.0, False, 1.23e-9),
        (0.33333333, 0.0, 0.33333333, False, 0.3333),
        (0.66666666, 0.0, 0.66666666, False, 0.6666),
        (0.12341, 0.12341, 1.0, False, 0.1235),
        (0.7, 0.7, 0.7, False, 0.7),
        (1.23456e-320, 1e-323, 1.0, True, 1.23e-320),
        (1.23456e300, 1.0, 1.7e308, True, 1.23e300),
    ],
)
def test_a_value_is_rounded_to_three_digits_or_a_thousandth_of_its_range(
    value: float, low: float, high: float, log: bool, rounded: float
) -> None:
    result = round_within(value, FloatDistribution(low, high, log=log))
    assert repr(result) == repr(rounded)


@given(st.data())
def test_a_rounded_value_is_inside_its_range_and_as_near_as_promised(data: st.DataObject) -> None:
    domain = data.draw(strategies.continuous())
    value = data.draw(st.floats(domain.low, domain.high))
    rounded = round_within(value, domain)
    assert domain.low <= rounded <= domain.high
    # Half a unit to the nearest, a whole one where that would leave the range; and the error of floats themselves.
    spread = abs(value) * math.log(domain.high / domain.low) if domain.log else domain.high - domain.low
    if value:
        spread = min(spread / DISTINCT, abs(value) * 10.0 ** (1 - PRECISION))
    assert abs(rounded - value) <= spread * (1 + 1e-9) + math.ulp(value)


INTERVALS = [
    (0.999, 0.99999),
    (1_000_000.0, 1_000_100.0),
    (1e-5, 1e-1),
    (0.5, 0.51),
    (1.0, 2.0),
    (9.99, 10.01),
    (1 / 3, 2 / 3),
    (99_999.95, 100_000.05),
    (1e-320, 1e-300),
    (1e300, 1.1e300),
]


@pytest.mark.parametrize(("low", "high"), INTERVALS)
@pytest.mark.parametrize("log", [False, True])
def test_at_least_a_thousand_distinct_values_are_left_on_any_interval(low: float, high: float, log: bool) -> None:
    domain = FloatDistribution(low, high, log=log)
    even = np.exp(np.linspace(math.log(low), math.log(high), 20_000)) if log else np.linspace(low, high, 20_000)
    rounded = {round_within(value, domain) for value in np.clip(even, low, high).tolist()}
    assert len(rounded) >= DISTINCT
    assert low <= min(rounded) <= max(rounded) <= high


@settings(max_examples=25)
@given(st.data())
def test_at_least_a_thousand_distinct_values_are_left_on_any_interval_that_holds_them(data: st.DataObject) -> None:
    domain = data.draw(strategies.continuous())
    assume((domain.high - domain.low) / max(abs(domain.low), abs(domain.high)) > 1e-9)
    if domain.log:
        even = np.exp(np.linspace(math.log(domain.low), math.log(domain.high), 4_000))
    else:
        even = np.linspace(domain.low / 2, domain.high / 2, 4_000) * 2
    rounded = {round_within(value, domain) for value in np.clip(even, domain.low, domain.high).tolist()}
    assert len(rounded) >= DISTINCT


def objective(trial: optuna.Trial) -> float:
    rate = trial.suggest_float("rate", 1e-5, 1e-1, log=True)
    drop = trial.suggest_float("drop", 0.0, 0.5)
    step = trial.suggest_float("step", 0.0, 1.0, step=0.125)
    units = trial.suggest_int("units", 8, 64, log=True)
    late = trial.suggest_float("late", 0.999, 0.99999) if trial.suggest_categorical("more", [True, False]) else 0.0
    return rate + drop + step + units + late


SAMPLERS: list[BaseSampler] = [
    RandomSampler(seed=1),
    TPESampler(seed=1, n_startup_trials=4),
    TPESampler(seed=1, n_startup_trials=4, multivariate=False, constant_liar=False),
    NSGAIISampler(seed=1, population_size=4),
]


def shortest(value: float) -> int:
    """Significant digits of a float's shortest decimal."""
    return len(np.format_float_scientific(value, trim="-").split("e")[0].replace(".", "").strip("-"))


@pytest.mark.parametrize("sampler", SAMPLERS, ids=str)
def test_every_suggestion_of_a_sampler_is_stored_short(sampler: BaseSampler) -> None:
    study = optuna.create_study(sampler=RoundingSampler(sampler))
    study.optimize(objective, n_trials=20)
    assert all(trial.state is TrialState.COMPLETE for trial in study.trials)
    assert max(shortest(trial.params["rate"]) for trial in study.trials) <= 4
    assert max(shortest(trial.params["drop"]) for trial in study.trials) <= 4
    assert max(shortest(trial.params.get("late", 0.0)) for trial in study.trials) <= 7
    assert {trial.params["step"] % 0.125 for trial in study.trials} == {0.0}


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_a_quasi_monte_carlo_sampler_is_rounded_as_well() -> None:
    sampler = optuna.samplers.QMCSampler(seed=1, warn_independent_sampling=False)
    study = optuna.create_study(sampler=RoundingSampler(sampler))
    study.optimize(lambda trial: trial.suggest_float("rate", 1e-5, 1e-1, log=True), n_trials=8)
    assert max(shortest(trial.params["rate"]) for trial in study.trials) <= 4
    assert len({trial.params["rate"] for trial in study.trials}) == 8


def test_rounding_changes_no_draw_of_a_random_sampler() -> None:
    plain, rounded = (
        optuna.create_study(sampler=sampler)
        for sampler in (RandomSampler(seed=3), RoundingSampler(RandomSampler(seed=3)))
    )
    for study in (plain, rounded):
        study.optimize(objective, n_trials=10)
    for before, after in zip(plain.trials, rounded.trials, strict=True):
        assert after.params.keys() == before.params.keys()
        for name, value in before.params.items():
            assert after.params[name] == pytest.approx(value, rel=0.01)


AWKWARD = [0.123456789, 0.4999999]


def test_values_of_a_grid_are_left_alone() -> None:
    study = optuna.create_study(sampler=RoundingSampler(GridSampler({"drop": AWKWARD})))
    study.optimize(lambda trial: trial.suggest_float("drop", 0.0, 0.5), n_trials=2)
    assert sorted(trial.params["drop"] for trial in study.trials) == AWKWARD


def test_enqueued_values_are_left_alone() -> None:
    study = optuna.create_study(sampler=RoundingSampler(RandomSampler(seed=1)))
    study.enqueue_trial({"drop": AWKWARD[0]})
    study.optimize(lambda trial: trial.suggest_float("drop", 0.0, 0.5), n_trials=1)
    assert study.trials[0].params == {"drop": AWKWARD[0]}


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("within", [True, False])
def test_fixed_values_are_left_alone_whichever_wraps_the_other(within: bool) -> None:
    base, fixed = RandomSampler(seed=1), {"drop": AWKWARD[0]}
    sampler: BaseSampler = (
        RoundingSampler(PartialFixedSampler({}, PartialFixedSampler(fixed, base)))
        if within
        else PartialFixedSampler(fixed, RoundingSampler(base))
    )
    study = optuna.create_study(sampler=sampler)
    study.optimize(objective, n_trials=5)
    assert {trial.params["drop"] for trial in study.trials} == {AWKWARD[0]}
    assert max(shortest(trial.params["rate"]) for trial in study.trials) <= 4


def test_everything_else_is_left_to_the_wrapped_sampler() -> None:
    class Witness(RandomSampler):
        def __init__(self) -> None:
            super().__init__(seed=1)
            self.called: list[str] = []

        def reseed_rng(self) -> None:
            self.called.append("reseed_rng")

        def before_trial(self, *args: Any) -> None:
            self.called.append("before_trial")

        def infer_relative_search_space(self, *args: Any) -> dict[str, Any]:
            self.called.append("infer_relative_search_space")
            return {}

        def after_trial(self, *args: Any) -> None:
            self.called.append("after_trial")

    witness = Witness()
    study = optuna.create_study(sampler=RoundingSampler(witness))
    study.optimize(lambda trial: trial.suggest_float("drop", 0.0, 0.5), n_trials=1)
    study.sampler.reseed_rng()
    assert witness.called == ["before_trial", "infer_relative_search_space", "after_trial", "reseed_rng"]
    assert str(study.sampler) == str(witness)


@pytest.mark.parametrize(("low", "step", "count"), [(0.0, 0.3, 4), (0.1, 0.1, 10), (1e-5, 1e-5, 7), (-1.0, 0.7, 3)])
def test_a_step_is_the_decimal_that_its_domain_says_and_optuna_takes_it(low, step, count):
    high = float(Decimal(repr(low)) + (count - 1) * Decimal(repr(step)))
    distribution = FloatDistribution(low, high, step=step)
    for number in range(count):
        value = on_step(low + number * step, distribution)
        assert value == float(Decimal(repr(low)) + number * Decimal(repr(step)))
        assert distribution._contains(value)
