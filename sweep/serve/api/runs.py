"""Runs: lists that are chosen, sorted and given by pages; one run; its values by epoch; pruning."""

import base64
import json
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from sweep.conditions import LONGEST as LONGEST_WHERE
from sweep.errors import SweepError
from sweep.serve.api.parameters import RunName, SelectionQuery, StudyName
from sweep.serve.api.studies import BY_HAND, check_running
from sweep.serve.context import ClientDependency, Service, ServiceDependency
from sweep.store import RunRecord, StudyRecord
from sweep.view.filters import LONGEST as LONGEST_FILTER
from sweep.view.runs import run_object, trial_object
from sweep.view.selection import Selection

LARGEST_PAGE = 1000
_LISTED = 10_000  # run numbers that one request may prune

router = APIRouter(prefix="/api/studies/{study}", tags=["runs"])


@router.get("/runs")
def list_runs(
    study: StudyName,
    service: ServiceDependency,
    selection: SelectionQuery,
    client: ClientDependency,
    limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE)] = 100,
    cursor: Annotated[
        str, Query(max_length=200, description="The `next` of the page before; the rest of the query stays the same.")
    ] = "",
) -> dict[str, Any]:
    """A page of a study's runs, by number or as sorted. `matched` of `total` runs are asked for in all."""
    record = service.study(study)
    found = service.select(service.snapshots.of(record), selection, client)
    start = _start(found.runs, cursor)
    shown = found.runs[start : start + limit]
    more = start + limit < len(found.runs)
    return {
        "runs": run_objects(service, record, shown),
        "matched": len(found.runs),
        "total": found.total,
        "next": _cursor(start + limit - 1, shown[-1]) if more else None,
    }


def run_objects(service: Service, study: StudyRecord, runs: list[RunRecord]) -> list[dict[str, Any]]:
    """Runs as `sweep runs --json` shows them."""
    metrics = service.snapshots.of(study).last_metrics() if runs else {}
    return [run_object(study, run, metrics.get(run.number, {})) for run in runs]


def _cursor(place: int, run: RunRecord) -> str:
    """Where a page ended: after this run, or after its place if it is no longer in the list."""
    return base64.urlsafe_b64encode(json.dumps([place, run.number]).encode()).decode().rstrip("=")


def _start(runs: list[RunRecord], cursor: str) -> int:
    """The place at which the page after a cursor begins.

    Raises:
        SweepError: the cursor is not one of ours.
    """
    if not cursor:
        return 0
    try:
        place, number = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True))
        place, number = int(place), int(number)
    except (ValueError, TypeError, RecursionError, OverflowError):
        raise SweepError(f"No such cursor: {cursor!r}.", "Use the `next` of the page before.") from None
    here = next((index for index, run in enumerate(runs) if run.number == number), place)
    return max(0, here + 1)


@router.get("/runs/{run}")
def show_run(study: StudyName, run: RunName, service: ServiceDependency) -> dict[str, Any]:
    """One run with every metric of every epoch, as `sweep show --json` shows it."""
    record = service.study(study)
    found = service.run(record, run)
    epochs = service.store.metrics(record.study_id, [found.number]).get(found.number, {})
    return trial_object(record, found, epochs)


@router.get("/runs/{run}/values")
def show_values(study: StudyName, run: RunName, service: ServiceDependency) -> dict[str, Any]:
    """A run's metrics as columns: `epoch_index` (from 0), and under `values` each metric's value at each of them."""
    record = service.study(study)
    found = service.run(record, run)
    shown = trial_object(record, found, service.store.metrics(record.study_id, [found.number]).get(found.number, {}))[
        "epochs"
    ]
    names = dict.fromkeys(name for epoch in shown for name in epoch if name != "epoch_index")
    return {
        "number": found.number,
        "epoch_index": [epoch["epoch_index"] for epoch in shown],
        "values": {name: [epoch.get(name) for epoch in shown] for name in names},
    }


class RunsToPrune(BaseModel):
    """Which running or paused trials are to be pruned; at least one of `runs`, `filter` and `where` says it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    runs: Annotated[list[Annotated[int, Field(ge=0, lt=2**31)]], Field(max_length=_LISTED)] | None = None
    filter: Annotated[str, StringConstraints(max_length=LONGEST_FILTER)] = ""
    where: Annotated[str, StringConstraints(max_length=LONGEST_WHERE)] = ""
    dry_run: bool = False


@router.post("/prune")
def prune(
    study: StudyName, service: ServiceDependency, client: ClientDependency, pruning: RunsToPrune
) -> dict[str, Any]:
    """Prune the running and paused trials that are listed and match, running ones after their present epoch.

    `dry_run` only lists them.
    """
    record = service.study(study)
    if pruning.runs is None and not pruning.filter and not pruning.where:
        raise SweepError("Nothing to prune: give runs, filter or where.", 'The filter "." prunes every run.')
    running = Selection(
        pruning.filter,
        pruning.where,
        frozenset({"RUNNING", "PAUSED"}),
        frozenset(pruning.runs) if pruning.runs is not None else None,
    )
    runs = service.select(service.snapshots.of(record), running, client).runs
    if not pruning.dry_run:
        check_running(service, record, "prune")
        service.store.command(record.study_id, "prune", numbers=[run.number for run in runs], reason=BY_HAND)
    return {
        "study": record.name,
        "runs": run_objects(service, record, runs),
        "matched": len(runs),
        "asked": not pruning.dry_run,
    }
