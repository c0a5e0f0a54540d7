"""Optuna's study in memory, which marks what has changed.

Everything is read from memory. `sweep.control.writer` takes the marks every 100 ms, and before a trial's end is
acknowledged, and writes what has changed in one transaction.
"""

import copy
import threading
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState

RUNG_PREFIX = "completed_rung_"  # where Optuna's successive halving keeps a trial's value at a rung
PAUSED = "sweep:paused"
"""The system attribute of a trial that waits at a rung: after how many epochs; None when it has continued."""

CONSTRAINT_PREFIX = "constraints:"  # where Optuna keeps a constraint that a trial has set


STUDY_ID = 0  # of the one study that lives in a storage


def copied(trial: FrozenTrial) -> FrozenTrial:
    """As `copy.copy`, which takes a detour that costs more than all else that an epoch needs."""
    other = object.__new__(FrozenTrial)
    other.__dict__.update(trial.__dict__)
    return other


class WriteBehindStorage(InMemoryStorage):
    """Optuna's in-memory storage that remembers which trials, and whether the study's attributes, changed since `take`.

    Safe to use from any thread. One study lives in it.

    Attributes:
        numbering: adds trials by calling the function that it is given, when no other program can take their numbers.
        taking: whether a waiting trial, by number, is ours to run, since another program may run it by now.
    """

    def __init__(self) -> None:
        super().__init__()
        self._changed: set[int] = set()
        self._shown: dict[int, TrialState] = {}  # what the tables have instead of the state here
        self._attributes_changed = False
        self._paused: dict[int, FrozenTrial] = {}  # as samplers see trials that have been paused, until they end
        self._others: dict[int, FrozenTrial] = {}  # trials that other programs added or run, as they have them
        self._marks = threading.Lock()
        self.numbering: Callable[[Callable[[], list[int]]], list[int]] = lambda create: create()
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
        trial = self.get_trial(trial_id)
        snapshot = copied(trial)
        snapshot.params, snapshot.distributions = dict(trial.params), dict(trial.distributions)
        snapshot.user_attrs, snapshot.system_attrs = dict(trial.user_attrs), dict(trial.system_attrs)
        snapshot.intermediate_values = dict(trial.intermediate_values)
        snapshot.state = self._shown.get(trial_id, trial.state)
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
        """Take a trial as another program has it by now, which ended it, runs it or has put it back into the queue.

        One that has ended looks failed, which samplers skip, until `replace` says how they are to see it.
        """
        with self._lock:
            theirs = copy.deepcopy(trial)
            theirs.number = theirs._trial_id = number
            shown = copy.copy(theirs)
            if trial.state.is_finished():
                shown.state = TrialState.FAIL
            self._set_trial(number, shown)
            self._update_cache(number, STUDY_ID)
            if trial.state == TrialState.WAITING:
                self._others.pop(number, None)
            else:
                self._others[number] = theirs

    def theirs(self, number: int) -> FrozenTrial | None:
        """A trial as another program has it; None if it is ours."""
        with self._lock:
            return self._others.get(number)

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

    def is_theirs(self, number: int) -> bool:
        """Whether a trial is not ours to speak for: another program has it, or it waits and nobody has begun it."""
        with self._lock:
            return number in self._others or self.get_trial(number).state == TrialState.WAITING

    def begun(self) -> int:
        """How many trials of ours have begun; others may be queued."""
        with self._lock:
            waiting = self.get_n_trials(STUDY_ID, TrialState.WAITING)
            return self.get_n_trials(STUDY_ID) - waiting - len(self._others)

    def wait(self, trial_id: int) -> None:
        """Have a running trial wait to be run again."""
        self.disguise(trial_id, TrialState.WAITING)

    def pause(self, number: int) -> None:
        """Have samplers see a running trial as pruned by now, until it ends, whether it continues meanwhile or not.

        In the tables it runs, so that no other program takes it, and an attribute says that it is paused.
        """
        with self._lock:
            seen = copied(self.get_trial(number))
            seen.state, seen.datetime_complete = TrialState.PRUNED, datetime.now()
            seen.values = None
            self._paused[number] = seen
            epochs = max(seen.intermediate_values, default=-1) + 1
        self.set_trial_system_attr(number, PAUSED, epochs)

    def hand_back(self, numbers: Iterable[int]) -> None:
        """Have trials that are paused wait in the tables, since nobody runs the study any more."""
        for number in numbers:
            self.disguise(number, TrialState.WAITING)

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        if not self._paused or states == (TrialState.WAITING,):
            return super().get_all_trials(study_id, deepcopy, states)
        with self._lock:
            every = super().get_all_trials(study_id, deepcopy=False)
            for number, seen in self._paused.items():
                every[number] = seen
        found = every if states is None else [trial for trial in every if trial.state in states]
        return copy.deepcopy(found) if deepcopy else found

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
            trial = self._without(trial_id, CONSTRAINT_PREFIX)
            if trial.system_attrs.get(PAUSED) is not None:
                trial.system_attrs[PAUSED] = None
            self._set_trial(trial_id, trial)
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

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:  # noqa: ARG002  # there is one study
        return self.create_trials(1, template_trial)[0]

    def create_trials(self, count: int, template: FrozenTrial | None = None) -> list[int]:
        """Add `count` trials, running ones or copies of a template, whose numbers are claimed together."""

        def create() -> list[int]:
            numbers = [super(WriteBehindStorage, self).create_new_trial(STUDY_ID, template) for _ in range(count)]
            for number in numbers:
                self._mark(number)
            return numbers

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
        if state.is_finished():
            self._paused.pop(trial_id, None)
        self._mark(trial_id)
        return done

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        with self._lock:
            trial = self.get_trial(trial_id)
            self.check_trial_is_updatable(trial_id, trial.state)
            changed = copied(trial)
            changed.intermediate_values = {**trial.intermediate_values, step: intermediate_value}
            self._set_trial(trial_id, changed)
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
