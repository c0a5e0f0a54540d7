"""Whether a database holds what it should: that Optuna's tables and ours agree, and that nothing is missing."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from optuna.trial import FrozenTrial, TrialState

from sweep.store import FINISHED, RUN, RunRecord, Store, StudyRecord
from sweep.store.tables import runs as run_rows
from sweep.store.trials import read_trials, shared_numbers
from sweep.words import counted

Epochs = dict[int, dict[str, float]]


def check_database(store: Store) -> list[str]:
    """What is wrong with a database and its studies, a line each; empty if nothing is.

    A study that runs meanwhile may be between two of its writes, and is better checked when it has stopped. Which
    directories are there, `sweep.control.relocation.missing` says.
    """
    found = list(_check_file(store))
    for study in store.studies():
        found += [f"{study.name}: {wrong}" for wrong in _check_study(store, study)]
    return found


def _check_file(store: Store) -> Iterator[str]:
    if store.url.get_backend_name() == "sqlite":
        with store.engine.connect() as connection:
            for (line,) in connection.execute(sa.text("PRAGMA integrity_check")):
                if line != "ok":
                    yield f"SQLite: {line}"


def _check_study(store: Store, study: StudyRecord) -> Iterator[str]:
    with store.engine.connect() as connection:
        trials = {number: trial for number, (_, trial) in read_trials(connection, study.study_id).items()}
        shared = shared_numbers(connection, study.study_id)
    for number in shared:
        yield f"several trials in Optuna's tables have the number {number}; sweep start gives each one of its own"
    runs = {run.number: run for run in store.runs(study.study_id)}
    metrics = store.metrics(study.study_id)
    with store.engine.connect() as connection:
        written = set(
            connection.execute(sa.select(run_rows.c.number).where(run_rows.c.study_id == study.study_id)).scalars()
        )
    for number in sorted(runs.keys() - trials.keys()):
        yield f"run {number} has no trial in Optuna's tables"
    for number, trial in sorted(trials.items()):
        if number in runs and number not in written:  # another program has added it, unless it was ours
            if RUN in trial.user_attrs or number in metrics:
                yield f"trial {number} has ended and has no run"
        elif number in runs:
            yield from (
                f"run {number} {wrong}" for wrong in _check_run(study, runs[number], trial, metrics.get(number, {}))
            )


def _check_run(study: StudyRecord, run: RunRecord, trial: FrozenTrial, epochs: Epochs) -> Iterator[str]:
    if trial.state.name != run.state and (trial.state.is_finished() or run.state in FINISHED):
        yield f"is {run.state}, and its trial {trial.state.name}"
    if run.name is not None and _texts(run.params) != _texts(trial.params):
        yield f"has the parameters {run.params}, and its trial {trial.params}"
    plain = set(epochs) != set(range(len(epochs)))  # an objective of plain Optuna may report any steps
    if not plain and run.epoch != len(epochs):
        yield f"has finished {counted(run.epoch, 'epoch')}, and values of {len(epochs)}"
    returned = trial.values if trial.state == TrialState.COMPLETE else None
    if _exactly(run.values) != _exactly(returned):
        yield f"has the value {_listed(run.values)}, and its trial {_listed(returned)}"
    if run.constraints != trial.constraints:
        yield f"has the constraints {run.constraints}, and its trial {trial.constraints}"
    objectives = study.declaration.objectives
    if len(objectives) > 1:
        return
    goal, seen = objectives[0], _seen_by_pruners(run, objectives[0].name, epochs)
    if seen is None:
        return
    reported = {step: float(value).hex() for step, value in trial.intermediate_values.items()}
    ours = {step: value.hex() for step, value in seen.items()}
    if run.state not in FINISHED:  # its coordinator may have been killed when one had the last values already
        both = ours.keys() & reported.keys()
        ours, reported = ({step: values[step] for step in both} for values in (ours, reported))
    if ours != reported:
        yield f"reported other values of {goal.name} than its trial"
    best = goal.best(value for value in seen.values() if math.isfinite(value))
    if best is not None and run.best != best:
        yield f"has {run.best} as the best {goal.name}, and {best} among its epochs"


def _seen_by_pruners(run: RunRecord, objective: str, epochs: Epochs) -> dict[int, float] | None:
    """The values by step that Optuna should have: those of the judged training; None if only reports tell them.

    A run without trainings is one of an objective in plain Optuna, or one of sweep 0.1, which has all epochs.
    """
    if not run.trainings:
        return {epoch: named[objective] for epoch, named in epochs.items() if objective in named}
    judged = run.judged_training
    if judged is None:
        return None
    name, steps = judged.monitor or objective, range(judged.epochs)
    by_step = {step: epochs.get(judged.first + step, {}) for step in steps}
    return {step: named[name] for step, named in by_step.items() if name in named}


def _exactly(values: Sequence[float] | None) -> list[str] | None:
    return None if values is None else [float(value).hex() for value in values]


def _listed(values: Sequence[float] | None) -> str:
    return "none" if values is None else ", ".join(map(repr, values))


def _texts(params: Mapping[str, Any]) -> dict[str, str]:
    """Parameters as texts, so that NaN equals itself, and 1 neither 1.0 nor True."""
    return {name: repr(value) for name, value in params.items()}
