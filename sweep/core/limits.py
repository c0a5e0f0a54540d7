"""When a study is spent: its budget of epochs, and the rules of `--stop-when`. The number of its trials is counted in
`study.py`, where trials begin."""

import math
from collections.abc import Iterable, Mapping

from sweep.conditions import ConditionError, RunCondition, compile_condition
from sweep.declaration import Declaration
from sweep.names import format_number
from sweep.objective import Objective
from sweep.stop_rules import trials_without_better
from sweep.store.records import FINISHED, RunRecord, StudyRecord
from sweep.words import counted

Row = Mapping[str, float]
"""A run's metrics at its last finished epoch."""

EVERY = -1
"""In the place of a run's number: the row that has every metric that any run has had."""


class Limits:
    """What a study still may begin.

    Args:
        declaration: the study's.
        runs: all that it has by now.
        metrics: their rows, by number.
        keys: parameters with their keys in run names.

    Attributes:
        reached: why no further trial begins; None while one may. It stays what it became first.
    """

    def __init__(
        self,
        declaration: Declaration,
        runs: Iterable[RunRecord] = (),
        metrics: Mapping[int, Row] | None = None,
        keys: Mapping[str, str] | None = None,
    ) -> None:
        self.reached: str | None = None
        self._budget = declaration.budget_epochs
        self._epochs: dict[int, int] = {}  # of each run, of which another may have trained the first ones
        self._taken: dict[int, int] = {}
        self._repeated: dict[tuple[int, int], int] = {}  # epochs by run and seed, of trainings with other seeds
        self._spent = 0
        counts = {text: trials_without_better(text) for text in declaration.stop_when}
        self._stalls = [
            _NoBetter(number, declaration.objectives[0]) for number in counts.values() if number is not None
        ]
        conditions = [text for text, number in counts.items() if number is None]
        self._conditions = _Conditions(conditions, declaration) if conditions else None
        self.learn(keys or {})
        for run in sorted(runs, key=_ended):
            self.trained(run, (metrics or {}).get(run.number, {}))
            for one in run.of_value[1:]:
                self.repeated(run.number, one.seed, one.epoch)
            if run.state in FINISHED:
                self.ended(run)

    @property
    def epochs_left(self) -> int | None:
        """How many epochs the study may still spend; None without a limit."""
        return None if self._budget is None else max(0, self._budget - self._spent)

    def learn(self, keys: Mapping[str, str]) -> None:
        """Learn the keys of parameters in run names, by which conditions may name them."""
        if self._conditions is not None:
            self._conditions.learn(keys)

    def trained(self, run: RunRecord, metrics: Row) -> None:
        """A run has finished an epoch, or begins anew without any."""
        if run.is_trained_here:
            self._count(run)
        if self._conditions is not None:
            self._reach(self._conditions.met(run, metrics))

    def repeated(self, number: int, seed: int, epoch: int) -> None:
        """A run has finished so many epochs of its training with another seed, which cost what others do."""
        before, self._repeated[number, seed] = self._repeated.get((number, seed), 0), epoch
        self._spend(epoch - before)

    def ended(self, run: RunRecord) -> None:
        """A run has its final state."""
        if self._conditions is not None:
            self._reach(self._conditions.met(run, {}))
        if run.added:
            return
        for stall in self._stalls:
            self._reach(stall.ended(run))

    def doubt(self) -> str | None:
        """Why a condition cannot hold as far as is known, since it names what no run has; None if there is no doubt."""
        return self._conditions.doubt() if self._conditions is not None else None

    def _count(self, run: RunRecord) -> None:
        """Count the epochs of a run; one that continues a pruned run has taken over what that had trained."""
        if run.revives is not None and run.number not in self._taken:
            self._taken[run.number] = self._epochs.get(run.revives, 0)
        taken, before = self._taken.get(run.number, 0), self._epochs.get(run.number, 0)
        self._epochs[run.number] = run.epoch
        self._spend(max(0, run.epoch - taken) - max(0, before - taken))

    def _spend(self, epochs: int) -> None:
        self._spent += epochs
        if self._budget is not None and self._spent >= self._budget:
            self._reach(f"its budget of {counted(self._budget, 'epoch')} is spent")

    def _reach(self, why: str | None) -> None:
        self.reached = self.reached or why


class _NoBetter:
    """Counts the trials that have ended since the best one did."""

    def __init__(self, most: int, objective: Objective) -> None:
        self._most = most
        self._objective = objective
        self._best: RunRecord | None = None
        self._since = 0

    def ended(self, run: RunRecord) -> str | None:
        """Why the study is spent now; None if it is not."""
        known = [run] if self._best is None else [self._best, run]
        best = next(iter(self._objective.rank(known)), None)
        if best is None:  # nothing to be better than
            return None
        self._since = 0 if best is not self._best else self._since + 1
        self._best = best
        if self._since < self._most:
            return None
        return f"no trial of the last {self._most} was better than {format_number(best.number)}"


class _Conditions:
    """Conditions on runs, of which one is enough."""

    def __init__(self, texts: Iterable[str], declaration: Declaration) -> None:
        self._texts = list(texts)
        self._declaration = declaration
        self._keys: dict[str, str] = {}
        self._rows: dict[int, dict[str, float]] = {EVERY: {}}
        self._constraints: set[str] = set()
        self._known: tuple[int, int, int] | None = None  # how many names there were when these were compiled
        self._compiled: list[RunCondition] = []
        self._wrong: ConditionError | None = None

    def learn(self, keys: Mapping[str, str]) -> None:
        """Learn keys of parameters."""
        self._keys.update(keys)

    def met(self, run: RunRecord, metrics: Row) -> str | None:
        """Why the study is spent, if this run fulfils a condition."""
        if metrics:
            self._rows[run.number] = dict(metrics)
            self._rows[EVERY].update(dict.fromkeys(metrics, math.nan))
        self._constraints.update(run.constraints)
        self._compile(run)
        met = next((condition for condition in self._compiled if condition.matches(run)), None)
        if run.state in FINISHED:
            self._rows.pop(run.number, None)
        return f"{run.name or format_number(run.number)} fulfils {met.text}" if met is not None else None

    def doubt(self) -> str | None:
        """What is wrong with a condition that could not be compiled."""
        return str(self._wrong) if self._wrong is not None else None

    def _compile(self, run: RunRecord) -> None:
        """Read the conditions anew if there are more names than when they were read."""
        known = (len(self._rows[EVERY]), len(self._keys), len(self._constraints))
        if known == self._known:
            return
        self._known, self._compiled, self._wrong = known, [], None
        declaration = self._declaration
        study = StudyRecord(0, declaration.name, declaration, self._keys, {}, "", 0.0, None, 0, None)
        for text in self._texts:
            try:
                self._compiled.append(compile_condition(text, study, lambda: self._rows, [run]))
            except ConditionError as error:
                self._wrong = error


def _ended(run: RunRecord) -> tuple[float, int]:
    """What orders runs by when they ended, as nearly as is known."""
    return run.ended, run.number
