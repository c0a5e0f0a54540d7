"""What a sampler proposes, as we want it: short numbers, and never again what has failed for its parameters."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from functools import lru_cache
from typing import Any, TypeVar

from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.samplers import BaseSampler, BruteForceSampler, GridSampler, PartialFixedSampler, RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from sweep.errors import StudyError
from sweep.words import one_line

Result = TypeVar("Result")

_log = logging.getLogger(__name__)

PRECISION = 3
"""Significant digits that rounding leaves at least."""

DISTINCT = 1000
"""The least number of different values that rounding leaves on any interval."""

TRIES = 10
"""How often a sampler is asked again instead of proposing what has failed; afterwards values are drawn at random."""


class Wrapper(BaseSampler):
    """A sampler that leaves what it does not change to another one."""

    def __init__(self, sampler: BaseSampler) -> None:
        self.sampler = sampler

    def __str__(self) -> str:
        return str(self.sampler)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self.sampler.infer_relative_search_space(study, trial)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self.sampler.before_trial(study, trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        self.sampler.after_trial(study, trial, state, values)

    def reseed_rng(self) -> None:
        self.sampler.reseed_rng()


def innermost(sampler: BaseSampler) -> BaseSampler:
    """Optuna's sampler that decides, without what is wrapped around it."""
    while isinstance(sampler, Wrapper | PartialFixedSampler):
        # `PartialFixedSampler` has no public attributes.
        sampler = sampler.sampler if isinstance(sampler, Wrapper) else sampler._base_sampler
    return sampler


class OwnSampler(Wrapper):
    """A sampler of the user's own, whose errors end the study as what they are.

    Args:
        spec: how it is written.
    """

    def __init__(self, sampler: BaseSampler, spec: str) -> None:
        super().__init__(sampler)
        self._spec = spec

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._tried(super().infer_relative_search_space, study, trial)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self._tried(super().before_trial, study, trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        self._tried(super().after_trial, study, trial, state, values)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._tried(self.sampler.sample_relative, study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._tried(self.sampler.sample_independent, study, trial, param_name, param_distribution)

    def _tried(self, asked: Callable[..., Result], *arguments: Any) -> Result:
        with own_errors("sampler", self._spec):
            return asked(*arguments)


@contextmanager
def own_errors(kind: str, spec: str) -> Iterator[None]:
    """Have what the user's own sampler or pruner raises end the study with an error that says whose it is.

    Raises:
        StudyError: it has raised an exception; Python's log has the traceback.
    """
    try:
        yield
    except Exception as error:
        _log.exception("the %s %s failed", kind, spec)
        raise StudyError(f"The {kind} {spec} failed: {one_line(f'{type(error).__name__}: {error}')}") from error


class AvoidingSampler(Wrapper):
    """A sampler that does not propose parameters again with which a trial failed because of them.

    Args:
        sampler: any Optuna sampler; grids, which propose nothing twice, are left alone.
        failed: the parameters of the trials that failed so.
        seed: of the values that are drawn at random where the sampler proposes nothing else.
    """

    def __init__(
        self, sampler: BaseSampler, failed: Callable[[], Sequence[Mapping[str, Any]]], seed: int | None
    ) -> None:
        super().__init__(sampler)
        self._failed = failed
        self._on_grid = isinstance(innermost(sampler), GridSampler | BruteForceSampler)
        self._random = RandomSampler(seed)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        suggested = self.sampler.sample_relative(study, trial, search_space)
        for _ in range(TRIES):
            if not suggested or not self._has_failed({**trial.params, **suggested}):
                break
            suggested = self.sampler.sample_relative(study, trial, search_space)
        return suggested

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        value = self.sampler.sample_independent(study, trial, param_name, param_distribution)
        for tried in range(2 * TRIES):
            if not self._has_failed({**trial.params, param_name: value}):
                break
            sampler = self.sampler if tried < TRIES else self._random
            value = sampler.sample_independent(study, trial, param_name, param_distribution)
        return value

    def _has_failed(self, params: Mapping[str, Any]) -> bool:
        return not self._on_grid and any(params == failed for failed in self._failed())


class RoundingSampler(Wrapper):
    """A sampler whose continuous suggestions have few digits.

    A suggestion is rounded to 3 significant digits or to a thousandth of its range (in a log domain: of the range of
    its logarithm), whichever is finer, and stays inside the range. What someone chose is never rounded: the steps of a
    stepped domain (only freed of binary noise, 0.9 and not 0.8999999999999999), values on a grid, parameters fixed by
    `PartialFixedSampler`; enqueued ones do not come from a sampler. Everything else is the wrapped sampler's own doing.

    Args:
        sampler: any Optuna sampler.
    """

    def __init__(self, sampler: BaseSampler) -> None:
        super().__init__(sampler)
        self._fixed: set[str] = set()
        while isinstance(sampler, PartialFixedSampler):  # it has no public attributes, and may wrap another one
            self._fixed.update(sampler._fixed_params)
            sampler = sampler._base_sampler
        self._on_grid = isinstance(innermost(sampler), GridSampler | BruteForceSampler)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        suggested = self.sampler.sample_relative(study, trial, search_space)
        return {name: self._rounded(name, value, search_space.get(name)) for name, value in suggested.items()}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        value = self.sampler.sample_independent(study, trial, param_name, param_distribution)
        return self._rounded(param_name, value, param_distribution)

    def _rounded(self, name: str, value: Any, distribution: BaseDistribution | None) -> Any:
        if self._on_grid or name in self._fixed:
            return value
        if not isinstance(distribution, FloatDistribution):
            return value
        return round_within(value, distribution) if distribution.step is None else on_step(value, distribution)


def round_within(value: float, distribution: FloatDistribution) -> float:
    """A value of a continuous domain with few digits, inside its range.

    Decimal arithmetic, so that the result is the float nearest to a short decimal, which is then its shortest
    `repr`.
    """
    if distribution.low == distribution.high:
        return value
    low, high, span = _bounds(distribution.low, distribution.high, distribution.log)
    exact = Decimal(repr(float(value)))
    # Near a value the logarithm's thousandth is the value times that: d(log x) = dx / x.
    place = (span * abs(exact) if distribution.log else span).adjusted()
    if exact:
        place = min(place, exact.adjusted() - PRECISION + 1)
    unit = Decimal(1).scaleb(place)
    rounded = exact.quantize(unit)
    # A unit is at most a thousandth of the range, so the next value inward is inside it.
    if rounded < low:
        rounded += unit
    elif rounded > high:
        rounded -= unit
    return float(rounded) + 0.0  # no negative zero


def on_step(value: float, distribution: FloatDistribution) -> float:
    """A value of a stepped domain as its decimals say it: 0.9 where Optuna adds 0.3 up to 0.8999999999999999."""
    low, step = Decimal(repr(distribution.low)), Decimal(repr(distribution.step))
    return float(low + round((Decimal(repr(float(value))) - low) / step) * step) + 0.0


@lru_cache(maxsize=256)
def _bounds(low: float, high: float, log: bool) -> tuple[Decimal, Decimal, Decimal]:
    """The ends of a range, and a thousandth of it or of its logarithm."""
    first, last = Decimal(repr(low)), Decimal(repr(high))
    return first, last, ((last / first).ln() if log else last - first) / DISTINCT
