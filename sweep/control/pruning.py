"""Verdicts on running trials: continue, or stop and why.

The rules are in `sweep.core.pruners`. Successive halving and hyperband decide here, through Optuna's pruner, which
notes each rung with the trial, and so do pruners of the user's own.

A step counts from 0, as Optuna counts; people see `epoch N` where N = step + 1, the number of finished epochs.
"""

import copy
from collections.abc import Mapping

from optuna import Study
from optuna.pruners import BasePruner, HyperbandPruner
from optuna.trial import FrozenTrial, TrialState

from sweep.control.sampler import own_errors
from sweep.core.pruners import Judge, Rule, Verdict
from sweep.core.pruners.own import Own
from sweep.core.pruners.rungs import Rungs
from sweep.objective import Objective
from sweep.specs import optuna_pruner, pruner_rule

_RUNG = "completed_rung_"  # Optuna's SuccessiveHalvingPruner: the value with which a trial reached a rung


class Pruning:
    """The verdicts of one study.

    Args:
        study: holds the trials; one objective, unless the pruner is `nop`. Its finished trials count from the
            beginning. Its pruner becomes the one described here, since Optuna's samplers look at hyperband's brackets.
        spec: a pruner: for example `median(n_startup_trials=5)`; see `sweep.specs`.
        objective: the name of the reported value: for example `val_loss`.
        file: the study file, in which a class of the user's own cannot be.

    Raises:
        StudyError: the spec is none, or a class of the user's own cannot be made.
    """

    def __init__(self, study: Study, spec: str, *, objective: str = "value", file: str | None = None) -> None:
        self._study = study
        self._objective = Objective(objective, study.directions[0].name.lower())
        self._asked: list[_OptunaJudge] = []  # those that are decided by Optuna's pruner, or by one like it
        self._rule = pruner_rule(spec)
        study.pruner = optuna_pruner(self._rule, file)
        self._judge = self._judge_of(self._rule)
        complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        self._judge.completed({trial.number: trial.intermediate_values for trial in complete})

    def _judge_of(self, rule: Rule) -> Judge:
        if isinstance(rule, Rungs):  # samplers ask the study's own pruner for brackets, which it makes as it judges
            pruner = self._study.pruner if rule is self._rule else optuna_pruner(rule)
            self._asked.append(_RungsJudge(rule, pruner, self._study, self._objective))
            return self._asked[-1]
        if isinstance(rule, Own):
            self._asked.append(_OwnJudge(rule, self._study.pruner, self._study, self._objective))
            return self._asked[-1]
        return rule.judge(self._objective, self._judge_of)

    @property
    def judge(self) -> Judge | None:
        """What judges without Optuna; None where Optuna decides."""
        return None if self._asked else self._judge

    def verdict(self, trial: FrozenTrial, step: int, value: float) -> Verdict | None:
        """Why a trial stops after an epoch; None lets it continue. Asking again gives the same answer.

        Args:
            trial: the trial with the values reported before; it may hold this one already.
            step: the epoch, counting from 0.
            value: the objective at this epoch, which is finite, as is the value of the last step.
        """
        values = trial.intermediate_values
        if step not in values or values[step] != value:
            values = {**values, step: value}
        return self._judge.verdict(trial.number, values)

    def note(self, number: int, step: int, value: float) -> None:
        """Have the rung noted that a trial reached with a value in an earlier attempt, without judging it again."""
        if any(isinstance(judge, _RungsJudge) for judge in self._asked):
            self._judge.verdict(number, {step: value})

    def ended(self, trial: FrozenTrial) -> None:
        """Count a finished trial among those that others are compared with; once, however often it is given."""
        for judge in self._asked:
            judge.forget(trial.number)
        if trial.state == TrialState.COMPLETE:
            self._judge.completed({trial.number: trial.intermediate_values})


class _OptunaJudge(Judge):
    """A pruner of Optuna's, or one like it, decides."""

    def __init__(self, pruner: BasePruner, study: Study, objective: Objective) -> None:
        self._pruner = pruner
        self._study = study
        self._objective = objective
        # By trial number, step and verdict: asked again, Optuna would find the rung noted and let the trial continue.
        self._stopped: dict[int, tuple[int, Verdict]] = {}

    def forget(self, number: int) -> None:
        """Let go of a trial that has ended."""
        self._stopped.pop(number, None)

    def verdict(self, number: int, values: Mapping[int, float]) -> Verdict | None:
        step = max(values)
        if self._stopped.get(number, (None,))[0] == step:
            return self._stopped[number][1]
        # The rungs that a trial has passed are in its system attributes. They are read from the storage: with an older
        # copy of the trial, Optuna would count it at the same rung twice.
        storage = self._study._storage
        trial_id = storage.get_trial_id_from_study_id_trial_number(self._study._study_id, number)
        trial = copy.copy(storage.get_trial(trial_id))
        trial.intermediate_values = dict(values)
        if not self._prunes(trial):
            return None
        self._stopped[number] = step, self._lost(trial)
        return self._stopped[number][1]

    def _prunes(self, trial: FrozenTrial) -> bool:
        return self._pruner.prune(self._study, trial)

    def _lost(self, trial: FrozenTrial) -> Verdict:
        """The verdict on a trial that it stops at its last step."""
        raise NotImplementedError


class _OwnJudge(_OptunaJudge):
    """A pruner of the user's own."""

    def __init__(self, rule: Own, pruner: BasePruner, study: Study, objective: Objective) -> None:
        super().__init__(pruner, study, objective)
        self._spec = rule.spec

    def _prunes(self, trial: FrozenTrial) -> bool:
        with own_errors("pruner", self._spec):
            return bool(self._pruner.prune(self._study, trial))

    def _lost(self, trial: FrozenTrial) -> Verdict:
        step = max(trial.intermediate_values)
        return Verdict(type(self._pruner).__name__, self._objective.name, trial.intermediate_values[step], step)


class _RungsJudge(_OptunaJudge):
    """Successive halving or hyperband."""

    def __init__(self, rule: Rungs, pruner: BasePruner, study: Study, objective: Objective) -> None:
        super().__init__(pruner, study, objective)
        self._rule = rule

    def _lost(self, trial: FrozenTrial) -> Verdict:
        """What Optuna has found, read off the rung that it noted with the trials."""
        step = max(trial.intermediate_values)
        value = trial.intermediate_values[step]
        trials = self._study.get_trials(deepcopy=False)
        own = trials[trial.number].system_attrs
        rung = max(int(key.removeprefix(_RUNG)) for key in own if key.startswith(_RUNG))
        details = {"rung": rung}
        if isinstance(self._pruner, HyperbandPruner):
            details["bracket"] = self._pruner._get_bracket_id(self._study, trial)
            trials = [
                other for other in trials if self._pruner._get_bracket_id(self._study, other) == details["bracket"]
            ]
        key = f"{_RUNG}{rung}"
        entered = [other.system_attrs[key] for other in trials if key in other.system_attrs]
        entered.sort(reverse=self._objective.maximize)
        rivals, threshold = len(entered) - 1, None
        if len(entered) <= self._rule.bootstrap_count:
            details["bootstrap_count"] = self._rule.bootstrap_count
        else:
            details["places"] = max(len(entered) // self._rule.reduction_factor, 1)
            details["entered"] = len(entered)
            threshold = entered[details["places"] - 1]
        return Verdict(self._rule.name, self._objective.name, value, step, threshold, rivals, details)
