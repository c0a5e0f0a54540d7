"""A study as the database has it."""

import copy
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from optuna.trial import FrozenTrial, TrialState, create_trial

from sweep.control.optuna_rows import read_study_attributes
from sweep.core.policy import Fault, fault_of, ran_out
from sweep.store import CONTINUES, FINISHED, REVIVES, RUN, RunRecord, Store, StudyRecord, counts_of
from sweep.store.trials import read_rows


@dataclass(frozen=True)
class Stored:
    """A study's trials by number with their ids in the database, its runs, its user and its system attributes.

    `moved` are the trials that shared their number with another one, by id, with the number that they have here.
    `last_metrics` are those of each run's last finished epoch, by number, where they were asked for.
    """

    known: Mapping[int, tuple[int, FrozenTrial]] = field(default_factory=dict)
    runs: list[RunRecord] = field(default_factory=list)
    attributes: tuple[Mapping[str, Any], Mapping[str, Any]] = ({}, {})
    moved: Mapping[int, int] = field(default_factory=dict)
    last_metrics: Mapping[int, Mapping[str, float]] = field(default_factory=dict)

    @property
    def theirs(self) -> list[int]:
        """The trials that other programs added or run, by number: they have no run of ours, or one that says so."""
        runs = {run.number: run for run in self.runs}
        return [
            number
            for number, (_, trial) in self.known.items()
            if (number not in runs and trial.state != TrialState.WAITING) or (number in runs and runs[number].added)
        ]

    @property
    def done(self) -> int:
        """How many trials that sweep trained have ended."""
        counts = counts_of(self.runs)
        return sum(counts[state] for state in FINISHED)

    @property
    def continued(self) -> int:
        """How many trials continue runs that are due again, which the total of trials does not count."""
        return sum(CONTINUES in trial.user_attrs for _, trial in self.known.values())

    @property
    def revived(self) -> set[int]:
        """The pruned runs that new trials continue."""
        return {trial.user_attrs[REVIVES] for _, trial in self.known.values() if REVIVES in trial.user_attrs}

    @property
    def hopeless(self) -> set[int]:
        """The runs that failed for their parameters, which samplers see as pruned.

        What failed before it trained did so with the study file of its time: another one may do better.
        """
        ours = [run for run in self.runs if not run.added]
        trained = any(run.has_trained for run in ours)
        latest = max(ours, key=lambda run: run.started or 0.0).snapshot if ours else None
        failed = [run for run in ours if run.state == "FAIL" and run.snapshot == latest]
        untrained = [run.number for run in failed if fault_of(run, trained=trained) is Fault.UNTRAINED]
        return {run.number for run in ours if run.state == "FAIL" and ran_out(run.reason)} | set(untrained)

    def trials(self) -> list[FrozenTrial]:
        """The trials without a gap in their numbers; those that have begun and not ended are RUNNING.

        Optuna never gives back a trial that is WAITING, unless somebody put it into its queue.
        """
        return list(self._trials())

    def _trials(self) -> Iterator[FrozenTrial]:
        begun = {run.number for run in self.runs if run.state not in FINISHED}
        hopeless = self.hopeless
        for number in range(max(self.known, default=-1) + 1):
            if number not in self.known:  # somebody deleted it
                yield create_trial(state=TrialState.RUNNING)
                continue
            trial = copy.copy(self.known[number][1])
            if trial.state == TrialState.WAITING and number in begun:
                trial.state = TrialState.RUNNING
            if number in hopeless and trial.state == TrialState.FAIL:
                trial.state = TrialState.PRUNED
            yield trial


def read_stored(store: Store, record: StudyRecord, *, metrics: bool = False) -> Stored:
    """Read a study whole; with `metrics`, also those of each run's last epoch."""
    with store.engine.connect() as connection:
        rows = read_rows(connection, record.study_id)
        attributes = read_study_attributes(connection, record.study_id)
    numbers = {trial.number for _, trial in rows}
    runs = [run for run in store.runs(record.study_id) if not run.added or run.number in numbers]
    known, moved = number_trials(rows, runs)
    last = store.last_metrics(record.study_id) if metrics else {}
    return Stored(known, runs, attributes, moved, last)


def number_trials(
    rows: Sequence[tuple[int, FrozenTrial]], runs: Sequence[RunRecord]
) -> tuple[dict[int, tuple[int, FrozenTrial]], dict[int, int]]:
    """Give each trial a number of its own.

    Of trials that share a number, which Optuna's tables do not rule out, the one that our run is of keeps it.

    Args:
        rows: the trials with their ids, in the order in which they were written.
        runs: the study's runs.

    Returns:
        the trials by number with their ids; and the new numbers of those that shared one, by id.
    """
    by_number = defaultdict(list)
    for trial_id, trial in rows:
        by_number[trial.number].append((trial_id, trial))
    ours = {run.number: run for run in runs}
    known, others = {}, []
    for number, sharing in sorted(by_number.items()):
        sharing.sort(key=lambda row: -_likeness(row[1], ours.get(number)))  # stable: the first that was written leads
        known[number] = sharing[0]
        others += sharing[1:]
    moved = {}
    for number, (trial_id, trial) in enumerate(
        sorted(others, key=lambda row: row[0]), start=max(known, default=-1) + 1
    ):
        trial.number = trial._trial_id = moved[trial_id] = number
        known[number] = (trial_id, trial)
    return known, moved


def _likeness(trial: FrozenTrial, run: RunRecord | None) -> int:
    """How much speaks for a trial being that of our run."""
    if run is None:
        return 0
    named = run.name is not None and trial.user_attrs.get(RUN) == run.name
    return 4 * named + 2 * (trial.params == run.params) + (trial.state.name == run.state)
