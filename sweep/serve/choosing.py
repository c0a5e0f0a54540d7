"""Which of a study's runs a page shows, and their curves."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sweep.errors import FilterError
from sweep.serve.cells import number_of
from sweep.serve.context import Choice
from sweep.serve.matching import Matcher
from sweep.serve.snapshots import Snapshot, Snapshots
from sweep.serve.views import course
from sweep.store import RunRecord, Store, StudyRecord
from sweep.view.runs import key_table, objective, objectives, parse_states
from sweep.view.sorting import Metrics, sort_runs, value_name
from sweep.view.where import compile_where

CURVES = 240  # that are drawn at once
_DIGITS = 6


@dataclass(frozen=True)
class Chosen:
    """The runs that a choice finds, in its order.

    Attributes:
        wrong: what is wrong with the filter or the condition, which then chose nothing; `field` is the one.
    """

    runs: list[RunRecord]
    wrong: FilterError | None = None
    field: str = ""


def parse_choice(query: Mapping[str, str]) -> Choice:
    """The choice in a page's address.

    Raises:
        SweepError: a state is none.
    """
    return Choice(
        filter=query.get("filter", ""),
        where=query.get("where", ""),
        states=parse_states([query.get("state", "")]),
        sort=query.get("sort", ""),
    )


def choose(matcher: Matcher, snapshots: Snapshots, snapshot: Snapshot, choice: Choice) -> Chosen:
    """The runs of a study that are asked for.

    Raises:
        SweepError: there is nothing to sort by under that name.
    """

    def metrics() -> Metrics:
        return snapshots.last_metrics(snapshot)

    runs = [run for run in snapshot.runs if not choice.states or run.state in choice.states]
    field = "where"
    try:
        condition = compile_where(choice.where, snapshot.study, metrics, snapshot.runs)
        runs = [run for run in runs if condition.matches(run)] if choice.where else runs
        field = "filter"
        runs = _matching(matcher, runs, choice.filter) if choice.filter else runs
    except FilterError as error:
        return Chosen([], error, field)
    if choice.sort and choice.sort != "number":
        runs = sort_runs(snapshot.study, runs, choice.sort, metrics, snapshot.runs)
    return Chosen(runs)


def condition_example(study: StudyRecord, best: RunRecord | None) -> str:
    """A condition that could be asked of a study: by a parameter and the value, near what its best run has."""
    if best is None:
        return "state = 'running'"
    keys = key_table(study)
    numbers = {name: value for name, value in best.params.items() if isinstance(value, float)}
    first = next(((_named(keys.key(name) or name), value) for name, value in numbers.items()), None)
    parts = [f"{first[0]} < {1.5 * first[1]:.2g}"] if first else []
    if best.value is not None and math.isfinite(best.value):
        sign, room = (">", -0.1) if objective(study).maximize else ("<", 0.1)
        parts.append(f"{value_name(study)} {sign} {best.value + room * abs(best.value):.2g}")
    return " and ".join(parts) or "state = 'complete'"


def _named(name: str) -> str:
    return name if re.fullmatch(r"[^\W\d][\w./]*", name) else f"`{name}`"


def _matching(matcher: Matcher, runs: list[RunRecord], pattern: str) -> list[RunRecord]:
    found = matcher.match(pattern, [run.name for run in runs if run.name is not None])
    return [run for run in runs if run.name is not None and found.matches(run.name)]


def curves(
    store: Store, snapshot: Snapshot, runs: Sequence[RunRecord], metric: str, always: Sequence[int] = ()
) -> dict[str, Any]:
    """The courses of some of the runs, for the page to draw, at most `CURVES`: see `_drawn`.

    Args:
        metric: by its name; the objective if empty.
        always: numbers of runs that are drawn in any case.
    """
    study = snapshot.study
    drawn = _drawn(snapshot, runs, always)
    epochs = store.metrics(study.study_id, [run.number for run in drawn])
    names = {name for of_run in epochs.values() for values in of_run.values() for name in values}
    metrics = sorted(names, key=lambda name: (name not in study.declaration.objective, name))
    metric = metric if metric in metrics else next(iter(metrics), study.declaration.objective[0])
    return {
        "metric": metric,
        "metrics": metrics,
        "best": snapshot.best.number if snapshot.best else None,
        "better": _better_end(study, metric),
        "chosen": len(runs),
        "matched": sum(run.epoch > 0 for run in runs),
        "runs": [
            {
                "number": run.number,
                "name": run.name or number_of(run),
                "state": run.state.lower(),
                "values": [_figure(value) for value in course(run, epochs.get(run.number, {}), metric)],
            }
            for run in drawn
        ],
    }


def _better_end(study: StudyRecord, metric: str) -> str | None:
    """Whether low or high values of a metric are the better ones, which is known of objectives alone."""
    return next(("high" if one.maximize else "low" for one in objectives(study) if one.name == metric), None)


def _drawn(snapshot: Snapshot, runs: Sequence[RunRecord], always: Sequence[int]) -> list[RunRecord]:
    """Those that are asked for, the best one and the running ones, then the others evenly over all of them."""
    begun = [run for run in runs if run.epoch]
    if len(begun) > CURVES:
        first = {run.number for run in begun if run.state == "RUNNING"} | set(always)
        first |= {snapshot.best.number} if snapshot.best else set()
        leading = [run for run in begun if run.number in first][:CURVES]
        others = [run for run in begun if run.number not in first]
        room = CURVES - len(leading)
        begun = [others[place * len(others) // room] for place in range(room)] + leading
    there = {run.number for run in begun}
    return begun + [run for run in snapshot.numbered(always) if run.number not in there and run.epoch]


def _figure(value: float) -> float | None:
    """A value as JSON has it, with the digits that a picture shows."""
    return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None
