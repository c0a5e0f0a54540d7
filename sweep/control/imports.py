"""Taking over trials that others made: they become a study of sweep's, with run names, curves and, on request, events.

What is taken over is read elsewhere (`sweep.control.optuna_study`, `sweep.control.foreign_runs`) and written here, in
one transaction: the study is there whole or not at all.
"""

import contextlib
import json
import math
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from optuna.distributions import distribution_to_json
from optuna.storages._rdb import models
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from sweep.control.folder import mark
from sweep.control.optuna_rows import TrialWriter, write_study_attributes
from sweep.control.ours import OTHERS
from sweep.declaration import Declaration
from sweep.errors import StudyError
from sweep.names import KeyTable
from sweep.objective import Objective
from sweep.options import OPTIONS
from sweep.rundir import run_directory
from sweep.store import RunRecord, Store
from sweep.store.database import writing
from sweep.store.paths import kept
from sweep.store.tables import metrics, runs, split_float, studies
from sweep.store.trials import added_run
from sweep.tensorboard import hparams
from sweep.tensorboard.event_files import BEST_TAG, RUN_TAG, RunWriter, end_scalars, run_text
from sweep.words import counted

BATCH = 500  # trials that are written at a time

Epochs = Mapping[int, Mapping[str, float]]

REASONS = {"PRUNED": "pruned before it was imported", "FAIL": "failed before it was imported"}
"""Why an imported run ended, where its trial does not say."""

_STUDIES = models.StudyModel.__table__
_DIRECTIONS = models.StudyDirectionModel.__table__


@dataclass(frozen=True)
class Foreign:
    """Trials that others made.

    Attributes:
        source: where they come from, in words.
        objectives: what they optimise.
        trials: in the order of their numbers, which no two share.
        study_id: that of their study in the target's tables of Optuna; None if it is to be made.
        attributes: the study's user attributes and its system attributes.
        epochs: further metrics by epoch, by number; what a trial reported is the objective's in any case.
        folder: where their directories are; None if they have none.
        directories: each trial's directory, by number.
        searched: whether their domains are a search space, which the study continues to search.
    """

    source: str
    objectives: Sequence[Objective]
    trials: Sequence[FrozenTrial]
    study_id: int | None = None
    attributes: tuple[Mapping[str, Any], Mapping[str, Any]] = ({}, {})
    epochs: Mapping[int, Epochs] = field(default_factory=dict)
    folder: Path | None = None
    directories: Mapping[int, Path] = field(default_factory=dict)
    searched: bool = True


class Import:
    """Foreign trials as a study of sweep's, before it is written.

    Attributes:
        name: the study's.
        runs: those of trials that have ended.
        unfinished: how many trials are in each other state; they have no run, and stay as they are.
        folder: the study's, where it has one already or event files were written; else None.

    Raises:
        StudyError: the name cannot be a study's.
    """

    def __init__(self, name: str, foreign: Foreign) -> None:
        try:
            OPTIONS["name"].check(name, "The study's name")
        except StudyError as error:
            raise StudyError(error.message, "Give it another one with --name.") from None
        self.name = name
        self.foreign = foreign
        self.folder = foreign.folder
        self._written = False  # whether the event files in the folder are ours
        self._made: list[Path] = []  # the study's folder, and those above it that were made for it, until it is written
        self._keys = KeyTable()
        ended = [trial for trial in foreign.trials if trial.state.is_finished()]
        self.runs = [self._run(trial) for trial in ended]
        self.unfinished = Counter(trial.state.name for trial in foreign.trials if not trial.state.is_finished())

    @property
    def counts(self) -> dict[str, int]:
        """How many runs are in each state."""
        return dict(Counter(run.state for run in self.runs))

    def _run(self, trial: FrozenTrial) -> RunRecord:
        run = added_run(trial, self.name, self._keys, self.foreign.objectives[0])
        run.reason = _failure(trial) or REASONS.get(run.state)
        directory = self.foreign.directories.get(trial.number)
        run.directory = str(directory) if directory is not None else None
        further = self.foreign.epochs.get(trial.number)
        if further:
            run.epoch = max(run.epoch, max(further) + 1)
        return run

    def _epochs(self, trial: FrozenTrial) -> dict[int, dict[str, float]]:
        found = {step: dict(named) for step, named in self.foreign.epochs.get(trial.number, {}).items()}
        for step, value in trial.intermediate_values.items():
            found.setdefault(step, {})[self.foreign.objectives[0].name] = value
        return found

    def _declaration(self) -> Declaration:
        several = len(self.foreign.objectives) > 1
        return Declaration(
            name=self.name,
            objective=[goal.name for goal in self.foreign.objectives],
            direction=[goal.direction for goal in self.foreign.objectives],
            trials=max(1, len(self.runs)),
            pruner="nop" if several else "median",  # which compares with their curves; `asha` with what it saw at rungs
            doc=f"Imported from {self.foreign.source}.",
        )

    def _space(self) -> dict[str, list[str]]:
        found: dict[str, dict[str, None]] = {}
        for trial in self.foreign.trials if self.foreign.searched else ():
            for name, distribution in trial.distributions.items():
                found.setdefault(name, {})[distribution_to_json(distribution)] = None
        return {name: list(texts) for name, texts in found.items()}

    # Event files.

    def write_events(self, logdir: Path, done: Callable[[int], None]) -> None:
        """Write an event file with an HParams record for each run that has a name, in the study's folder.

        Args:
            logdir: the log directory, which must not have a folder of the study's name.
            done: is told how many runs were written since the last call.

        Raises:
            StudyError: there is such a folder, or it cannot be written; whatever is raised, nothing of it is left.
        """
        place = logdir.resolve()
        folder = place / self.name
        if folder.exists():
            raise StudyError(f"There already is a folder {folder}.", "Choose another with --logdir.")
        by_number = {trial.number: trial for trial in self.foreign.trials}
        self._made = [path for path in (folder, *folder.parents) if not path.exists()]
        try:
            for run in self.runs:
                if run.name is not None:
                    directory = run_directory(place, self.name, run.name)
                    self._write_run(run, by_number[run.number], directory)
                    run.directory = str(directory)
                done(1)
        except OSError as error:
            self.withdraw_events()
            raise StudyError(f"Cannot write event files to {folder}: {error.strerror}.") from None
        except BaseException:
            self.withdraw_events()
            raise
        self.folder, self._written = folder, True

    def withdraw_events(self) -> None:
        """Remove the event files again, with the folders made for them, unless the study is in the database."""
        if self._made:
            shutil.rmtree(self._made[0], ignore_errors=True)
        for folder in self._made[1:]:
            with contextlib.suppress(OSError):  # somebody else has put something into it
                folder.rmdir()
        self._made = []

    def _write_run(self, run: RunRecord, trial: FrozenTrial, directory: Path) -> None:
        epochs, started = self._epochs(trial), run.started or 0.0
        goals = [goal.name for goal in self.foreign.objectives]
        names = {name for named in epochs.values() for name in named}
        with RunWriter(directory) as writer:
            writer.add(hparams.build_start(run.params, trial.distributions, run.name or "", started), 0)
            for step, named in sorted(epochs.items()):
                writer.scalars(step, {name: value for name, value in named.items() if math.isfinite(value)})
            writer.add(hparams.build_end(run.state, started + (run.duration or 0.0)), 0)
            last = end_scalars(goals, run.values, names, run.params, feasible=run.feasible is not False)
            if epochs and run.best is not None:
                last[f"{BEST_TAG}{goals[0]}"] = run.best
            if last:
                writer.scalars(max(epochs, default=0), last)
            writer.text(RUN_TAG, run_text(run.name or "", run.params, run.state, run.why or ""), step=1)

    # The database.

    def write(self, store: Store, logdir: Path, done: Callable[[int], None]) -> None:
        """Write the study.

        Args:
            store: the database.
            logdir: the log directory that the study is to have, where it has no folder yet.
            done: is told how many trials were written since the last call.

        Raises:
            ReadOnly: the database can only be read.
            StudyError: it has a study of that name by now.
        """
        store.check_writable()
        folder = self.folder or logdir.resolve() / self.name
        try:
            with writing(store.engine) as connection:
                study_id = self._write_study(connection, store, folder)
                for some in _batches(self.foreign.trials):
                    if self.foreign.study_id is None:
                        TrialWriter(study_id, {}).write(connection, some)
                    self._write_runs(connection, study_id, some, folder)
                    done(len(some))
        except sa.exc.IntegrityError:
            raise StudyError(
                f"The database already has a study {self.name}.", "Give this one another name with --name."
            ) from None
        self._made = []
        if self._written and folder.is_dir():
            mark(folder, store.url)

    def _write_study(self, connection: sa.Connection, store: Store, folder: Path) -> int:
        study_id = self.foreign.study_id
        if study_id is None:
            made = connection.execute(sa.insert(_STUDIES).values(study_name=self.name).returning(_STUDIES.c.study_id))
            study_id = int(made.scalar_one())
            for place, goal in enumerate(self.foreign.objectives):
                row = {"study_id": study_id, "direction": StudyDirection[goal.direction.upper()], "objective": place}
                connection.execute(sa.insert(_DIRECTIONS).values(row))
            write_study_attributes(connection, study_id, *map(dict, self.foreign.attributes))
        if folder.is_dir() and not self._written:
            write_study_attributes(connection, study_id, {}, {OTHERS: True})
        described: dict[str, Any] = {
            "study_id": study_id,
            "name": self.name,
            "declaration": json.dumps(self._declaration().as_dict()),
            "keys": json.dumps(self._keys.as_dict()),
            "space": json.dumps(self._space()),
            "directory": kept(str(folder), store.base),
            "created": min([run.started for run in self.runs if run.started is not None], default=time.time()),
            "owner": None,
            "beat": 0,
        }
        connection.execute(sa.insert(studies).values(described))
        return study_id

    def _write_runs(
        self, connection: sa.Connection, study_id: int, trials: Sequence[FrozenTrial], folder: Path
    ) -> None:
        by_number = {run.number: run for run in self.runs}
        ended = [trial for trial in trials if trial.number in by_number]
        if not ended:
            return
        rows = [by_number[trial.number].row(study_id, str(folder)) for trial in ended]
        connection.execute(sa.insert(runs), rows)
        measured = []
        for trial in ended:
            for epoch, named in self._epochs(trial).items():
                for metric, value in named.items():
                    number, kind = split_float(value)
                    key = {"study_id": study_id, "number": trial.number, "epoch": epoch, "metric": metric}
                    measured.append({**key, "value": number, "kind": kind})
        if measured:
            connection.execute(sa.insert(metrics), measured)

    def summary(self) -> str:
        """How many runs there are, by state, and what is left out, in a line."""
        states = ", ".join(f"{count} {state}" for state, count in sorted(self.counts.items()))
        return f"{self.name}: {counted(len(self.runs), 'run')}{f' ({states})' if states else ''}"


def _batches(trials: Iterable[FrozenTrial]) -> Iterator[list[FrozenTrial]]:
    left = iter(trials)
    while some := list(islice(left, BATCH)):
        yield some


def _failure(trial: FrozenTrial) -> str | None:
    """Why a trial failed, where its program has noted it as Optuna or sweep does."""
    if trial.state != TrialState.FAIL:
        return None
    said = trial.system_attrs.get("fail_reason") or trial.user_attrs.get("fail_reason")
    return said if isinstance(said, str) else None
