"""Runs in the order of a metric, a parameter or a property: what is not there, NaN included, comes last."""

import difflib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sweep.errors import SweepError
from sweep.names import KeyTable, Value
from sweep.read.runs import key_table, maximizes, run_value
from sweep.store import RunRecord, StudyRecord

Metrics = Mapping[int, Mapping[str, float]]
"""The last metrics of each run, by number."""

PROPERTIES = ("number", "name", "state", "epoch", "best", "last", "duration", "started", "family")


@dataclass(frozen=True)
class Quantity:
    """What runs can be sorted and chosen by.

    Attributes:
        value: a run's value; None if it has none, for a parameter `ABSENT`, since a parameter may be None.
        descends: whether the largest value is the best and comes first.
    """

    value: Callable[[RunRecord], Any]
    descends: bool = False


ABSENT: Any = object()
"""Stands for a parameter that does not apply to a run."""


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
    quantity = find_quantity(study, by.removeprefix("-"), metrics)
    keyed = [(_sort_key(quantity.value(run)), run) for run in runs]
    known = [(key, run) for key, run in keyed if key is not None]
    known.sort(key=lambda pair: pair[0], reverse=quantity.descends != by.startswith("-"))
    return [run for _, run in known] + [run for key, run in keyed if key is None]


def find_quantity(study: StudyRecord, name: str, metrics: Callable[[], Metrics]) -> Quantity:
    """What a name stands for: a property, a metric at the last finished epoch, or a parameter by its name or key.

    The objective is the run's value as its study counts it.

    Raises:
        SweepError: there is nothing called so; the nearest is given.
    """
    objectives = study.declaration["objective"]
    if objectives == [name]:
        return Quantity(lambda run: run_value(study, run), maximizes(study))
    if name in ("best", "last"):
        return Quantity(lambda run: getattr(run, name), maximizes(study))
    if name in PROPERTIES:
        return Quantity(lambda run: getattr(run, name))
    values = metrics()
    known = {metric for of_run in values.values() for metric in of_run}
    if name in known:
        largest = name in objectives and study.declaration["direction"][objectives.index(name)] == "maximize"
        return Quantity(lambda run: values.get(run.number, {}).get(name), largest)
    keys = key_table(study)
    parameters = {**{keys.key(parameter): parameter for parameter in study.keys}, **{key: key for key in study.keys}}
    if name in parameters:
        return Quantity(lambda run: run.params.get(parameters[name], ABSENT))
    raise _unknown(name, [*PROPERTIES, *objectives, *sorted(known)], keys, study.keys)


def _unknown(name: str, known: Sequence[str], keys: KeyTable, parameters: Iterable[str]) -> SweepError:
    short = {parameter: keys.key(parameter) for parameter in parameters if parameter not in known}
    names = list(dict.fromkeys([*known, *short, *filter(None, short.values())]))
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    listed = [f"{parameter} ({key})" if key not in ("", parameter) else parameter for parameter, key in short.items()]
    remedy = f"did you mean {near[0]}?" if near else f"one of {', '.join([*dict.fromkeys(known), *listed])}"
    return SweepError("a name is a metric, a parameter or a property", repr(name), remedy)


def _sort_key(value: Value) -> tuple[int, float | str] | None:
    """Numbers before strings, so that values of mixed types have an order; None for what comes last."""
    if value is None or value is ABSENT or (isinstance(value, float) and math.isnan(value)):
        return None
    return (1, value) if isinstance(value, str) else (0, value)
