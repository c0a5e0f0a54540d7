"""The rules that stop trials, each with a reason that a person can check.

The rules and their settings are Optuna's, and so are the verdicts: a property test compares them. Median, percentile,
threshold and patient decide here, the first two from an index of all finished trials' values at each step, kept sorted,
so that a verdict costs the same microseconds in a study of ten trials and of ten thousand. Successive halving and
hyperband decide through Optuna's pruner, which notes each rung with the trial.
"""

import bisect
import copy
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from optuna import Study
from optuna.pruners import BasePruner, HyperbandPruner
from optuna.trial import FrozenTrial, TrialState

from sweep.objective import Objective
from sweep.specs import Spec, build


@dataclass(frozen=True)
class Verdict:
    """Whether to stop a trial after an epoch.

    `reason` is one line that a person can check, and empty where the trial goes on. `threshold` is the value the trial
    is held against, `rivals` the number of other trials behind it; both None where the rule has none or none yet.
    """

    prune: bool
    reason: str = ""
    threshold: float | None = None
    rivals: int | None = None


GO_ON = Verdict(False)
_RUNG = "completed_rung_"  # Optuna's SuccessiveHalvingPruner: the value with which a trial reached a rung


class Rule:
    """Stops nothing, as `nop` does; the others say what they stop."""

    def __init__(self, spec: Spec, study: Study, objective: str) -> None:
        self._name = spec.name
        self._settings = spec.settings
        self._objective = objective
        self._goal = Objective(objective, study.directions[0].name.lower())
        self._maximize = self._goal.maximize

    def judge(self, trial: FrozenTrial, values: Mapping[int, float]) -> Verdict:  # noqa: ARG002  # others use it
        """The verdict on a trial with its values by step, the last of them finite."""
        return GO_ON

    def ended(self, trial: FrozenTrial) -> None:
        """Take note of a finished trial."""


class _Percentile(Rule):
    """Stops a trial whose best value is worse than a percentile of the COMPLETE trials' values at the same step."""

    def __init__(self, spec: Spec, study: Study, objective: str) -> None:
        super().__init__(spec, study, objective)
        percentile = spec.settings.get("percentile", 50.0)
        self._percentile = 100 - percentile if self._maximize else percentile
        self._called = "the median" if spec.name == "median" else f"percentile {self._percentile:g}"
        self._counted: set[int] = set()
        self._sorted: dict[int, list[float]] = {}  # by step, without NaN
        self._reported: Counter[int] = Counter()  # by step, with NaN
        for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
            self._counted.add(trial.number)
            for step, value in _numbers(trial.intermediate_values.items(), self._reported):
                self._sorted.setdefault(step, []).append(value)
        for column in self._sorted.values():
            column.sort()

    def ended(self, trial: FrozenTrial) -> None:
        if trial.state == TrialState.COMPLETE and trial.number not in self._counted:
            self._counted.add(trial.number)
            for step, value in _numbers(trial.intermediate_values.items(), self._reported):
                bisect.insort(self._sorted.setdefault(step, []), value)

    def judge(self, trial: FrozenTrial, values: Mapping[int, float]) -> Verdict:  # noqa: ARG002  # others use it
        if not self._counted or len(self._counted) < self._settings["n_startup_trials"]:
            return GO_ON
        step = max(values)
        if not _due(self._settings, values, step) or self._reported[step] < self._settings["n_min_trials"]:
            return GO_ON
        column = self._sorted.get(step, [])
        threshold = _quantile(column, self._percentile / 100)
        if math.isnan(threshold):
            return GO_ON
        best = self._goal.best(values.values())
        if best is None or not self._goal.better(threshold, best):
            return Verdict(False, threshold=threshold, rivals=len(column))
        reason = self._reason(values, step, best, threshold, len(column))
        return Verdict(True, reason, threshold, len(column))

    def _reason(self, values: Mapping[int, float], step: int, best: float, threshold: float, rivals: int) -> str:
        at = next(at for at, value in values.items() if value == best)
        own, bound = _figures(best, threshold)
        runs = f"{rivals} run{'s' if rivals > 1 else ''}"
        side = "below" if self._maximize else "above"
        bar = f"{bound}, {self._called} of {runs} at"
        if at == step:
            return f"{self._name}: {self._objective} {own} at epoch {step + 1} is {side} {bar} that epoch"
        return f"{self._name}: the best {self._objective}, {own} at epoch {at + 1}, is {side} {bar} epoch {step + 1}"


class _Threshold(Rule):
    """Stops a trial whose value leaves fixed bounds."""

    def judge(self, trial: FrozenTrial, values: Mapping[int, float]) -> Verdict:  # noqa: ARG002  # others use it
        step = max(values)
        value, lower, upper = values[step], self._settings["lower"], self._settings["upper"]
        if _due(self._settings, values, step):
            if lower is not None and value < lower:
                return self._outside(step, value, lower, "below", "lower")
            if upper is not None and value > upper:
                return self._outside(step, value, upper, "above", "upper")
        return GO_ON

    def _outside(self, step: int, value: float, bound: float, side: str, which: str) -> Verdict:
        own, _ = _figures(value, bound)
        said = f"{self._objective} {own} at epoch {step + 1} is {side} the {which} bound {bound:.12g}"
        return Verdict(True, f"threshold: {said}", float(bound))


class _Patient(Rule):
    """Stops what another rule would, or anything, where the last epochs are no better than what came before them."""

    def __init__(self, spec: Spec, inner: Rule | None, study: Study, objective: str) -> None:
        super().__init__(spec, study, objective)
        self._inner = inner
        self._window = spec.settings["patience"] + 1
        self._min_delta = spec.settings["min_delta"]

    def ended(self, trial: FrozenTrial) -> None:
        if self._inner is not None:
            self._inner.ended(trial)

    def judge(self, trial: FrozenTrial, values: Mapping[int, float]) -> Verdict:  # others use it
        if len(values) <= self._window:
            return GO_ON
        steps = sorted(values)
        before = self._goal.best(values[step] for step in steps[: -self._window])
        since = self._goal.best(values[step] for step in steps[-self._window :])
        if before is None or since is None:
            return GO_ON
        threshold = before - self._min_delta if self._maximize else before + self._min_delta
        if not self._goal.better(threshold, since):
            return GO_ON
        reason = self._reason(values, before, since)
        if self._inner is None:
            return Verdict(True, reason, threshold)
        verdict = self._inner.judge(trial, values)
        if not verdict.prune:
            return verdict
        return Verdict(True, f"{reason}; {verdict.reason}", verdict.threshold, verdict.rivals)

    def _reason(self, values: Mapping[int, float], before: float, since: float) -> str:
        at = min(step for step, value in values.items() if value == before)
        was, now = _figures(before, since)
        epochs = "epoch" if self._window == 1 else f"{self._window} epochs"
        margin = f", worse by more than min_delta {self._min_delta:.12g}" if self._min_delta else ""
        return f"patient: {self._objective} was {was} at epoch {at + 1} and at best {now} in the last {epochs}{margin}"


class _Rungs(Rule):
    """Stops a trial that reaches a rung of epochs and is not among the best fraction there: Optuna decides."""

    def __init__(self, spec: Spec, pruner: BasePruner, study: Study, objective: str) -> None:
        super().__init__(spec, study, objective)
        self._pruner = pruner
        self._study = study
        # By trial number, step and verdict: asked again, Optuna would find the rung noted and let the trial go on.
        self._stopped: dict[int, tuple[int, Verdict]] = {}

    def ended(self, trial: FrozenTrial) -> None:
        self._stopped.pop(trial.number, None)

    def judge(self, trial: FrozenTrial, values: Mapping[int, float]) -> Verdict:  # others use it
        step = max(values)
        if self._stopped.get(trial.number, (None,))[0] == step:
            return self._stopped[trial.number][1]
        # The rungs a trial has passed stand in its system attributes. Taken from the storage, not from a trial that may
        # be older: with an older one Optuna would count the trial at the same rung twice.
        fresh = copy.copy(self._study._storage.get_trial(trial._trial_id))
        fresh.intermediate_values = dict(values)
        if not self._pruner.prune(self._study, fresh):
            return GO_ON
        self._stopped[trial.number] = step, self._lost(fresh)
        return self._stopped[trial.number][1]

    def _lost(self, trial: FrozenTrial) -> Verdict:
        """What Optuna has found, read off the rung it noted with the trials."""
        step = max(trial.intermediate_values)
        value = trial.intermediate_values[step]
        trials = self._study.get_trials(deepcopy=False)
        own = trials[trial.number].system_attrs
        rung = max(int(key.removeprefix(_RUNG)) for key in own if key.startswith(_RUNG))
        place = f"rung {rung} at epoch {step + 1}"
        if isinstance(self._pruner, HyperbandPruner):
            bracket = self._pruner._get_bracket_id(self._study, trial)
            trials = [other for other in trials if self._pruner._get_bracket_id(self._study, other) == bracket]
            place = f"bracket {bracket}, {place}"
        key = f"{_RUNG}{rung}"
        there = sorted(
            (other.system_attrs[key] for other in trials if key in other.system_attrs), reverse=self._maximize
        )
        if len(there) <= self._settings["bootstrap_count"]:
            said = f"the first {self._settings['bootstrap_count']} runs there stop (bootstrap_count)"
            return Verdict(True, f"{self._name}: {place}: {said}", rivals=len(there) - 1)
        promoted = max(len(there) // self._settings["reduction_factor"], 1)
        threshold = there[promoted - 1]
        figure, bound = _figures(value, threshold)
        needed = f"needs at {'least' if self._maximize else 'most'} {bound}"
        said = f"{self._objective} {figure} is not among the best {promoted} of {len(there)} ({needed})"
        return Verdict(True, f"{self._name}: {place}: {said}", threshold, len(there) - 1)


def make_rule(spec: Spec, pruner: BasePruner, study: Study, objective: str) -> Rule:
    """The rule of a spec.

    Args:
        spec: a pruner's spec.
        pruner: Optuna's pruner of that spec.
        study: whose trials are judged, with one objective unless the rule is `nop`; its finished trials count already.
        objective: what reasons call the reported value.
    """
    if spec.name in ("median", "percentile"):
        return _Percentile(spec, study, objective)
    if spec.name == "threshold":
        return _Threshold(spec, study, objective)
    if spec.name in ("halving", "hyperband"):
        return _Rungs(spec, pruner, study, objective)
    if spec.name == "patient":
        inner: Spec | None = spec.settings["wrapped_pruner"]
        wrapped = make_rule(inner, cast(BasePruner, build(inner)), study, objective) if inner is not None else None
        return _Patient(spec, wrapped, study, objective)
    return Rule(spec, study, objective)


def _due(settings: Mapping[str, Any], values: Mapping[int, float], step: int) -> bool:
    """Whether a check falls to this step: the first one reported since the last multiple of `interval_steps`."""
    warmup, interval = settings["n_warmup_steps"], settings["interval_steps"]
    if step < warmup:
        return False
    check = (step - warmup) // interval * interval + warmup
    return check == step or all(other < check for other in values if other != step)


def _numbers(items: Iterable[tuple[int, float]], reported: Counter[int]) -> Iterable[tuple[int, float]]:
    """The items that are no NaN; each is counted by its step."""
    for step, value in items:
        reported[step] += 1
        if not math.isnan(value):
            yield step, value


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


def _figures(one: float, other: float) -> tuple[str, str]:
    """Two different numbers to 3 significant digits, or to as many as tell them apart."""
    for digits in range(3, 18):
        texts = _figure(one, digits), _figure(other, digits)
        if (float(texts[0]) < float(texts[1])) == (one < other) and float(texts[0]) != float(texts[1]):
            return texts
    return repr(one), repr(other)


def _figure(value: float, digits: int) -> str:
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    exponent = math.floor(math.log10(abs(value)))
    if -5 < exponent < 15:
        return f"{value:.{max(digits - 1 - exponent, 0)}f}"
    return f"{value:.{digits - 1}e}"
