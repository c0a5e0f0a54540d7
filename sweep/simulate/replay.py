"""One simulated study: a sampler proposes, workers train epoch by epoch along recorded curves, a pruner judges.

What decides is what decides in a live study: Optuna's samplers and pruners, our rules, and the schedule of `asha`.
"""

import logging
import math
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import optuna
from optuna.study._tell import _tell_with_warning
from optuna.trial import TrialState

from sweep.control.pruning import Pruning
from sweep.control.storage import WriteBehindStorage
from sweep.core.pruners.asha import Schedule, complete_of
from sweep.simulate.bank import Bank, Curve
from sweep.simulate.proposals import RECORDED, Proposals
from sweep.specs import make_sampler, pruner_rule


@dataclass
class Replayed:
    """A run of a simulated study.

    Attributes:
        number: the trial's in the simulated study.
        curve: what it trains along.
        epochs: how many it has trained.
        state: as of a live run; PAUSED and RUNNING ones are PRUNED when the study ends.
        value: its best value, if it is COMPLETE.
        ended: how many epochs the study had spent when it ended; `begun` and `continued`: how many runs had begun by
            then, and how often a paused one had continued.
    """

    number: int
    curve: Curve
    epochs: int = 0
    state: str = "RUNNING"
    value: float | None = None
    ended: int = 0
    begun: int = 0
    continued: int = 0
    values: dict[int, float] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Simulation:
    """What a simulated study did: its runs by number, and how many epochs they trained in all."""

    runs: list[Replayed]
    spent: int


def replay(
    bank: Bank,
    pruner: str,
    sampler: str = RECORDED,
    *,
    trials: int | None = None,
    budget: int | None = None,
    seed: int = 0,
    workers: int = 1,
    pausable: bool = True,
) -> Simulation:
    """Simulate one study on a bank. It ends when its trials have ended, or its epochs are spent.

    Args:
        pruner, sampler: specs; `recorded` tries the configurations in their recorded order.
        trials: how many begin at most; by default, as many as there are curves.
        budget: how many epochs are trained at most.
        seed: the sampler's.
        workers: how many runs train at a time, an epoch each in turn.
        pausable: whether runs keep checkpoints, so that `asha` pauses those that it would otherwise stop.

    Raises:
        StudyError: a spec is none.
    """
    with _quiet():
        study = _Study(bank, pruner, sampler, trials, budget, seed, pausable=pausable)
        busy: list[Replayed | None] = [None] * workers
        while not study.is_spent:
            for place in range(workers):
                if busy[place] is None:
                    busy[place] = study.next([run.number for run in busy if run is not None])
            if busy.count(None) == workers:
                break
            busy = [run if run is None or study.epoch(run) else None for run in busy]
        study.close()
    return Simulation(study.runs, study.spent)


class _Study:
    def __init__(
        self,
        bank: Bank,
        pruner: str,
        sampler: str,
        trials: int | None,
        budget: int | None,
        seed: int,
        *,
        pausable: bool,
    ) -> None:
        self._bank = bank
        self._pausable = pausable
        self._storage = WriteBehindStorage()
        recorded = sampler == RECORDED
        study = optuna.create_study(
            storage=self._storage,
            study_name=bank.name,
            direction=optuna.study.StudyDirection[bank.objective.direction.upper()],
            sampler=make_sampler("random" if recorded else sampler, seed),
        )
        self._optuna = study
        rule = pruner_rule(pruner)
        in_study = rule.in_study(bank.epochs, None)
        spec = pruner if in_study == rule else in_study.text()
        self._pruning = Pruning(study, spec, objective=bank.objective.name)
        judge = self._pruning.judge
        self._schedule = judge if isinstance(judge, Schedule) else None
        if self._schedule is not None:
            self._schedule.settle(bank.epochs)
        self._proposals = Proposals(bank, study, recorded=recorded)
        self._trials = len(bank.curves) if trials is None else min(trials, len(bank.curves))
        self._budget = budget
        self._complete = 0
        self.spent = 0
        self._continued = 0  # how often
        self.runs: list[Replayed] = []

    @property
    def is_spent(self) -> bool:
        return self._budget is not None and self.spent >= self._budget

    def next(self, running: Collection[int]) -> Replayed | None:
        """The run that an idle worker trains, while others run: a paused one, or a new one; None if there is none."""
        if self._schedule is not None:
            found = self._schedule.next(
                running=running,
                new=len(self.runs) < self._trials,
                trials=self._trials,
                complete=self._complete,
                epochs=lambda _: self._bank.epochs,
                left=None if self._budget is None else self._budget - self.spent,
            )
            if found is not None:
                number, to_the_end = found
                self._schedule.proceed(number, to_the_end=to_the_end)
                self._continued += 1
                self.runs[number].state = "RUNNING"
                return self.runs[number]
        return self._begin()

    def _begin(self) -> Replayed | None:
        """A new run, if the study has one more trial."""
        if len(self.runs) == self._trials:
            return None
        number, place = self._proposals.next()
        self.runs.append(Replayed(number, self._bank.curves[place]))
        return self.runs[-1]

    def epoch(self, run: Replayed) -> bool:
        """Train an epoch of a run; whether the run continues."""
        if self.is_spent:
            return True
        values = run.curve.values
        if run.epochs < len(values):
            self.spent += 1
            step, value = run.epochs, values[run.epochs]
            run.epochs += 1
            run.values[step] = value
            self._storage.set_trial_intermediate_value(run.number, step, value)
            if not math.isfinite(value):
                return self._end(run, "PRUNED")
            if not self._continues(run, step, value):
                return False
        return run.epochs < len(values) or self._end(run, run.curve.state)

    def _continues(self, run: Replayed, step: int, value: float) -> bool:
        """Have a run judged after an epoch; whether it continues."""
        if self._schedule is None:
            judge = self._pruning.judge
            if judge is not None:
                verdict = judge.verdict(run.number, run.values)
            else:
                verdict = self._pruning.verdict(self._storage.get_trial(run.number), step, value)
            return verdict is None or self._end(run, "PRUNED")
        if run.epochs == len(run.curve.values):  # it has nothing to continue with
            return True
        needed = not self._pausable and self._is_needed()
        if self._schedule.verdict(run.number, run.values, pausable=self._pausable, needed=needed) is None:
            return True
        if not self._pausable:
            return self._end(run, "PRUNED")
        self._schedule.pause(run.number)
        self._storage.pause(run.number)
        run.state = "PAUSED"
        return False

    def _is_needed(self) -> bool:
        """Whether too few runs would be COMPLETE if one that trains, and cannot be paused, were stopped."""
        others = sum(run.state == "RUNNING" for run in self.runs) - 1
        to_come = others + self._trials - len(self.runs)
        return self._complete + to_come < complete_of(self._trials, pausable=False)

    def _end(self, run: Replayed, state: str) -> bool:
        """A run has ended, and does not continue: False."""
        self._stamp(run, state)
        if state == "COMPLETE":
            self._complete += 1
            run.value = self._bank.objective.best(value for value in run.values.values() if math.isfinite(value))
        with suppress(RuntimeError):  # a grid stops a study at its last point
            _tell_with_warning(self._optuna, run.number, run.value, TrialState[state])
        self._pruning.ended(self._storage.get_trial(run.number))
        return False

    def close(self) -> None:
        """Whatever has not ended is cut."""
        for run in self.runs:
            if run.state in ("RUNNING", "PAUSED"):
                self._stamp(run, "PRUNED")

    def _stamp(self, run: Replayed, state: str) -> None:
        """Note how a run has ended, and when."""
        run.state, run.ended, run.begun, run.continued = state, self.spent, len(self.runs), self._continued


@contextmanager
def _quiet() -> Iterator[None]:
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(max(level, logging.WARNING))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(level)
