"""A study's page, and what it asks for while it is open: rows of its table, curves, figures."""

import math
import re
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from markupsafe import Markup

from sweep.conditions import ConditionError
from sweep.errors import FilterError, SweepError
from sweep.quantities import value_name
from sweep.serve.context import ClientDependency, Service, ServiceDependency
from sweep.serve.figures import KINDS
from sweep.serve.pages.addresses import STATES, query_of, selection_of, study_address, tensorboard_link
from sweep.serve.pages.confirmation import confirmation_of
from sweep.serve.pages.layout import PagesDependency, show
from sweep.serve.pages.table import heads
from sweep.serve.pictures import sparkline
from sweep.serve.problems import NotFound
from sweep.store import RunRecord, StudyRecord
from sweep.view.curves import curves
from sweep.view.edges import Edge, edges
from sweep.view.findings import Common
from sweep.view.runs import finite, key_table, objective
from sweep.view.selection import Selection
from sweep.view.snapshots import RunsSnapshot
from sweep.view.studies import StudyView

FIRST_ROWS = 60  # that come with the page itself
MOST_ROWS = 400  # in one answer

router = APIRouter(prefix="/studies/{name}", include_in_schema=False)
From = Annotated[int, Query(alias="from", ge=0, le=10_000_000)]
Count = Annotated[int, Query(ge=1, le=MOST_ROWS)]
Numbers = Annotated[str, Query(max_length=200, pattern=r"^(\d{1,9}(,\d{1,9})*)?$")]


@router.get("")
def study_page(
    request: Request, name: str, service: ServiceDependency, client: ClientDependency, pages: PagesDependency
) -> HTMLResponse:
    """A study with the runs that the address chooses; all of them where the filter is wrong, and what is wrong."""
    snapshot = service.snapshots.of(service.study(name))
    selection = selection_of(request.query_params)
    runs, wrong = _selected(service, client, snapshot, selection)
    runs = snapshot.runs if wrong else runs
    return show(
        request,
        "study.html",
        study=summary(snapshot),
        confirmation=confirmation_of(service, snapshot),
        short=service.summary(snapshot.study),
        selection=selection,
        query=query_of(selection),
        heads=heads(snapshot.study, selection),
        rows=pages.rows.html(snapshot, runs[:FIRST_ROWS]),
        matched=len(runs),
        total=len(snapshot.runs),
        wrong=wrong,
        example=condition_example(snapshot.study, snapshot.best),
        kinds=KINDS,
        states=STATES,
        tensorboard=tensorboard_link(snapshot.study, selection, runs),
    )


@router.get("/rows")
def study_rows(
    request: Request,
    name: str,
    service: ServiceDependency,
    client: ClientDependency,
    pages: PagesDependency,
    start: From = 0,
    count: Count = FIRST_ROWS,
) -> Response:
    """A stretch of the table, and everything else on the page that moves."""
    snapshot = service.snapshots.of(service.study(name))
    selection = selection_of(request.query_params)
    runs, wrong = _selected(service, client, snapshot, selection)
    if wrong is not None:
        return JSONResponse(wrong, 422)
    shown = summary(snapshot)
    window = runs[start : start + count]
    return JSONResponse(
        {
            "matched": len(runs),
            "total": len(snapshot.runs),
            "from": start,
            "rows": [[run.number, html] for run, html in zip(window, pages.rows.html(snapshot, window), strict=True)],
            "summary": service.templates.get_template("_summary.html").render(
                request=request,
                study=shown,
                short=service.summary(snapshot.study),
                selection=selection,
                query=query_of(selection),
                states=STATES,
                confirmation=confirmation_of(service, snapshot),
            ),
            "heads": service.templates.get_template("_heads.html").render(heads=heads(snapshot.study, selection)),
            "tensorboard": tensorboard_link(snapshot.study, selection, runs),
            "address": study_address(snapshot.study, selection),
            "state": shown.state,
            "used": shown.finished,
            "trials": snapshot.study.declaration.trials,
            "best": finite(snapshot.best.value) if snapshot.best else None,
            "running": snapshot.counts.get("RUNNING", 0),
        }
    )


@router.get("/curves")
def study_curves(
    request: Request,
    name: str,
    service: ServiceDependency,
    client: ClientDependency,
    metric: Annotated[str, Query(max_length=255)] = "",
    numbers: Numbers = "",
) -> Response:
    """The courses of the chosen runs, and of those whose numbers are given, by epoch."""
    snapshot = service.snapshots.of(service.study(name))
    runs, wrong = _selected(service, client, snapshot, selection_of(request.query_params))
    if wrong is not None:
        return JSONResponse(wrong, 422)
    return JSONResponse(curves(service.store, snapshot, runs, metric, _numbers(numbers)))


@router.get("/figures/{kind}")
def study_figure(name: str, kind: str, service: ServiceDependency, pages: PagesDependency) -> Response:
    """A figure of Optuna's as Plotly takes it, or why there is none yet."""
    if kind not in KINDS:
        raise NotFound(f"No such figure: {kind}.", f"Choose from {', '.join(KINDS)}.")
    snapshot = service.snapshots.of(service.study(name))
    running = snapshot.study.is_running
    return Response(pages.figures.of(snapshot, kind, running=running), media_type="application/json")


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",") if number]


@dataclass(frozen=True)
class StudySummary(StudyView):
    """A study at a glance: also its best value so far, what to widen in its search space, and what was found."""

    spark: Markup
    edges: list[Edge]
    findings: list[Common]


def summary(snapshot: RunsSnapshot) -> StudySummary:
    """A study at a glance."""
    view, values = snapshot.view(running=snapshot.study.is_running), snapshot.best_so_far
    spark = sparkline(values, steps=True, label=f"the best value after each of {len(values)} complete runs")
    found = edges(view.study, view.best, view.every.get("COMPLETE", 0))
    return StudySummary(**vars(view), spark=spark, edges=found, findings=snapshot.findings)


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


def _selected(
    service: Service, client: str, snapshot: RunsSnapshot, selection: Selection
) -> tuple[list[RunRecord], dict[str, Any] | None]:
    """The selected runs, or what is wrong with the filter or the condition.

    Raises:
        SweepError: there is nothing to sort by under that name.
    """
    try:
        return service.select(snapshot, selection, client).runs, None
    except FilterError as error:
        field, text = ("where", selection.where) if isinstance(error, ConditionError) else ("filter", selection.filter)
        return [], {"field": field, **_wrong(error, text)}


def _wrong(error: FilterError, text: str) -> dict[str, Any]:
    """What is wrong with a text: the text before and after the place, to be marked."""
    at = error.position if error.position is not None else len(text)
    message = error.message.removesuffix(f": {text}")  # the page shows the text, with the place marked
    said = SweepError(f"{message.rstrip('.')}.", error.hint)
    return {"said": str(said), "parts": [text[:at], text[at : at + 1], text[at + 1 :]]}
