"""Whole studies as CSV, JSON or JSON lines."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TextIO

from sweep.names import format_value
from sweep.store import Notes, RunRecord, Store, StudyRecord
from sweep.view.cells import value
from sweep.view.runs import Epochs, all_finite, objectives, trial_object

FORMATS = ("csv", "json", "jsonl")

_CHUNK = 500  # runs whose epochs are in memory at once while exporting
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")
_VERDICT_FIELDS = ("rule", "value", "epoch_index", "threshold", "rivals")
_CSV_FIELDS = (
    *("study", "number", "name", "family", "architecture", "state", "epoch", "value", "last", "best"),
    *("best_epoch_index", "mean", "sd", "n"),
    *("feasible", "started", "ended", "duration", "reason", "findings", "directory"),
    *("epochs_planned", "seed", "attempt", "worker"),
)


def write_study(store: Store, study: StudyRecord, form: str, file: TextIO) -> int:
    """Write every trial of a study, its exact parameters and its metrics by epoch.

    Args:
        form: `json` (a list of objects, see `_exported`), `jsonl` (an object a line) or `csv` (a line for each epoch
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

    Columns: those of `trial_object`, times in ISO 8601, a pruner's verdict as `verdict.rule`, `verdict.value`,
    `verdict.epoch_index` (counted from 0), `verdict.threshold` and `verdict.rivals`, the values of several objectives
    as `value.NAME`, constraints as `constraint.NAME`, user attributes as `attribute.NAME` (a text as it is, anything
    else as JSON), parameters as `param.NAME`, and of the line's epoch `epoch_index`, counted from 0, and
    `metric.NAME`. A cell is empty if it does not apply, as some parameters do not. Parameters are written as in a run
    name (None is `none`), except that strings are not escaped. A text that a spreadsheet would take for a formula
    begins with an apostrophe.
    """
    notes = store.notes(study.study_id)
    names = {name for _, epochs in with_epochs(store, study, runs) for values in epochs.values() for name in values}
    metrics = sorted(names)
    parameters = list(dict.fromkeys([*study.keys, *(name for run in runs for name in run.params)]))
    constraints = list(dict.fromkeys(name for run in runs for name in run.constraints))
    attributes = list(dict.fromkeys(key for run in runs for key in _notes(notes, run).attributes))
    goals = [goal.name for goal in objectives(study)] if len(objectives(study)) > 1 else []
    writer = _Writer(file)
    described = [f"verdict.{name}" for name in _VERDICT_FIELDS] + [f"value.{name}" for name in goals]
    described += [f"constraint.{name}" for name in constraints] + [f"attribute.{key}" for key in attributes]
    described += [f"param.{name}" for name in parameters]
    writer.writerow([*_CSV_FIELDS, *described, "epoch_index", *(f"metric.{name}" for name in metrics)])
    for run, epochs in with_epochs(store, study, runs):
        noted = _notes(notes, run)
        same = _csv_cells(study, run, noted, goals, constraints)
        same += [_cell(noted.attributes[key]) if key in noted.attributes else "" for key in attributes]
        same += [value(run.params[name]) if name in run.params else "" for name in parameters]
        if not epochs:
            writer.writerow([*same, "", *("" for _ in metrics)])
        for epoch, values in sorted(epochs.items()):
            writer.writerow([*same, epoch, *(values.get(name) for name in metrics)])


def _notes(notes: Mapping[int, Notes], run: RunRecord) -> Notes:
    return notes.get(run.number, Notes(None))


def _cell(noted: Any) -> str:
    """A user attribute as a cell: a text as it is, anything else as JSON."""
    return noted if isinstance(noted, str) else json.dumps(noted)


def _time(seconds: float | None) -> str | None:
    """Unix seconds as ISO 8601 in UTC, to a millisecond, such as `2026-11-30T14:58:42.125+00:00`."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds") if seconds is not None else None


def _times(run: RunRecord, noted: Notes) -> dict[str, str | None]:
    """When a run began and ended; of a run that is WAITING or RUNNING, Optuna's tables have no end."""
    return {"started": _time(run.started), "ended": _time(noted.ended)}


class _Writer:
    """Writes rows whose texts no spreadsheet evaluates."""

    def __init__(self, file: TextIO) -> None:
        self._writer = csv.writer(file, lineterminator="\n")

    def writerow(self, cells: Iterable[Any]) -> None:
        """Write a row."""
        self._writer.writerow([_inert(cell) if isinstance(cell, str) else cell for cell in cells])


def _inert(text: str) -> str:
    """A text with an apostrophe before it, if it would be a formula; numbers are none."""
    if not text.startswith(_FORMULAS):
        return text
    try:
        float(text)
        return text
    except ValueError:
        return f"'{text}"


def _csv_cells(
    study: StudyRecord, run: RunRecord, noted: Notes, goals: Sequence[str], constraints: Sequence[str]
) -> list[Any]:
    """The cells that are the same on each line of a run, up to its constraints."""
    kinds = " ".join(found.kind for found in run.findings)
    exact = {"value": run.value, "last": run.last}  # infinite ones too
    values = {**trial_object(study, run, {}), **exact, **_times(run, noted), "findings": kinds}
    values["feasible"] = "" if run.feasible is None else format_value(run.feasible)
    shown: list[Any] = [getattr(run.verdict, name, None) for name in _VERDICT_FIELDS]  # infinite ones too
    shown += [run.values[place] if run.values else "" for place in range(len(goals))]
    shown += [run.constraints.get(name, "") for name in constraints]
    return [*(values[name] for name in _CSV_FIELDS), *shown]


def _exported(study: StudyRecord, run: RunRecord, noted: Notes, epochs: Epochs) -> dict[str, Any]:
    """A trial as `trial_object` has it, its times in ISO 8601, with when it ended and its `user_attributes`."""
    attributes = all_finite(noted.attributes)
    return {**trial_object(study, run, epochs), **_times(run, noted), "user_attributes": attributes}


def _write_json(store: Store, study: StudyRecord, runs: Sequence[RunRecord], file: TextIO, *, lines: bool) -> None:
    """One trial after the other, so that a large study need not be in memory."""
    between = "\n" if lines else ",\n"
    notes = store.notes(study.study_id)
    file.write("" if lines else "[\n")
    for place, (run, epochs) in enumerate(with_epochs(store, study, runs)):
        file.write(between if place else "")
        file.write(json.dumps(_exported(study, run, _notes(notes, run), epochs), allow_nan=False))
    file.write(("\n" if runs else "") if lines else "\n]\n")
