"""Runs that others wrote for TensorBoard, as trials to be imported."""

import math
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from sweep.control.imports import Epochs, Foreign
from sweep.errors import StudyError
from sweep.names import Value
from sweep.objective import Objective
from sweep.tensorboard.log_directory import LogDirectory, LoggedRun
from sweep.words import listed


def foreign_runs(root: Path, found: LogDirectory, objective: str | None, direction: str | None) -> Foreign:
    """The sessions of a log directory as trials, numbered in the order in which they began.

    A session has ended COMPLETE with the last value of the objective, or FAIL if it says so or has no such value.

    Args:
        root: the log directory.
        objective: the metric; by default the one that the experiment names first, or the only one there is.
        direction: `minimize` or `maximize`; nothing in a log directory says so.

    Raises:
        StudyError: there is no session, no such metric, or more than one to choose from; or there is no direction.
    """
    if not found.sessions:
        raise StudyError(
            f"No run below {root} has hyperparameters for TensorBoard's HParams.",
            "They are written by hp.hparams or hp.KerasCallback of tensorboard.plugins.hparams.",
        )
    goal = Objective(_metric(found, objective), _direction(objective, direction))
    domains = _domains(found.sessions)
    trials = [_trial(number, session, goal, domains) for number, session in enumerate(found.sessions)]
    return Foreign(
        source=f"the TensorBoard log directory {root}",
        objectives=[goal],
        trials=trials,
        epochs={number: _epochs(session) for number, session in enumerate(found.sessions)},
        folder=root.resolve(),
        directories={number: session.path.resolve() for number, session in enumerate(found.sessions)},
        searched=False,
    )


def _metric(found: LogDirectory, wanted: str | None) -> str:
    names = sorted({name for session in found.sessions for name in session.metrics})
    chosen = wanted or found.objective
    if chosen in names:
        return str(chosen)
    if wanted is None and len(names) == 1:
        return names[0]
    said = f"No run has a metric {wanted}." if wanted is not None else "Several metrics could be the objective."
    if not names:
        raise StudyError("No run has a scalar, so there is no objective.")
    raise StudyError(said, f"Choose one with --objective: {listed(names, 12)}.")


def _direction(objective: str | None, direction: str | None) -> str:
    if direction is None:
        raise StudyError(
            f"Nothing in a log directory says whether {objective or 'the objective'} is to be small or large.",
            "Pass --direction minimize or --direction maximize.",
        )
    return direction


def _domains(sessions: Sequence[LoggedRun]) -> dict[str, BaseDistribution]:
    """What Optuna's tables need to have of each parameter: the values that were seen."""
    seen: dict[str, list[Value]] = {}
    for session in sessions:
        for name, value in session.params.items():
            seen.setdefault(name, []).append(value)
    return {name: _domain(values) for name, values in seen.items()}


def _domain(values: Sequence[Value]) -> BaseDistribution:
    if all(isinstance(value, int) and not isinstance(value, bool) for value in values):
        whole = [value for value in values if isinstance(value, int)]
        return IntDistribution(min(whole), max(whole))
    if all(isinstance(value, float) and math.isfinite(value) for value in values):
        numbers = [value for value in values if isinstance(value, float)]
        return FloatDistribution(min(numbers), max(numbers))
    return CategoricalDistribution(list({(type(value), repr(value)): value for value in values}.values()))


def _trial(number: int, session: LoggedRun, goal: Objective, domains: dict[str, BaseDistribution]) -> FrozenTrial:
    curve = session.metrics.get(goal.name, {})
    value = curve[max(curve)] if curve else None
    failed = session.status == "FAILURE" or value is None or math.isnan(value)
    attributes = {}
    if session.status != "FAILURE" and failed:
        last = f"the last {goal.name} is NaN" if curve else f"it has no {goal.name}"
        attributes = {"fail_reason": f"{last} in {session.path.name}"}
    trial = create_trial(
        state=TrialState.FAIL if failed else TrialState.COMPLETE,
        value=None if failed else value,
        params=session.params,
        distributions={name: domains[name] for name in session.params},
        intermediate_values=dict(curve),
        system_attrs=attributes,
    )
    trial.number = trial._trial_id = number
    trial.datetime_start = _local(session.started)
    trial.datetime_complete = _local(session.ended) or trial.datetime_start
    return trial


def _local(seconds: float | None) -> datetime | None:
    """A time as Optuna has it in memory: local, without a zone."""
    return datetime.fromtimestamp(seconds) if seconds else None


def _epochs(session: LoggedRun) -> Epochs:
    found: dict[int, dict[str, float]] = {}
    for name, curve in session.metrics.items():
        for step, value in curve.items():
            found.setdefault(step, {})[name] = value
    return found
