"""Runs in the order of a metric, a parameter or a property: what is not there, NaN included, comes last."""

import difflib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sweep.errors import SweepError
from sweep.names import KeyTable, Value

if TYPE_CHECKING:
    from sweep.store import RunRecord, StudyRecord

Metrics = Mapping[int, Mapping[str, float]]
"""The last metrics of each run, by number."""

# fmt: off
PROPERTIES = (
    "number", "name", "state", "epoch", "value", "best", "last", "feasible", "duration", "started", "family",
    "mean", "sd", "n",
)
# fmt: on
YIELDING = frozenset({"value", "feasible", "mean", "sd", "n"})
"""Properties that give their name up to a parameter or metric called so."""

OF_RUN = "run."
"""The prefix that tells a property from a parameter or metric of the same name; every property may have it."""


@dataclass(frozen=True)
class Quantity:
    """What runs can be sorted and chosen by.

    Attributes:
        value: a run's value; None if it has none, for a parameter `ABSENT`, since a parameter may be None.
        descends: whether the largest value is the best and comes first.
        nullable: whether None is a value like any other, as it is for a parameter.
        ranks: whether its order is that of the best runs, in which infeasible ones come after the others.
    """

    value: Callable[["RunRecord"], Any]
    descends: bool = False
    nullable: bool = False
    ranks: bool = False


class UnknownName(SweepError):
    """There is no metric, parameter or property of this name."""


ABSENT: Any = object()
"""Stands for a parameter that does not apply to a run."""


def value_name(study: "StudyRecord") -> str:
    """The name of what `train` returned: `value`, or `run.value` where a parameter or the objective is called so."""
    goals = [goal.name for goal in study.declaration.objectives]
    return f"{OF_RUN}value" if "value" in {*study.keys, *study.keys.values(), *goals} else "value"


def sort_runs(
    study: "StudyRecord",
    runs: Sequence["RunRecord"],
    by: str,
    metrics: Callable[[], Metrics],
    every: Sequence["RunRecord"] | None = None,
) -> list["RunRecord"]:
    """Runs sorted; equal ones stay in their order.

    Args:
        by: a name as `find_quantity` takes it. The value, `best`, `last`, `mean` and the objectives put the best run
            first, everything else the smallest. `-` in front reverses the order.
        metrics: gives the metrics, if they are needed.
        every: all runs of the study, where `runs` are some.

    Raises:
        UnknownName: there is nothing of that name; the hint has the nearest one.
        SweepError: the name begins with `best.` and is not the objective's.
    """
    backwards = by.startswith("-")
    quantity = find_quantity(study, by.removeprefix("-"), metrics, every if every is not None else runs)
    keyed = [(_sort_key(quantity.value(run)), run) for run in runs]
    known = [(key, run) for key, run in keyed if key is not None]
    known.sort(key=lambda pair: pair[0], reverse=quantity.descends != backwards)
    if quantity.ranks:
        known.sort(key=lambda pair: pair[1].feasible is False, reverse=backwards)
    return [run for _, run in known] + [run for key, run in keyed if key is None]


def find_quantity(
    study: "StudyRecord", name: str, metrics: Callable[[], Metrics], runs: Sequence["RunRecord"] = ()
) -> Quantity:
    """What a name stands for.

    - a property: `value` is what `train` returned, `best` and `last` are the objective's best and last epoch, `mean`,
      `sd` and `n` are of its repeats with fresh seeds. With `run.` in front it is always the property; `value`,
      `feasible`, `mean`, `sd` and `n` alone are a parameter or metric called so.
    - a metric at the last finished epoch; an objective that no epoch reports is its value.
    - `best.NAME`, the objective at its best epoch. For other metrics it is not known whether high or low is better.
    - `value.NAME`, what `train` returned for one of several objectives.
    - `constraint.NAME`
    - a parameter by its name or key.

    Args:
        runs: all of the study, which tell what constraints there are.

    Raises:
        UnknownName: there is nothing of that name; the hint has the nearest one.
        SweepError: the name begins with `best.` and is not the objective's.
    """
    if name.startswith(OF_RUN) and (plain := name.removeprefix(OF_RUN)) in PROPERTIES:
        return _property(study, plain)
    if name in PROPERTIES and name not in YIELDING:
        return _property(study, name)
    goals, values, keys = study.declaration.objectives, metrics(), KeyTable(study.declaration.short, study.keys)
    places = {goal.name: place for place, goal in enumerate(goals)}
    known = {metric for of_run in values.values() for metric in of_run}
    if name in known:
        largest = name in places and goals[places[name]].maximize
        return Quantity(lambda run: values.get(run.number, {}).get(name), largest)
    parameters = {**{keys.key(parameter): parameter for parameter in study.keys}, **{key: key for key in study.keys}}
    if name in parameters:
        return Quantity(lambda run: run.params.get(parameters[name], ABSENT), nullable=True)
    if name in PROPERTIES:
        return _property(study, name)
    returned = name.removeprefix("value.")
    if returned in places:
        place = places[returned]
        return Quantity(lambda run: run.values[place] if run.values else None, goals[place].maximize, ranks=place == 0)
    if name.startswith("best."):
        return _best(study, name.removeprefix("best."), known)
    constraints = {constraint: None for run in runs for constraint in run.constraints}
    constraint = name.removeprefix("constraint.")
    if name.startswith("constraint.") and constraint in constraints:
        return Quantity(lambda run: run.constraints.get(constraint))
    of_constraints = [f"constraint.{constraint}" for constraint in constraints]
    raise _unknown(name, [*PROPERTIES, *places, *sorted(known), *of_constraints], keys, study.keys)


def _property(study: "StudyRecord", name: str) -> Quantity:
    if name in ("value", "best", "last", "mean"):
        return Quantity(lambda run: getattr(run, name), study.declaration.objectives[0].maximize, ranks=name == "value")
    return Quantity(lambda run: getattr(run, name), descends=name == "feasible")


def _best(study: "StudyRecord", metric: str, known: Iterable[str]) -> Quantity:
    """The objective at its best epoch.

    Raises:
        SweepError: it is another metric.
    """
    goal = study.declaration.objectives[0]
    if metric == goal.name:
        return _property(study, "best")
    if metric in known:
        raise SweepError(
            f"Only the objective has a best epoch, and {metric} is not the objective of {study.name}.",
            hint=f"Use best.{goal.name}, or {metric} for the last epoch.",
        )
    raise SweepError(
        f"There is no metric {metric!r} in study {study.name}.", hint=f"The objective's best is best.{goal.name}."
    )


def _unknown(name: str, known: Sequence[str], keys: KeyTable, parameters: Iterable[str]) -> UnknownName:
    short = {parameter: keys.key(parameter) for parameter in parameters if parameter not in known}
    names = list(dict.fromkeys([*known, *short, *filter(None, short.values())]))
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    listed = [f"{parameter} ({key})" if key not in ("", parameter) else parameter for parameter, key in short.items()]
    hint = f"Did you mean {near[0]}?" if near else f"Choose from {', '.join([*dict.fromkeys(known), *listed])}."
    return UnknownName(f"No such metric, parameter or property: {name!r}.", hint)


def _sort_key(value: Value) -> tuple[int, float | str] | None:
    """Numbers before strings, so that values of mixed types have an order; None for what comes last."""
    if value is None or value is ABSENT or (isinstance(value, float) and math.isnan(value)):
        return None
    return (1, value) if isinstance(value, str) else (0, value)
