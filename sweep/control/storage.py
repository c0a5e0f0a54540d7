"""The coordinator's memory of its study: Optuna's storage and our ledger of runs, which both mark what changed.

Everything is read from memory. `sweep.control.writer` takes the marks every 100 ms, and before a trial's end is
acknowledged, and writes what changed in one transaction.
"""

import copy
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState

from sweep.core.pruners import Verdict
from sweep.store import RunRecord
from sweep.words import counted

RUNG_PREFIX = "completed_rung_"  # where Optuna's successive halving keeps a trial's value at a rung
CONSTRAINT_PREFIX = "constraints:"  # where Optuna keeps a constraint that a trial has set


STUDY_ID = 0  # of the one study that lives in a storage


class WriteBehindStorage(InMemoryStorage):
    """Optuna's in-memory storage that remembers which trials, and whether the study's attributes, changed since `take`.

    Safe to use from any thread. One study lives in it.

    Attributes:
        numbering: adds a trial by calling the function that it is given, when no other program can take its number.
        taking: whether a waiting trial, by number, is ours to run, since another program may run it by now.
    """

    def __init__(self) -> None:
        super().__init__()
        self._changed: set[int] = set()
        self._shown: dict[int, TrialState] = {}  # what the tables have instead of the state here
        self._attributes_changed = False
        self._others: set[int] = set()  # trials that other programs added or run
        self._marks = threading.Lock()
        self.numbering: Callable[[Callable[[], int]], int] = lambda create: create()
        self.taking: Callable[[int], bool] = lambda _: True

    @property
    def changed(self) -> bool:
        """Whether `take` would return something."""
        with self._marks:
            return bool(self._changed) or self._attributes_changed

    def take(self) -> tuple[list[FrozenTrial], bool]:
        """The trials that changed since the last call, as snapshots by number, and whether the study's attributes did.

        A snapshot's dicts are copies: `optuna.Trial` goes on changing those of what `get_trial` gave it. A trial that
        is to be run again is WAITING in its snapshot, and RUNNING here, since Optuna would never return it. One that
        failed for want of memory is FAIL there and PRUNED here.
        """
        with self._marks:
            changed, self._changed = self._changed, set()
            attributes, self._attributes_changed = self._attributes_changed, False
            return [self._snapshot(trial_id) for trial_id in sorted(changed)], attributes

    def _snapshot(self, trial_id: int) -> FrozenTrial:
        snapshot = copy.copy(self.get_trial(trial_id))
        for name in ("params", "distributions", "intermediate_values", "user_attrs", "system_attrs"):
            setattr(snapshot, name, dict(getattr(snapshot, name)))
        snapshot.state = self._shown.get(trial_id, snapshot.state)
        return snapshot

    def mark(self, trials: Sequence[FrozenTrial], attributes: bool) -> None:
        """Give back marks whose writing failed."""
        with self._marks:
            self._changed.update(trial._trial_id for trial in trials)
            self._attributes_changed |= attributes

    def load(self, trials: Sequence[FrozenTrial], user: Mapping[str, Any], system: Mapping[str, Any]) -> None:
        """Take trials, by number, and the study's attributes over from the database; they count as written."""
        for trial in trials:
            super().create_new_trial(STUDY_ID, template_trial=trial)
        for key, value in user.items():
            super().set_study_user_attr(STUDY_ID, key, value)
        for key, value in system.items():
            super().set_study_system_attr(STUDY_ID, key, value)

    def adopt(self, trial: FrozenTrial) -> int:
        """Add a trial that another program wrote into the tables, and return its number here."""
        with self._lock:
            number = super().create_new_trial(STUDY_ID, template_trial=trial)
            self.disown(number, trial)
            return number

    def disown(self, number: int, trial: FrozenTrial) -> None:
        """Take a trial as another program has it by now, which ended it, runs it or has put it back into the queue."""
        with self._lock:
            theirs = copy.deepcopy(trial)
            theirs.number = theirs._trial_id = number
            self._set_trial(number, theirs)
            self._update_cache(number, STUDY_ID)
            if trial.state == TrialState.WAITING:
                self._others.discard(number)
            else:
                self._others.add(number)

    def adopt_attributes(self, user: Mapping[str, Any], system: Mapping[str, Any]) -> None:
        """Take attributes of the study as another program has set them in the tables."""
        for key, value in user.items():
            super().set_study_user_attr(STUDY_ID, key, value)
        for key, value in system.items():
            super().set_study_system_attr(STUDY_ID, key, value)

    def replace(self, trial: FrozenTrial) -> None:
        """Have samplers and pruners see a trial in another way than the tables have it."""
        with self._lock:
            self._set_trial(trial.number, trial)

    def is_ours(self, number: int) -> bool:
        """Whether a trial is one that this study trains, or will."""
        with self._lock:
            return number not in self._others

    def begun(self) -> int:
        """How many trials of ours have begun; others may be queued."""
        with self._lock:
            waiting = self.get_n_trials(STUDY_ID, TrialState.WAITING)
            return self.get_n_trials(STUDY_ID) - waiting - len(self._others)

    def wait(self, trial_id: int) -> None:
        """Have a running trial wait to be run again."""
        self.disguise(trial_id, TrialState.WAITING)

    def disguise(self, trial_id: int, state: TrialState) -> None:
        """Have another state in the tables than here."""
        with self._marks:
            self._shown[trial_id] = state
            self._changed.add(trial_id)

    def hold_against(self, number: int) -> None:
        """Have samplers see a trial that has failed as pruned, which ranks it below all others."""
        with self._lock:
            failed = copy.copy(self.get_trial(number))
            failed.state = TrialState.PRUNED
            self._set_trial(number, failed)
        with self._marks:
            self._shown[number] = TrialState.FAIL

    def disguised(self) -> list[int]:
        """The trials that are FAIL in the tables and PRUNED here, by number."""
        with self._marks:
            return [number for number, state in self._shown.items() if state == TrialState.FAIL]

    def forget(self, trial_id: int) -> None:
        """Forget the epochs of a trial that is run again: values by step and rungs, not parameters."""
        with self._lock:
            trial = self._without(trial_id, RUNG_PREFIX)
            trial.intermediate_values = {}
            self._set_trial(trial_id, trial)
        self._mark(trial_id)

    def resume(self, trial_id: int) -> None:
        """Run a trial again that waits for it. It sets its constraints anew, and Optuna keeps those that are set."""
        with self._lock:
            self._set_trial(trial_id, self._without(trial_id, CONSTRAINT_PREFIX))
        with self._marks:
            self._shown.pop(trial_id, None)
            self._changed.add(trial_id)

    def _without(self, trial_id: int, prefix: str) -> FrozenTrial:
        """A copy of a trial without the system attributes whose names begin so."""
        trial = copy.copy(self.get_trial(trial_id))
        trial.system_attrs = {key: value for key, value in trial.system_attrs.items() if not key.startswith(prefix)}
        return trial

    def _mark(self, trial_id: int) -> None:
        with self._marks:
            self._changed.add(trial_id)

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        def create() -> int:
            trial_id = super(WriteBehindStorage, self).create_new_trial(study_id, template_trial)
            self._mark(trial_id)
            return trial_id

        return self.numbering(create)

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        super().set_trial_param(trial_id, param_name, param_value_internal, distribution)
        self._mark(trial_id)

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        waits = state == TrialState.RUNNING and self.get_trial(trial_id).state == TrialState.WAITING
        if waits and not self.taking(trial_id):
            return False
        done = super().set_trial_state_values(trial_id, state, values)
        self._mark(trial_id)
        return done

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        super().set_trial_intermediate_value(trial_id, step, intermediate_value)
        self._mark(trial_id)

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        super().set_trial_user_attr(trial_id, key, value)
        self._mark(trial_id)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        super().set_trial_system_attr(trial_id, key, value)
        self._mark(trial_id)

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        super().set_study_user_attr(study_id, key, value)
        self._mark_attributes()

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        super().set_study_system_attr(study_id, key, value)
        self._mark_attributes()

    def _mark_attributes(self) -> None:
        with self._marks:
            self._attributes_changed = True


@dataclass
class Changes:
    """What changed in the ledger since the last `take`; old metrics of `restarted` runs go before new ones come."""

    runs: list[RunRecord] = field(default_factory=list)
    restarted: set[int] = field(default_factory=set)
    metrics: list[tuple[int, int, str, float]] = field(default_factory=list)  # number, epoch, metric, value

    def __bool__(self) -> bool:
        return bool(self.runs or self.restarted or self.metrics)


class Ledger:
    """The runs of a study, and every metric of every epoch on its way to the store. Safe to use from any thread."""

    def __init__(self, runs: Sequence[RunRecord] = ()) -> None:
        self._runs = {run.number: run for run in runs}
        self._changed: set[int] = set()
        self._pending = Changes()
        self._lock = threading.Lock()

    @property
    def changed(self) -> bool:
        """Whether `take` would return something."""
        with self._lock:
            return bool(self._changed or self._pending)

    def runs(self) -> list[RunRecord]:
        """Copies of all runs, by number."""
        with self._lock:
            return [copy.copy(self._runs[number]) for number in sorted(self._runs)]

    def run(self, number: int) -> RunRecord:
        """A copy of one run."""
        with self._lock:
            return copy.copy(self._runs[number])

    def find(self, number: int) -> RunRecord | None:
        """A copy of one run, or None."""
        with self._lock:
            return copy.copy(self._runs[number]) if number in self._runs else None

    def has_trained(self) -> bool:
        """Whether a run of ours has trained an epoch, reported a value, or ended with one."""
        with self._lock:
            return any(run.has_trained for run in self._runs.values() if not run.added)

    def put(self, run: RunRecord) -> None:
        """Add a run, or replace the one of its number."""
        with self._lock:
            self._runs[run.number] = run
            self._changed.add(run.number)

    def update(self, number: int, **values: Any) -> RunRecord:
        """Change some fields of a run; returns a copy of it."""
        with self._lock:
            run = self._runs[number]
            for name, value in values.items():
                setattr(run, name, value)
            self._changed.add(number)
            return copy.copy(run)

    def epoch(self, number: int, epoch: int, metrics: dict[str, float]) -> None:
        """Record the metrics of one epoch (counted from 0) of a run."""
        with self._lock:
            self._pending.metrics.extend((number, epoch, metric, value) for metric, value in metrics.items())

    def wait(self, number: int, reason: str | None, seconds: float | None = None) -> RunRecord:
        """Have a run wait to be run again, after so many seconds of training; returns a copy of it."""
        with self._lock:
            run = self._runs[number]
            if run.state == "RUNNING":
                run.attempt += 1
                run.interruptions = [
                    *run.interruptions,
                    f"after {counted(run.epoch, 'epoch')}: {reason or 'no reason'}",
                ]
            run.state, run.reason, run.verdict, run.duration = "WAITING", reason, None, seconds
            self._changed.add(number)
            return copy.copy(run)

    def forget(self, number: int) -> None:
        """Forget the epochs of a run that is run again."""
        with self._lock:
            run = self._runs[number]
            run.epoch, run.last, run.best, run.best_epoch = 0, None, None, None
            run.findings, run.trainings = [], []
            self._pending.metrics = [row for row in self._pending.metrics if row[0] != number]
            self._pending.restarted.add(number)
            self._changed.add(number)

    def end(
        self,
        trial: FrozenTrial,
        reason: str | None,
        traceback: str | None,
        seconds: float | None,
        verdict: Verdict | None = None,
    ) -> RunRecord:
        """Enter the end of a run as its trial ended; returns a copy of it. A verdict takes the place of a reason."""
        value = trial.values[0] if trial.state == TrialState.COMPLETE and trial.values else None
        with self._lock:
            run = self._runs[trial.number]
            run.state, run.traceback, run.duration = trial.state.name, traceback, seconds
            run.verdict, run.reason = verdict, reason if verdict is None else None
            run.params = dict(trial.params)
            run.values = list(trial.values) if trial.state == TrialState.COMPLETE and trial.values else None
            run.constraints = dict(trial.constraints)
            if run.epoch == 0:
                run.last = value
            if run.best is None and value is not None and math.isfinite(value):
                run.best = value
            self._changed.add(trial.number)
            return copy.copy(run)

    def take(self) -> Changes:
        """What changed since the last call."""
        with self._lock:
            taken, self._pending = self._pending, Changes()
            taken.runs = [copy.copy(self._runs[number]) for number in sorted(self._changed)]
            self._changed = set()
            return taken

    def give_back(self, changes: Changes) -> None:
        """Take back changes whose writing failed; what came since is newer."""
        with self._lock:
            self._changed.update(run.number for run in changes.runs)
            restarted = self._pending.restarted
            kept = [row for row in changes.metrics if row[0] not in restarted]
            self._pending.metrics = kept + self._pending.metrics
            self._pending.restarted = restarted | changes.restarted
