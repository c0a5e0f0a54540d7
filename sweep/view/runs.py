"""One run as every interface shows it, the best of several, and the one that a person names."""

import difflib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sweep.commands import command
from sweep.errors import RunNameError, StoreError, SweepError
from sweep.finding import Finding
from sweep.names import KeyTable, Value, decode, format_number
from sweep.objective import Objective
from sweep.store import RepeatRecord, RunRecord, Store, StudyRecord, Training
from sweep.words import counted, listed, one_line

STATES = ("WAITING", "RUNNING", "PAUSED", "COMPLETE", "PRUNED", "FAIL")

Epochs = Mapping[int, Mapping[str, float]]
"""A run's metrics by epoch, counted from 0."""

_NUMBER = re.compile(r"t?0*([0-9]{1,18})")
_NUMBERS = 2**31  # trial numbers that the database can hold


def key_table(study: StudyRecord) -> KeyTable:
    """The key table of a study's run names."""
    return KeyTable(short=study.declaration.short, table=study.keys)


def objectives(study: StudyRecord) -> list[Objective]:
    """What a study optimises."""
    return study.declaration.objectives


def objective(study: StudyRecord) -> Objective:
    """What a study optimises, the first of several."""
    return objectives(study)[0]


def finished(counts: Mapping[str, int]) -> int:
    """How many trials count towards a study's budget: complete, pruned and failed ones."""
    return sum(counts.get(state, 0) for state in ("COMPLETE", "PRUNED", "FAIL"))


def rank(study: StudyRecord, runs: Iterable[RunRecord]) -> list[RunRecord]:
    """The complete runs by their values, best first, equal ones by number.

    As with Optuna's `best_trial`, a run that was pruned, failed or breaks a constraint is never the best.

    Raises:
        SweepError: the study has several objectives, so that no run is better than all others.
    """
    names = [one.name for one in objectives(study)]
    if len(names) > 1:
        raise SweepError(
            f"Study {study.name} has several objectives, {', '.join(names)}, so no run is the best.",
            hint=f"Sort by one of them: sweep runs {study.name} --state complete --sort {names[0]}",
        )
    return objective(study).rank(runs)


def best_of(goals: Sequence[Objective], runs: Iterable[RunRecord]) -> RunRecord | None:
    """The best run, as Optuna's `best_trial`; None if there is none or there are several objectives."""
    return next(iter(goals[0].rank(runs)), None) if len(goals) == 1 else None


def best_run(study: StudyRecord, runs: Iterable[RunRecord]) -> RunRecord | None:
    """A study's best run, see `best_of`."""
    return best_of(objectives(study), runs)


def named_values(goals: Sequence[Objective], run: RunRecord) -> dict[str, float]:
    """What `train` returned, by the objective's name; a single objective's is called `value`. Empty without a value."""
    names = [goal.name for goal in goals] if len(goals) > 1 else ["value"]
    return dict(zip(names, run.values or [], strict=False))


def value_columns(goals: Sequence[Objective], runs: Sequence[RunRecord]) -> dict[str, list[float | None]]:
    """What `train` returned in each run, by column: `value`, or `value.NAME` for each of several objectives."""
    names = [f"value.{goal.name}" for goal in goals] if len(goals) > 1 else ["value"]
    return {name: [run.values[place] if run.values else None for run in runs] for place, name in enumerate(names)}


def find_runs(store: Store, studies: Sequence[StudyRecord], text: str) -> list[tuple[StudyRecord, RunRecord]]:
    """The runs that a person calls `17`, `t0017` or by their full name, each with its study: at most one of a study."""
    number = run_number(text)
    if number is None or number >= _NUMBERS:
        return []
    return [
        (study, run)
        for study in studies
        for run in store.runs(study.study_id, [number])
        if run.name == text or _NUMBER.fullmatch(text)
    ]


def find_run(store: Store, text: str, study_name: str | None = None) -> tuple[StudyRecord, RunRecord]:
    """The run that a person calls `17`, `t0017` or by its full name.

    Args:
        study_name: its study; without one every study is looked through.

    Raises:
        StoreError: there is no such run, or one in each of several studies, or the text is empty.
    """
    if not text.strip():
        raise StoreError("A run's name is empty.", "Give its number, such as 17 or t0017, or its full name.")
    studies = store.studies() if study_name is None else [store.study(study_name)]
    found = find_runs(store, studies, text)
    if len(found) == 1:
        return found[0]
    if found:
        names = " and ".join(study.name for study, _ in found)
        raise StoreError(
            f"{text} is a run of several studies: {names}.",
            f"Name the study too, for example: {command('show', found[0][0].name, text, storage=store.place)}",
        )
    raise StoreError(*_no_run(store, studies, text))


def run_number(text: str) -> int | None:
    """The trial number in `17`, `t0017` or a full run name; None if the text is none of these."""
    if match := _NUMBER.fullmatch(text):
        return int(match[1])
    try:
        return decode(text).number
    except RunNameError:
        return None


def _no_run(store: Store, studies: Sequence[StudyRecord], text: str) -> tuple[str, str | None]:
    """The message that no study has a run of this name or number, and a hint."""
    if not studies:
        return f"No run {text}: there is no study in this database.", "Start one with `sweep start FILE`."
    runs = {study.name: store.runs(study.study_id) for study in studies}
    if _NUMBER.fullmatch(text):
        ranges = [f"study {study} ({_range(found)})" for study, found in runs.items()]
        return f"No run {text} in {listed(ranges)}.", None
    names = [run.name for found in runs.values() for run in found if run.name is not None]
    near = difflib.get_close_matches(text, names, n=1, cutoff=0.3)
    hint = (
        f"Did you mean {near[0]}?"
        if near
        else f"List them with: {command('runs', next(iter(runs)), '--names', storage=store.place)}"
    )
    return f"No run {text} in {listed([f'study {name}' for name in runs])}.", hint


def _range(runs: Sequence[RunRecord]) -> str:
    return f"{format_number(runs[0].number)} to {format_number(runs[-1].number)}" if runs else "no runs yet"


def training_name(training: Training) -> str:
    """What a training is called: as the user labelled it, or by its number, counted from 1."""
    return training.label or f"training {training.number + 1}"


def how_trained(run: RunRecord) -> list[tuple[str, str]]:
    """In which way the epochs of each training ran: `trained`, or what the training is called, and a sentence."""
    told = [item for item in run.trainings if item.how is not None]
    return [("trained" if len(run.trainings) == 1 else training_name(item), str(item.how)) for item in told]


def epochs_text(run: RunRecord) -> str:
    """Finished and planned epochs: `3/10`, or `fold 2 of 3, 3/10` where the trial has several trainings."""
    if len(run.trainings) < 2:
        return f"{run.epoch}/{run.epochs}" if run.epochs is not None else str(run.epoch)
    last = run.trainings[-1]
    planned = f"/{last.planned}" if last.planned is not None else ""
    return f"{training_name(last)}, {last.epochs}{planned}"


def trained_text(run: RunRecord) -> str:
    """How much was trained, in words: `3 of 10 epochs`, or `30 epochs in 3 trainings`."""
    if len(run.trainings) > 1:
        return f"{counted(run.epoch, 'epoch')} in {len(run.trainings)} trainings"
    if run.epochs is None:
        return counted(run.epoch, "epoch")
    return f"{run.epoch} of {counted(run.epochs, 'epoch')}"


def epoch_share(run: RunRecord) -> float:
    """How far the present training is, in percent; 0 where nobody knows."""
    done, planned = run.epoch, run.epochs
    if len(run.trainings) > 1:
        done, planned = run.trainings[-1].epochs, run.trainings[-1].planned
    return min(100.0, 100.0 * done / planned) if planned else 0.0


def reason_text(run: RunRecord) -> str:
    """Why a run ended, in a line; of one that waits, that it is run again, and why."""
    said = one_line(run.why or "")
    if run.state != "WAITING":
        return said
    return f"to be run again: {said}" if said else "to be run again"


def course(run: RunRecord, epochs: Epochs, metric: str) -> list[float]:
    """A metric by epoch; NaN where an epoch lacks it. Of several trainings the one that pruners judge is shown."""
    judged = run.judged_training
    if judged is not None:
        epochs = {epoch: epochs.get(judged.first + epoch, {}) for epoch in range(judged.epochs)}
    if not epochs:
        return []
    return [epochs.get(epoch, {}).get(metric, math.nan) for epoch in range(max(epochs) + 1)]


def run_object(study: StudyRecord, run: RunRecord, metrics: Mapping[str, float]) -> dict[str, Any]:
    """A run as `sweep runs --json` shows it.

    `values` are what `train` returned, by objective, and `value` is the first; only a COMPLETE run has them.
    `last` and `best` are the objective at the last and the best epoch. `feasible` is None without constraints.
    `mean`, `sd` and `n` are of its `repeats` with fresh seeds, see `sweep confirm`; None without any.
    `epoch` counts finished epochs of `epochs_planned`. What ends in `epoch_index` counts from 0, also in findings and
    trainings.
    `metrics` are those of the last finished epoch, `started` is in Unix seconds and `duration` in seconds. `trainings`
    has an object for each model that the trial trained, see `sweep.store.records.Training`. `reason` is a text, and
    `verdict` the same in numbers if a pruner stopped the run, see `sweep.core.pruners.Verdict`. JSON has no NaN and no
    infinity: they are None.
    """
    return {
        "study": study.name,
        "number": run.number,
        "name": run.name,
        "family": run.family,
        "architecture": run.architecture,
        "params": all_finite(run.params),
        "state": run.state,
        "epoch": run.epoch,
        "epochs_planned": run.epochs,
        "value": finite(run.value),
        "values": _values(study, run),
        "last": finite(run.last),
        "best": finite(run.best),
        "best_epoch_index": run.best_epoch,
        "feasible": run.feasible,
        "constraints": all_finite(run.constraints),
        "mean": finite(run.mean),
        "sd": finite(run.sd),
        "n": run.n,
        "repeats": [_repeat(one) for one in run.repeats],
        "metrics": all_finite(metrics),
        "started": run.started,
        "duration": run.duration,
        "reason": run.why,
        "verdict": verdict_object(run),
        "findings": [_finding(found) for found in run.findings],
        "directory": run.directory,
        "trainings": [_training(training) for training in run.trainings],
    }


def verdict_object(run: RunRecord) -> dict[str, Any] | None:
    """Why a pruner stopped a run, as JSON can hold it; None if none did, or if an earlier version recorded a text."""
    return all_finite(run.verdict.as_dict()) if run.verdict is not None else None


def _values(study: StudyRecord, run: RunRecord) -> dict[str, Value] | None:
    """What `train` returned, each value by its objective's own name."""
    names = [goal.name for goal in objectives(study)]
    return None if run.values is None else all_finite(dict(zip(names, run.values, strict=False)))


def trial_object(study: StudyRecord, run: RunRecord, epochs: Epochs) -> dict[str, Any]:
    """A trial as `sweep export` writes it: what `run_object` has, how it ran, and under `epochs` every metric by epoch.

    `epochs` is a list of objects, each with its `epoch_index` (counted from 0) and its metrics.
    """
    last = epochs[max(epochs)] if epochs else {}
    return {
        **run_object(study, run, last),
        "seed": run.seed,
        "attempt": run.attempt,
        "interruptions": run.interruptions,
        "revives": run.revives,
        "worker": run.worker,
        "traceback": run.traceback,
        "epochs": [{"epoch_index": epoch, **all_finite(values)} for epoch, values in sorted(epochs.items())],
    }


def _finding(found: Finding) -> dict[str, Any]:
    """A finding without its picture."""
    renamed = {"since": "since_epoch_index"}
    return {renamed.get(name, name): value for name, value in found.as_dict().items() if name != "picture"}


def _repeat(one: RepeatRecord) -> dict[str, Any]:
    """A repeat of a run, which is named elsewhere."""
    return {name: value for name, value in all_finite(vars(one)).items() if name not in ("repeat_of", "snapshot")}


def _training(training: Training) -> dict[str, Any]:
    renamed = {"first": "first_epoch_index", "best_epoch": "best_epoch_index"}
    return {renamed.get(name, name): value for name, value in all_finite(training.as_dict()).items()}


def finite(value: float | None) -> float | None:
    """A number, or None for NaN and infinity."""
    return None if value is None or not math.isfinite(value) else value


def all_finite(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values by name, with None for NaN and infinity, also within mappings and lists."""
    return {name: _all_finite(value) for name, value in values.items()}


def _all_finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return all_finite(value)
    if isinstance(value, list):
        return [_all_finite(item) for item in value]
    return finite(value) if isinstance(value, float) else value
