"""`patient`: waits until a run no longer improves."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sweep.core.pruners.rule import Judge, Rule, bounds
from sweep.core.pruners.verdict import Verdict, two_figures
from sweep.objective import Objective


@dataclass(frozen=True)
class Patient(Rule):
    """Stops what another rule would stop, or any run, once its last epochs are worse than what came before them."""

    name = "patient"
    help = "stops what another pruner would once there is no improvement: patient(median, patience=3)"
    optuna = "PatientPruner"

    wrapped_pruner: Rule | None
    patience: int = field(metadata=bounds(0))
    min_delta: float = field(default=0.0, metadata=bounds(0))

    @property
    def stops(self) -> bool:
        return self.wrapped_pruner is None or self.wrapped_pruner.stops

    def judge(self, objective: Objective, judge_of: Callable[[Rule], Judge]) -> Judge:
        inner = judge_of(self.wrapped_pruner) if self.wrapped_pruner is not None else None
        return _Judge(self, inner, objective)

    @classmethod
    def sentence(cls, verdict: Verdict) -> str:
        details = verdict.details
        was, now = two_figures(details["best"], verdict.value)
        epochs = "epoch" if details["epochs"] == 1 else f"{details['epochs']} epochs"
        delta = details["min_delta"]
        margin = f", worse by more than min_delta {delta:.12g}" if delta else ""
        at = details["best_epoch_index"] + 1
        return f"{verdict.objective} was {was} at epoch {at} and at best {now} in the last {epochs}{margin}"


RULES = (Patient,)


class _Judge(Judge):
    def __init__(self, rule: Patient, inner: Judge | None, objective: Objective) -> None:
        self._rule = rule
        self._inner = inner
        self._objective = objective

    def completed(self, trials: Mapping[int, Mapping[int, float]]) -> None:
        if self._inner is not None:
            self._inner.completed(trials)

    def verdict(self, number: int, values: Mapping[int, float]) -> Verdict | None:
        rule, window = self._rule, self._rule.patience + 1
        if len(values) <= window:
            return None
        steps = sorted(values)
        before = self._objective.best(values[step] for step in steps[:-window])
        since = self._objective.best(values[step] for step in steps[-window:])
        if before is None or since is None:
            return None
        worst = before - rule.min_delta if self._objective.maximize else before + rule.min_delta
        if not self._objective.better(worst, since):
            return None
        inner = self._inner.verdict(number, values) if self._inner is not None else None
        if self._inner is not None and inner is None:
            return None
        at = min(step for step, value in values.items() if value == before)
        details: dict[str, Any] = {"best": before, "best_epoch_index": at, "epochs": window}
        details["min_delta"] = rule.min_delta
        if inner is None:
            return Verdict(rule.name, self._objective.name, since, steps[-1], worst, None, details)
        details["because"] = inner.as_dict()
        return Verdict(rule.name, self._objective.name, since, steps[-1], inner.threshold, inner.rivals, details)
