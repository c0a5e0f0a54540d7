"""A study as it stands in the database, and what becomes of its trials that have not ended."""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from optuna.trial import FrozenTrial, TrialState, create_trial

from sweep.control.ending import ran_out
from sweep.control.optuna_rows import read_study_attributes, read_trials
from sweep.control.search import Search
from sweep.control.storage import Ledger
from sweep.store import FINISHED, RunRecord, Store, StudyRecord

ENDED_ELSEWHERE = "ended by another process in Optuna's tables"


@dataclass(frozen=True)
class Standing:
    """A study's trials by number with their ids in the database, its runs, its user and its system attributes."""

    known: Mapping[int, tuple[int, FrozenTrial]] = field(default_factory=dict)
    runs: list[RunRecord] = field(default_factory=list)
    attributes: tuple[Mapping[str, Any], Mapping[str, Any]] = ({}, {})

    @property
    def out_of_memory(self) -> set[int]:
        """The runs that failed for want of memory, which samplers see as pruned."""
        return {run.number for run in self.runs if run.state == "FAIL" and ran_out(run.reason)}

    def trials(self) -> list[FrozenTrial]:
        """The trials without a gap in their numbers; those that have begun and not ended are RUNNING.

        Optuna never gives back a trial that is WAITING, unless somebody put it into its queue.
        """
        return list(self._trials())

    def _trials(self) -> Iterator[FrozenTrial]:
        begun = {run.number for run in self.runs if run.state not in FINISHED}
        out = self.out_of_memory
        for number in range(max(self.known, default=-1) + 1):
            if number not in self.known:  # somebody deleted it
                yield create_trial(state=TrialState.RUNNING)
                continue
            trial = copy.copy(self.known[number][1])
            if trial.state == TrialState.WAITING and number in begun:
                trial.state = TrialState.RUNNING
            if number in out and trial.state == TrialState.FAIL:
                trial.state = TrialState.PRUNED
            yield trial


def read_standing(store: Store, record: StudyRecord) -> Standing:
    """Read a study whole."""
    with store.engine.connect() as connection:
        known = read_trials(connection, record.study_id)
        attributes = read_study_attributes(connection, record.study_id)
    return Standing(known, store.runs(record.study_id), attributes)


def begin_again(search: Search, ledger: Ledger) -> list[int]:
    """Make the trials that have not ended ready to be run again; returns their numbers.

    A run whose trial has ended without it, while no coordinator saw to it, ends as its trial did.
    """
    unended = []
    for trial in search.trials():
        run = ledger.find(trial.number)
        if trial.state == TrialState.RUNNING:
            search.storage.wait(trial._trial_id)
            if run is not None:
                ledger.wait(trial.number, run.reason)
            unended.append(trial.number)
        elif run is not None and trial.state.is_finished() and run.state not in FINISHED:
            values = trial.values if trial.state == TrialState.COMPLETE else None
            ledger.update(
                trial.number,
                state=trial.state.name,
                reason=ENDED_ELSEWHERE,
                values=values,
                constraints=dict(trial.constraints),
            )
    return unended
