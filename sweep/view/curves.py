"""The courses of a metric in many runs, as the data of a chart."""

import math
from collections.abc import Sequence
from typing import Any

from sweep.store import RunRecord, Store, StudyRecord
from sweep.view.cells import number_of
from sweep.view.runs import course, objectives
from sweep.view.snapshots import RunsSnapshot

CURVES = 240  # that are drawn at once
_DIGITS = 6


def curves(
    store: Store, snapshot: RunsSnapshot, runs: Sequence[RunRecord], metric: str, always: Sequence[int] = ()
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


def _drawn(snapshot: RunsSnapshot, runs: Sequence[RunRecord], always: Sequence[int]) -> list[RunRecord]:
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
