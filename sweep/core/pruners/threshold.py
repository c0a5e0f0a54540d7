"""`threshold`: fixed bounds."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from sweep.core.pruners.rule import Judge, Rule, bounds, is_due
from sweep.core.pruners.verdict import Verdict
from sweep.objective import Objective


@dataclass(frozen=True)
class Threshold(Rule):
    """Stops a run whose value leaves fixed bounds."""

    name = "threshold"
    help = "stops a run whose value leaves fixed bounds: threshold(upper=2.0)"
    optuna = "ThresholdPruner"

    lower: float | None = None
    upper: float | None = None
    n_warmup_steps: int = field(default=0, metadata=bounds(0))
    interval_steps: int = field(default=1, metadata=bounds(1))

    def problem(self) -> str | None:
        if self.lower is None and self.upper is None:
            return "needs a bound, lower or upper"
        if self.lower is not None and self.upper is not None and self.lower > self.upper:
            return f"needs a lower bound that is no higher than the upper one, not {self.lower:g} and {self.upper:g}"
        return None

    def judge(self, objective: Objective, judge_of: Callable[[Rule], Judge]) -> Judge:  # noqa: ARG002  # a Rule's
        return _Judge(self, objective)

    @classmethod
    def sentence(cls, verdict: Verdict) -> str:
        which = "lower" if verdict.side == "below" else "upper"
        at = f"at epoch {verdict.epoch_index + 1}"
        bound = f"{verdict.threshold:.12g}"
        return f"{verdict.objective} {verdict.figures[0]} {at} is {verdict.side} the {which} bound {bound}"


RULES = (Threshold,)


class _Judge(Judge):
    def __init__(self, rule: Threshold, objective: Objective) -> None:
        self._rule = rule
        self._objective = objective

    def verdict(self, number: int, values: Mapping[int, float]) -> Verdict | None:  # noqa: ARG002  # a Judge's
        rule, step = self._rule, max(values)
        if not is_due(rule.n_warmup_steps, rule.interval_steps, values):
            return None
        value, bound = values[step], None
        if rule.lower is not None and value < rule.lower:
            bound = rule.lower
        elif rule.upper is not None and value > rule.upper:
            bound = rule.upper
        return Verdict(rule.name, self._objective.name, value, step, float(bound)) if bound is not None else None
