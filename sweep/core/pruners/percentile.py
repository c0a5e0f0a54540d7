"""`median` and `percentile`: compare a run's best value with those of the COMPLETE runs at the same epoch.

The values at each step are kept sorted, so that a verdict takes microseconds in a study of ten trials and of ten
thousand.
"""

import bisect
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from sweep.core.pruners.rule import Judge, Rule, bounds, is_due
from sweep.core.pruners.verdict import Verdict
from sweep.objective import Objective
from sweep.words import counted


@dataclass(frozen=True)
class Percentile(Rule):
    """Stops a run whose best value is worse than a percentile of the COMPLETE runs' values at the same step."""

    name = "percentile"
    help = "as median with another percentile: percentile(25) keeps the best quarter"
    optuna = "PercentilePruner"

    percentile: float = field(metadata=bounds(0, 100))
    n_startup_trials: int = field(default=5, metadata=bounds(0))
    n_warmup_steps: int = field(default=0, metadata=bounds(0))
    interval_steps: int = field(default=1, metadata=bounds(1))
    n_min_trials: int = field(default=1, metadata=bounds(1), kw_only=True)

    def judge(self, objective: Objective, judge_of: Callable[[Rule], Judge]) -> Judge:  # noqa: ARG002  # a Rule's
        return _Judge(self, objective)

    @classmethod
    def sentence(cls, verdict: Verdict) -> str:
        at, step = verdict.details["best_epoch_index"], verdict.epoch_index
        own, bound = verdict.figures
        percentile = verdict.details["percentile"]
        called = "the median" if cls.name == "median" else f"percentile {percentile:g}"
        bar = f"is {verdict.side} {bound}, {called} of {counted(verdict.rivals or 0, 'run')} at"
        if at == step:
            return f"{verdict.objective} {own} at epoch {step + 1} {bar} that epoch"
        return f"the best {verdict.objective}, {own} at epoch {at + 1}, {bar} epoch {step + 1}"


@dataclass(frozen=True)
class Median(Percentile):
    """Stops a run whose best value is worse than the median of the COMPLETE runs' values at the same step."""

    name = "median"
    help = "stops a run whose best is worse than the median of finished runs at the same epoch; the default"
    optuna = "MedianPruner"

    percentile: float = field(default=50.0, init=False)


RULES = (Median, Percentile)


class _Judge(Judge):
    def __init__(self, rule: Percentile, objective: Objective) -> None:
        self._rule = rule
        self._objective = objective
        self._percentile = 100 - rule.percentile if objective.maximize else rule.percentile
        self._counted: set[int] = set()
        self._sorted: dict[int, list[float]] = {}  # by step, without NaN
        self._reported: Counter[int] = Counter()  # by step, with NaN

    def completed(self, trials: Mapping[int, Mapping[int, float]]) -> None:
        added: dict[int, list[float]] = defaultdict(list)
        for number, values in trials.items():
            if number in self._counted:
                continue
            self._counted.add(number)
            for step, value in values.items():
                self._reported[step] += 1
                if not math.isnan(value):
                    added[step].append(value)
        for step, values_there in added.items():
            column = self._sorted.setdefault(step, [])
            if len(values_there) == 1:
                bisect.insort(column, values_there[0])
            else:
                column.extend(values_there)
                column.sort()

    def verdict(self, number: int, values: Mapping[int, float]) -> Verdict | None:  # noqa: ARG002  # a Judge's
        rule, step = self._rule, max(values)
        if not self._counted or len(self._counted) < rule.n_startup_trials:
            return None
        if not is_due(rule.n_warmup_steps, rule.interval_steps, values) or self._reported[step] < rule.n_min_trials:
            return None
        column = self._sorted.get(step, [])
        threshold = _quantile(column, self._percentile / 100)
        best = self._objective.best(values.values())
        if math.isnan(threshold) or best is None or not self._objective.better(threshold, best):
            return None
        at = next(at for at, value in values.items() if value == best)
        details = {"percentile": self._percentile, "best_epoch_index": at}
        return Verdict(rule.name, self._objective.name, best, step, threshold, len(column), details)


def _quantile(ordered: list[float], fraction: float) -> float:
    """Linear interpolation between order statistics, number 7 of Hyndman and Fan, "Sample Quantiles in Statistical
    Packages", The American Statistician 50 (1996); rounded as numpy.percentile does. NaN for an empty list."""
    if not ordered:
        return math.nan
    place = (len(ordered) - 1) * fraction
    index = min(math.floor(place), len(ordered) - 1)
    low, high = ordered[index], ordered[min(index + 1, len(ordered) - 1)]
    part = place - index
    return high - (high - low) * (1 - part) if part >= 0.5 else low + (high - low) * part
