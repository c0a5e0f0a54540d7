"""A study in memory with its hold on a database, without workers."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from sweep.control.lease import create_study
from sweep.control.search import Search
from sweep.control.writer import StudyWriter
from sweep.core.events import Changes
from sweep.core.trial import forget, requeue
from sweep.declaration import Declaration
from sweep.store import FINISHED, RunRecord, Store
from sweep.store.lease import new_owner
from tests.databases import optunas_own


def declare(**values: Any) -> Declaration:
    """A declaration; `values` overrides."""
    usual = {
        "name": "study",
        "objective": ["loss"],
        "direction": ["minimize"],
        "trials": 10,
        "pruner": "nop",
        "seed": 7,
    }
    return Declaration(**{**usual, **values})


class Ledger:
    """Runs and metrics on their way to the database, as the core has them."""

    def __init__(self) -> None:
        self.runs: dict[int, RunRecord] = {}
        self.changes = Changes()

    def put(self, run: RunRecord) -> None:
        """Add a run."""
        self.runs[run.number] = run
        self._changed(run.number)

    def update(self, number: int, **values: Any) -> None:
        """Change some fields of a run."""
        for name, value in values.items():
            setattr(self.runs[number], name, value)
        self._changed(number)

    def epoch(self, number: int, epoch: int, metrics: dict[str, float]) -> None:
        """Record the metrics of an epoch."""
        self.changes.metrics += [(number, epoch, name, value) for name, value in metrics.items()]

    def wait(self, number: int, reason: str | None) -> None:
        """Have a run wait to be run again."""
        requeue(self.runs[number], reason)
        self._changed(number)

    def forget(self, number: int) -> None:
        """Forget the epochs of a run that is run again."""
        forget(self.runs[number])
        self.changes.metrics = [row for row in self.changes.metrics if row[0] != number]
        self.changes.restarted.add(number)
        self._changed(number)

    def _changed(self, number: int) -> None:
        others = [run for run in self.changes.runs if run.number != number]
        self.changes.runs = [*others, self.runs[number]]


class Memory:
    """A study's search, runs and writer."""

    def __init__(self, store: Store, **declaration: Any) -> None:
        declared = declare(**declaration)
        self.store = store
        self.search = Search(declared)
        self.ledger = Ledger()
        self.record = create_study(
            store, declared.name, declared.direction, "/runs/study", declared.as_dict(), new_owner()
        )
        self.writer = StudyWriter(store, self.record, self.search.storage)

    def flush(self) -> None:
        """Write what has changed, with the ends of trials in their runs; what cannot be written is the next time."""
        for trial in self.trials():
            run = self.ledger.runs.get(trial.number)
            if run is not None and trial.state.is_finished() and run.state not in FINISHED:
                values = trial.values if trial.state == TrialState.COMPLETE else None
                self.ledger.update(trial.number, state=trial.state.name, values=values)
        self.writer.write(self.ledger.changes)
        self.ledger.changes = Changes()

    def ask(self) -> optuna.Trial:
        """A new trial with its run."""
        trial = self.search.ask()
        self.ledger.put(RunRecord(trial.number))
        return trial

    def trials(self) -> list[FrozenTrial]:
        """The trials in memory."""
        return self.search.trials()


@contextmanager
def a_study(storage_url: str, **declaration: Any) -> Iterator[Memory]:
    """A study that stands in the database and in memory."""
    store = Store(storage_url)
    try:
        yield Memory(store, **declaration)
    finally:
        store.close()


def optunas_trials(storage_url: str, name: str = "study") -> list[FrozenTrial]:
    """A study's trials as Optuna reads them."""
    with optunas_own(storage_url) as storage:
        return optuna.load_study(study_name=name, storage=storage).trials


def comparable(trials: list[FrozenTrial]) -> list[dict[str, Any]]:
    """All that trials hold but their ids, so that equal ones are equal: NaN is, and floats are to the last bit."""
    found = []
    for trial in trials:
        parts = {name.lstrip("_"): value for name, value in vars(trial).items() if name != "_trial_id"}
        parts["intermediate_values"] = {step: exact(value) for step, value in trial.intermediate_values.items()}
        parts["system_attrs"] = {name: exact(value) for name, value in trial.system_attrs.items()}
        parts["params"] = {name: exact(value) for name, value in trial.params.items()}
        parts["values"] = [exact(value) for value in trial.values or []]
        found.append(parts)
    return found


def exact(value: Any) -> Any:
    """A value that is equal to itself only, with its type."""
    return (type(value).__name__, "nan" if isinstance(value, float) and math.isnan(value) else value)
