"""Runs as plain data for others to read: JSON objects, and whole studies as CSV, JSON or JSON lines."""

import csv
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TextIO

from sweep.finding import Finding
from sweep.names import Value, format_value
from sweep.read.runs import STATES, objectives
from sweep.read.studies import Standing
from sweep.store import RunRecord, Store, StudyRecord
from sweep.store.records import Training

FORMATS = ("csv", "json", "jsonl")

_CHUNK = 500  # runs whose epochs are in memory at once while exporting
_CSV_FIELDS = (
    *("study", "number", "name", "family", "architecture", "state", "epoch", "value", "last", "best"),
    "best_epoch_index",
    *("feasible", "started", "duration", "reason", "findings", "directory"),
    *("epochs_planned", "seed", "attempt", "worker"),
)


def study_object(standing: Standing) -> dict[str, Any]:
    """A study as `sweep studies --json` shows it; `best` is its best run's value, `created` is in Unix seconds."""
    study, best = standing.study, standing.best
    return {
        "study": study.name,
        "state": standing.state,
        "trials": study.declaration.trials,
        "counts": {state: standing.counts[state] for state in STATES if state in standing.counts},
        "objective": study.declaration.objective,
        "direction": study.declaration.direction,
        "best": finite(best.value) if best else None,
        "best_run": best.name if best else None,
        "created": study.created,
        "directory": study.directory,
        "file": study.declaration.file,
        "owner": str(study.owner) if study.owner else None,
    }


def run_object(study: StudyRecord, run: RunRecord, metrics: Mapping[str, float]) -> dict[str, Any]:
    """A run as `sweep runs --json` shows it.

    `values` are what `train` returned, by objective, and `value` is the first; only a COMPLETE run has them.
    `last` and `best` are the objective at the last and the best epoch. `feasible` is None without constraints.
    `epoch` counts finished epochs. What ends in `epoch_index` counts from 0, also in findings and trainings.
    `metrics` are those of the last finished epoch, `started` is in Unix seconds and `duration` in seconds. `trainings`
    has an object for each model that the trial trained, see `sweep.store.records.Training`. JSON has no NaN and no
    infinity: they are None.
    """
    return {
        "study": study.name,
        "number": run.number,
        "name": run.name,
        "family": run.family,
        "architecture": run.architecture,
        "params": _all_finite(run.params),
        "state": run.state,
        "epoch": run.epoch,
        "value": finite(run.value),
        "values": _values(study, run),
        "last": finite(run.last),
        "best": finite(run.best),
        "best_epoch_index": run.best_epoch,
        "feasible": run.feasible,
        "constraints": _all_finite(run.constraints),
        "metrics": _all_finite(metrics),
        "started": run.started,
        "duration": run.duration,
        "reason": run.reason,
        "findings": [_finding(found) for found in run.findings],
        "directory": run.directory,
        "trainings": [_training(training) for training in run.trainings],
    }


def _values(study: StudyRecord, run: RunRecord) -> dict[str, Value] | None:
    """What `train` returned, by objective."""
    if run.values is None:
        return None
    return _all_finite(dict(zip((goal.name for goal in objectives(study)), run.values, strict=False)))


def trial_object(study: StudyRecord, run: RunRecord, epochs: Mapping[int, Mapping[str, float]]) -> dict[str, Any]:
    """A trial as `sweep export` writes it: what `run_object` has, how it ran, and under `epochs` every metric by epoch.

    `epochs` is a list of objects, each with its `epoch_index` (counted from 0) and its metrics.
    """
    last = epochs[max(epochs)] if epochs else {}
    return {
        **run_object(study, run, last),
        "epochs_planned": run.epochs,
        "seed": run.seed,
        "attempt": run.attempt,
        "interruptions": run.interruptions,
        "revives": run.revives,
        "worker": run.worker,
        "traceback": run.traceback,
        "epochs": [{"epoch_index": epoch, **_all_finite(values)} for epoch, values in sorted(epochs.items())],
    }


def export(store: Store, study: StudyRecord, form: str, file: TextIO) -> int:
    """Write every trial of a study, its exact parameters and its metrics by epoch.

    Args:
        form: `json` (a list of objects, see `trial_object`), `jsonl` (an object a line) or `csv` (a line for each epoch
            of each trial, and one for a trial that has none; see `_write_csv`).

    Returns:
        how many trials were written.
    """
    runs = store.runs(study.study_id)
    if form == "csv":
        _write_csv(store, study, runs, file)
    else:
        _write_json(store, study, runs, file, lines=form == "jsonl")
    return len(runs)


def with_epochs(
    store: Store, study: StudyRecord, runs: Sequence[RunRecord]
) -> Iterator[tuple[RunRecord, dict[int, dict[str, float]]]]:
    """Each run with its metrics by epoch, some hundred runs in memory at a time."""
    for start in range(0, len(runs), _CHUNK):
        chunk = runs[start : start + _CHUNK]
        metrics = store.metrics(study.study_id, [run.number for run in chunk])
        yield from ((run, metrics.get(run.number, {})) for run in chunk)


def _write_csv(store: Store, study: StudyRecord, runs: Sequence[RunRecord], file: TextIO) -> None:
    """One line an epoch.

    Columns: those of `trial_object`, the values of several objectives as `value.NAME`, constraints as
    `constraint.NAME`, parameters as `param.NAME`, and of the line's epoch `epoch_index`, counted from 0, and
    `metric.NAME`. A cell is empty where there is nothing, such as a parameter that does not apply.
    Parameters are written as in a run name (None is `none`), except that strings are not escaped.
    """
    names = {name for _, epochs in with_epochs(store, study, runs) for values in epochs.values() for name in values}
    metrics = sorted(names)
    parameters = list(dict.fromkeys([*study.keys, *(name for run in runs for name in run.params)]))
    constraints = list(dict.fromkeys(name for run in runs for name in run.constraints))
    goals = [goal.name for goal in objectives(study)] if len(objectives(study)) > 1 else []
    writer = csv.writer(file, lineterminator="\n")
    described = [f"value.{name}" for name in goals] + [f"constraint.{name}" for name in constraints]
    described += [f"param.{name}" for name in parameters]
    writer.writerow([*_CSV_FIELDS, *described, "epoch_index", *(f"metric.{name}" for name in metrics)])
    for run, epochs in with_epochs(store, study, runs):
        same = _csv_cells(study, run, goals, constraints, parameters)
        if not epochs:
            writer.writerow([*same, "", *("" for _ in metrics)])
        for epoch, values in sorted(epochs.items()):
            writer.writerow([*same, epoch, *(values.get(name) for name in metrics)])


def _csv_cells(
    study: StudyRecord, run: RunRecord, goals: Sequence[str], constraints: Sequence[str], parameters: Sequence[str]
) -> list[Any]:
    """The cells that are the same on each line of a run."""
    kinds = " ".join(found.kind for found in run.findings)
    exact = {"value": run.value, "last": run.last}  # infinite ones too
    values = {**trial_object(study, run, {}), **exact, "findings": kinds}
    values["feasible"] = "" if run.feasible is None else format_value(run.feasible)
    shown: list[Any] = [run.values[place] if run.values else "" for place in range(len(goals))]
    shown += [run.constraints.get(name, "") for name in constraints]
    shown += [_csv_value(run.params[name]) if name in run.params else "" for name in parameters]
    return [*(values[name] for name in _CSV_FIELDS), *shown]


def _csv_value(value: Value) -> str:
    return value if isinstance(value, str) else format_value(value)


def _write_json(store: Store, study: StudyRecord, runs: Sequence[RunRecord], file: TextIO, *, lines: bool) -> None:
    """One trial after the other, so that a large study need not be in memory."""
    between = "\n" if lines else ",\n"
    file.write("" if lines else "[\n")
    for place, (run, epochs) in enumerate(with_epochs(store, study, runs)):
        file.write(between if place else "")
        file.write(json.dumps(trial_object(study, run, epochs), allow_nan=False))
    file.write(("\n" if runs else "") if lines else "\n]\n")


def _finding(found: Finding) -> dict[str, Any]:
    """A finding without its picture."""
    renamed = {"since": "since_epoch_index"}
    return {renamed.get(name, name): value for name, value in found.as_dict().items() if name != "picture"}


def _training(training: Training) -> dict[str, Any]:
    renamed = {"first": "first_epoch_index", "best_epoch": "best_epoch_index"}
    return {renamed.get(name, name): value for name, value in _all_finite(training.as_dict()).items()}


def finite(value: float | None) -> float | None:
    """A number, or None for NaN and infinity."""
    return None if value is None or not math.isfinite(value) else value


def _all_finite(values: Mapping[str, Value]) -> dict[str, Value]:
    """Values by name, with None for NaN and infinity."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in values.items()
    }
