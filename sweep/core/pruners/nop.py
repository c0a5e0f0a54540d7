"""`nop`: stops nothing."""

from collections.abc import Callable
from dataclasses import dataclass

from sweep.core.pruners.rule import Judge, Rule
from sweep.objective import Objective


@dataclass(frozen=True)
class Nop(Rule):
    """No pruning."""

    name = "nop"
    help = "stops nothing (a loss that is NaN or infinite still ends its run)"
    optuna = "NopPruner"

    @property
    def stops(self) -> bool:
        return False

    def judge(self, objective: Objective, judge_of: Callable[[Rule], Judge]) -> Judge:  # noqa: ARG002  # a Rule's
        return Judge()


RULES = (Nop,)
