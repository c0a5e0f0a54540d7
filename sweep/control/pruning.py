"""Verdicts on running trials: go on, or stop and why.

A step counts from 0, as Optuna counts; a reason says `epoch N` where N = step + 1, the number of epochs finished.
"""

import math
import threading
from typing import cast

from optuna import Study
from optuna.pruners import BasePruner
from optuna.trial import FrozenTrial

from sweep.control.rules import Verdict, make_rule
from sweep.specs import build, parse

__all__ = ["Pruning", "Verdict"]


class Pruning:
    """The verdicts of one study.

    Args:
        study: holds the trials; one objective, unless the pruner is `nop`. The finished ones count from the beginning.
            Its pruner becomes the one described here, since Optuna's samplers look at the brackets of a hyperband.
        spec: a pruner, such as `median(n_startup_trials=5)`; see `sweep.specs`.
        objective: what reasons call the reported value, such as `val_loss`.

    Threads: verdicts and ends may come from several at once; one lock holds them apart. Since Optuna's pruners write to
    the study's storage, nobody may call in here while holding a lock of that storage.

    Raises:
        StudyError: the spec is none.
    """

    def __init__(self, study: Study, spec: str, *, objective: str = "value") -> None:
        self._lock = threading.Lock()
        self._objective = objective
        pruner = parse("pruner", spec)
        study.pruner = cast(BasePruner, build(pruner))
        self._rule = make_rule(pruner, study.pruner, study, objective)

    def verdict(self, trial: FrozenTrial, step: int, value: float, finite: bool = True) -> Verdict:
        """The verdict on a trial that reports an epoch; asking again gives the same one and counts nothing twice.

        A value that is NaN or infinite stops the trial, whatever the pruner.

        Args:
            trial: the trial with the values reported before; it may hold this one already.
            step: the epoch, counting from 0.
            value: the objective at this epoch.
            finite: False where another value of the epoch, such as the loss, is NaN or infinite.
        """
        if not (finite and math.isfinite(value)):
            return Verdict(True, _broken(self._objective, step, value))
        values = trial.intermediate_values
        if step not in values or values[step] != value:
            values = {**values, step: value}
        last = max(values)  # rules look at the trial's last step, also where steps arrive out of order
        if not math.isfinite(values[last]):
            return Verdict(True, _broken(self._objective, last, values[last]))
        with self._lock:
            return self._rule.judge(trial, values)

    def ended(self, trial: FrozenTrial) -> None:
        """Count a finished trial among those that others are held against; once, however often it is given."""
        with self._lock:
            self._rule.ended(trial)


def _broken(objective: str, step: int, value: float) -> str:
    if math.isfinite(value):
        return f"a loss or metric is NaN or infinite at epoch {step + 1}"
    return f"{objective} is {'NaN' if math.isnan(value) else value} at epoch {step + 1}"
