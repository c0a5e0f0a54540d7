"""Runs in the order of a metric, a parameter or a property: what is not there, NaN included, comes last."""

import difflib
import math
from collections.abc import Callable, Mapping, Sequence

from sweep.errors import SweepError
from sweep.names import KeyTable, Value
from sweep.read.runs import key_table, maximizes, run_value
from sweep.store import RunRecord, StudyRecord

Metrics = Mapping[int, Mapping[str, float]]
"""The last metrics of each run, by number."""

PROPERTIES = ("number", "name", "state", "epoch", "best", "last", "duration", "started", "family")


def sort_runs(
    study: StudyRecord, runs: Sequence[RunRecord], by: str, metrics: Callable[[], Metrics]
) -> list[RunRecord]:
    """Runs sorted; equal ones stay in their order.

    Args:
        by: a property (`number`, `epoch`, `best`, ...), a metric, or a parameter by its name or key. The objective,
            `best` and `last` put the best run first, everything else the smallest. `-` in front turns it round.
        metrics: gives the metrics, if they are needed.

    Raises:
        SweepError: there is nothing called so; the nearest is given.
    """
    name = by.removeprefix("-")
    value, descends = _sort_value(study, name, metrics)
    known = [(key, run) for run in runs if (key := _sort_key(value(run))) is not None]
    missing = [run for run in runs if _sort_key(value(run)) is None]
    known.sort(key=lambda pair: pair[0], reverse=descends != by.startswith("-"))
    return [run for _, run in known] + missing


def _sort_value(
    study: StudyRecord, name: str, metrics: Callable[[], Metrics]
) -> tuple[Callable[[RunRecord], Value], bool]:
    """What a run is sorted by, and whether the largest comes first."""
    objectives = study.declaration["objective"]
    if objectives == [name]:
        return lambda run: run_value(study, run), maximizes(study)
    if name in ("best", "last"):
        return lambda run: getattr(run, name), maximizes(study)
    if name in PROPERTIES:
        return lambda run: getattr(run, name), False
    values = metrics()
    known = {metric for of_run in values.values() for metric in of_run}
    if name in known:
        largest = name in objectives and study.declaration["direction"][objectives.index(name)] == "maximize"
        return lambda run: values.get(run.number, {}).get(name), largest
    keys = key_table(study)
    parameters = {**{keys.key(parameter): parameter for parameter in study.keys}, **{key: key for key in study.keys}}
    if name in parameters:
        return lambda run: run.params.get(parameters[name]), False
    raise _unknown(name, [*PROPERTIES, *objectives, *sorted(known), *study.keys], keys)


def _unknown(name: str, known: Sequence[str], keys: KeyTable) -> SweepError:
    names = list(dict.fromkeys(known))
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    remedy = f"did you mean {near[0]}?" if near else f"one of {', '.join(names)}"
    return SweepError("runs are sorted by a metric, a parameter or a property", repr(name), remedy)


def _sort_key(value: Value) -> tuple[int, float | str] | None:
    """Numbers before strings, so that values of mixed types have an order; None for what comes last."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    return (1, value) if isinstance(value, str) else (0, value)
