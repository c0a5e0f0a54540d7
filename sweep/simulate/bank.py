"""A bank: configurations with their whole learning curves, from a study's runs or from a file."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    json_to_distribution,
)

from sweep.errors import SweepError
from sweep.names import Value
from sweep.objective import Objective
from sweep.store import RunRecord, StudyRecord
from sweep.store.store import Epochs
from sweep.words import counted

FEWEST = 3
"""With fewer curves there is nothing to simulate."""

DRAWN = 10
"""With fewer unpruned runs, every whole curve is used."""


@dataclass(frozen=True)
class Curve:
    """One configuration and what its run reported.

    Attributes:
        number: the trial's.
        params: its parameters.
        values: the objective after each epoch until the run ended by itself; NaN where it was not finite.
        state: how it ended: COMPLETE, FAIL, or PRUNED by a finding.
    """

    number: int
    params: Mapping[str, Value]
    values: Sequence[float]
    state: str = "COMPLETE"


@dataclass(frozen=True)
class Bank:
    """Configurations with their learning curves, in the order in which they were tried.

    Attributes:
        name: the study's.
        objective: what the curves show.
        epochs: how many the longest curve has.
        space: each parameter's distribution.
        curves: at least `FEWEST`.
        left_out: how many runs of the study are not in it, most of them since a pruner stopped them.
        drawn: whether the curves are those that the study's pruner left alone, a random sample of all.
    """

    name: str
    objective: Objective
    epochs: int
    space: Mapping[str, BaseDistribution]
    curves: Sequence[Curve]
    left_out: int = 0
    drawn: bool = False

    @cached_property
    def bests(self) -> list[float]:
        """The best value of each curve that has one, best first."""
        found = [self.objective.best(value for value in curve.values if math.isfinite(value)) for curve in self.curves]
        return sorted((best for best in found if best is not None), reverse=self.objective.maximize)

    @property
    def best(self) -> float:
        """The best value of all."""
        return self.bests[0]

    @cached_property
    def sd(self) -> float:
        """The standard deviation of the curves' bests, from their interquartile range."""
        return abs(_quantile(self.bests, 0.75) - _quantile(self.bests, 0.25)) / 1.349

    def within_sd(self, share: float) -> float:
        """The value that is so many standard deviations worse than the best."""
        return self.best + self._worse * share * self.sd

    def within_range(self, share: float) -> float:
        """The value that is worse than the best by a share of the range between the median and the best."""
        return self.best + share * (_quantile(self.bests, 0.5) - self.best)

    def regret(self, value: float) -> float:
        """How far a value is from the best, in standard deviations."""
        return self._worse * (value - self.best) / self.sd if self.sd else 0.0

    @property
    def _worse(self) -> float:
        return -1.0 if self.objective.maximize else 1.0


def bank_of_study(study: StudyRecord, runs: Sequence[RunRecord], metrics: Mapping[int, Epochs]) -> Bank:
    """The bank that a study's runs are. Runs that a pruner or a person cut short, and those that run, are left out.

    Where it has cut runs, and left enough others alone (`--unpruned`), these are the bank: runs that are whole since
    they were among the best are no sample of what a search space has.

    Args:
        study: with one objective.
        runs: all its runs.
        metrics: every metric of every epoch, by run number.

    Raises:
        SweepError: the study has several objectives, or too few whole curves.
    """
    name = study.name
    if len(study.declaration.objective) > 1:
        raise SweepError(f"Study {name} has several objectives, and pruners judge one. There is nothing to simulate.")
    objective = study.declaration.objectives[0]
    every = [
        Curve(run.number, run.params, _values(run, metrics.get(run.number, {}), objective), run.state)
        for run in runs
        if _is_whole(run)
    ]
    whole = [curve for curve in every if curve.state != "COMPLETE" or any(map(math.isfinite, curve.values))]
    drawn = [curve for curve in whole if study.declaration.leaves_unpruned(curve.number)]
    curves = drawn if len(drawn) >= DRAWN and len(whole) < len(runs) else whole
    hint = f"Only runs that no pruner has stopped count. Begin a study for it: sweep start FILE --name {name}-whole"
    space = {
        parameter: _merged([json_to_distribution(text) for text in known]) for parameter, known in study.space.items()
    }
    return _checked(
        Bank(name, objective, _longest(curves), space, curves, len(runs) - len(curves), drawn=curves is drawn),
        f"{hint} --pruner nop, or --unpruned 10%",
    )


def bank_of_file(path: Path) -> Bank:
    """The bank in a JSON file.

    It holds an object: `name`; `objective` and `direction`, as a study has them; `space`, the distribution of each
    parameter as `optuna.distributions.distribution_to_json` writes it; and `runs`, a list of objects with `number`,
    `params` and `curve`, the objective after each epoch, null where it was not finite.

    Raises:
        SweepError: there is no such file, or it holds something else.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        curves = [
            Curve(run["number"], run["params"], [_number(value) for value in run["curve"]]) for run in found["runs"]
        ]
        space = {name: json_to_distribution(_text(known)) for name, known in found["space"].items()}
        objective = Objective(found["objective"], found.get("direction", "minimize"))
        name = str(found.get("name", path.stem))
    except OSError as error:
        raise SweepError(f"Cannot read {path}: {error.strerror}.") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SweepError(
            f"{path} does not hold learning curves: {type(error).__name__}: {error}",
            "It should be a JSON object with name, objective, direction, space and runs: see docs/simulate.md.",
        ) from None
    return _checked(Bank(name, objective, _longest(curves), space, curves), "")


def _checked(bank: Bank, hint: str) -> Bank:
    if len(bank.bests) < FEWEST:
        there = counted(len(bank.bests), "whole learning curve")
        raise SweepError(
            f"{bank.name} has {there}, and a simulation needs at least {FEWEST}.",
            hint or None,
        )
    return bank


def _longest(curves: Sequence[Curve]) -> int:
    return max((len(curve.values) for curve in curves), default=0)


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _text(known: Any) -> str:
    return known if isinstance(known, str) else json.dumps(known)


def _is_whole(run: RunRecord) -> bool:
    """Whether a run ended by itself: it is COMPLETE, it failed, or a finding or NaN ended it."""
    if run.state != "PRUNED":
        return run.state == "COMPLETE" or (run.state == "FAIL" and run.is_trained_here)
    broken = any(found.severe for found in run.findings) or (run.last is not None and not math.isfinite(run.last))
    return run.verdict is None and broken


def _values(run: RunRecord, epochs: Epochs, objective: Objective) -> list[float]:
    """The values that pruners saw, by epoch."""
    judged = run.judged_training
    first = judged.first if judged is not None else 0
    last = first + judged.epochs if judged is not None else max(epochs, default=-1) + 1
    name = judged.monitor if judged is not None and judged.monitor else objective.name
    return [epochs.get(epoch, {}).get(name, math.nan) for epoch in range(first, last)]


def _merged(known: Sequence[BaseDistribution]) -> BaseDistribution:
    """One distribution that has the values of several, with which one parameter was suggested."""
    first = known[0]
    if len(known) == 1:
        return first
    if all(isinstance(one, CategoricalDistribution) for one in known):
        choices = dict.fromkeys(choice for one in known for choice in one.choices)  # type: ignore[attr-defined]
        return CategoricalDistribution(tuple(choices))
    numbers = [one for one in known if isinstance(one, IntDistribution | FloatDistribution)]
    if len(numbers) < len(known):  # numbers in one trial, choices in another: the last ones
        return known[-1]
    low, high = min(one.low for one in numbers), max(one.high for one in numbers)
    log = all(one.log for one in numbers)
    if all(isinstance(one, IntDistribution) for one in numbers):
        return IntDistribution(int(low), int(high), log=log)
    return FloatDistribution(low, high, log=log)


def _quantile(ordered: Sequence[float], share: float) -> float:
    """A quantile of sorted numbers, with linear interpolation."""
    place = (len(ordered) - 1) * share
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)
