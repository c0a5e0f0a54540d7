"""A run's page, and several runs beside each other."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from sweep.commands import rerun_command, run_again
from sweep.errors import SweepError
from sweep.serve.context import ServiceDependency
from sweep.serve.pages.addresses import address, numbers_pattern, tensorboard_base
from sweep.serve.pages.layout import show
from sweep.serve.pages.table import rows
from sweep.serve.problems import NotFound
from sweep.store import RunRecord
from sweep.view import cells
from sweep.view.comparisons import compare_runs, differences
from sweep.view.curves import curves
from sweep.view.runs import Epochs, finished, finite
from sweep.view.snapshots import RunsSnapshot
from sweep.view.tensorboard import graph_link, links
from sweep.words import shown_path

MOST_COMPARED = 8
LAST_EPOCHS = 6

router = APIRouter(prefix="/studies/{name}", include_in_schema=False)


@router.get("/runs/{text}")
def run_page(request: Request, name: str, text: str, service: ServiceDependency) -> Response:
    """A run: what it is, how it went, why it ended, how to look further."""
    study = service.study(name)
    run = service.run(study, text)
    if text != str(run.number):
        return RedirectResponse(address("studies", name, "runs", str(run.number)), 302)
    snapshot = service.snapshots.of(study)
    epochs = service.store.metrics(study.study_id, [run.number]).get(run.number, {})
    tensorboard = links(tensorboard_base(study), numbers_pattern([run]))
    return show(
        request,
        "run.html",
        study=study,
        row=rows(snapshot, [run], {})[0],
        run=run,
        best=snapshot.best,
        differences=differences(study, run, snapshot.best),
        epochs=_last_epochs(run, epochs),
        metrics=list(dict.fromkeys(name for values in epochs.values() for name in values)),
        threshold=finite(run.verdict.threshold) if run.verdict else None,
        reproduce=rerun_command(study, run, storage=service.settings.storage),
        again=run_again(study, run, finished(snapshot.counted), storage=service.settings.storage),
        directory=shown_path(run.directory) if run.directory else None,
        started=cells.moment(run.started),
        successor=next((other for other in snapshot.runs if other.revives == run.number), None),
        tensorboard=tensorboard,
        graph=graph_link(tensorboard_base(study), run.name) if run.name else None,
        running=study.is_running,
        last=len(snapshot.runs) - 1,
    )


@router.get("/runs/{number}/curves")
def run_curves(
    name: str,
    number: int,
    service: ServiceDependency,
    metric: Annotated[str, Query(max_length=255)] = "",
) -> Response:
    """A run's course among its rivals', which are the study's other runs."""
    snapshot = service.snapshots.of(service.study(name))
    if snapshot.run(number) is None:
        raise NotFound(f"No run {number} in study {name}.")
    return JSONResponse(curves(service.store, snapshot, snapshot.runs, metric, [number]))


@router.get("/compare")
def compare_page(
    request: Request,
    name: str,
    service: ServiceDependency,
    runs: Annotated[str, Query(max_length=200)] = "",
) -> HTMLResponse:
    """Two to eight runs beside each other: where they differ, and their courses."""
    snapshot = service.snapshots.of(service.study(name))
    chosen = _compared(snapshot, runs)
    return show(
        request,
        "compare.html",
        study=snapshot.study,
        rows=rows(snapshot, chosen, {}),
        comparison=compare_runs(snapshot.study, chosen, snapshot.last_metrics()),
        best=snapshot.best,
        tensorboard=links(tensorboard_base(snapshot.study), numbers_pattern(chosen)).time_series,
    )


@router.get("/compare/curves")
def compare_curves(
    name: str,
    service: ServiceDependency,
    runs: Annotated[str, Query(max_length=200)] = "",
    metric: Annotated[str, Query(max_length=255)] = "",
) -> Response:
    """The courses of the runs that are compared."""
    snapshot = service.snapshots.of(service.study(name))
    return JSONResponse(curves(service.store, snapshot, _compared(snapshot, runs), metric))


def _compared(snapshot: RunsSnapshot, text: str) -> list[RunRecord]:
    """The runs whose numbers a text lists.

    Raises:
        SweepError: they are fewer than two or more than eight, or the study has no such run.
    """
    numbers = list(dict.fromkeys(part.strip().lstrip("t") for part in text.split(",") if part.strip()))
    if not 2 <= len(numbers) <= MOST_COMPARED:
        raise SweepError(
            f"Two to eight runs can be compared, not {len(numbers)}.",
            "Mark them in the study's table, or write ?runs=3,8.",
        )
    found = [snapshot.run(int(number)) if number.isdecimal() and len(number) < 10 else None for number in numbers]
    for number, run in zip(numbers, found, strict=True):
        if run is None:
            raise NotFound(f"No run {number!r} in study {snapshot.study.name}.")
    return [run for run in found if run is not None]


def _last_epochs(run: RunRecord, epochs: Epochs) -> list[tuple[int, Any, bool]]:
    """The last epochs (from 1), and before them the best one: number, metrics, whether it is the best."""
    shown = sorted(epochs)[-LAST_EPOCHS:]
    if run.best_epoch is not None and run.best_epoch in epochs and run.best_epoch not in shown:
        shown = [run.best_epoch, *shown]
    return [(epoch + 1, epochs[epoch], epoch == run.best_epoch) for epoch in shown]
