"""A study's page, and what it asks for while it is open: rows of its table, curves, figures."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from sweep.errors import FilterError, SweepError
from sweep.read.report import finite
from sweep.serve.choosing import Chosen, choose, condition_example, curves, parse_choice
from sweep.serve.context import Choice, Service, ServiceDependency
from sweep.serve.figures import KINDS
from sweep.serve.problems import NotFound
from sweep.serve.shown import PagesDependency, show
from sweep.serve.snapshots import Snapshot
from sweep.serve.views import (
    STATES,
    choice_query,
    columns,
    study_address,
    summary,
    tensorboard_link,
)

FIRST_ROWS = 60  # that come with the page itself
MOST_ROWS = 400  # in one answer

router = APIRouter(prefix="/studies/{name}", include_in_schema=False)
From = Annotated[int, Query(alias="from", ge=0, le=10_000_000)]
Count = Annotated[int, Query(ge=1, le=MOST_ROWS)]
Numbers = Annotated[str, Query(max_length=200, pattern=r"^(\d{1,9}(,\d{1,9})*)?$")]


@router.get("")
def study_page(request: Request, name: str, service: ServiceDependency, pages: PagesDependency) -> HTMLResponse:
    """A study with the runs that the address chooses; all of them where the filter is wrong, and what is wrong."""
    snapshot = service.snapshots.of(service.study(name))
    choice = parse_choice(request.query_params)
    chosen = choose(service.matcher, service.snapshots, snapshot, choice)
    runs = snapshot.runs if chosen.wrong else chosen.runs
    shown = _summary(service, snapshot)
    return show(
        request,
        "study.html",
        study=shown,
        choice=choice,
        query=choice_query(choice),
        columns=columns(snapshot.study, choice),
        rows=pages.rows.html(snapshot, runs[:FIRST_ROWS]),
        matched=len(runs),
        total=len(snapshot.runs),
        wrong=_wrong(chosen, choice),
        example=condition_example(snapshot.study, snapshot.best),
        kinds=KINDS,
        states=STATES,
        tensorboard=tensorboard_link(snapshot.study, choice, runs),
    )


@router.get("/rows")
def study_rows(
    request: Request,
    name: str,
    service: ServiceDependency,
    pages: PagesDependency,
    start: From = 0,
    count: Count = FIRST_ROWS,
) -> Response:
    """A stretch of the table, and everything else on the page that moves."""
    snapshot = service.snapshots.of(service.study(name))
    choice = parse_choice(request.query_params)
    chosen = choose(service.matcher, service.snapshots, snapshot, choice)
    if chosen.wrong is not None:
        return JSONResponse(_wrong(chosen, choice), 422)
    shown = _summary(service, snapshot)
    window = chosen.runs[start : start + count]
    return JSONResponse(
        {
            "matched": len(chosen.runs),
            "total": len(snapshot.runs),
            "from": start,
            "rows": [[run.number, html] for run, html in zip(window, pages.rows.html(snapshot, window), strict=True)],
            "summary": service.templates.get_template("_summary.html").render(
                request=request, study=shown, choice=choice, query=choice_query(choice), states=STATES
            ),
            "heads": service.templates.get_template("_heads.html").render(columns=columns(snapshot.study, choice)),
            "tensorboard": tensorboard_link(snapshot.study, choice, chosen.runs),
            "address": study_address(snapshot.study, choice),
            "state": shown.state,
            "used": shown.progress.used,
            "trials": shown.progress.total,
            "best": finite(shown.best_value),
            "running": snapshot.counts.get("RUNNING", 0),
        }
    )


@router.get("/curves")
def study_curves(
    request: Request,
    name: str,
    service: ServiceDependency,
    metric: Annotated[str, Query(max_length=255)] = "",
    numbers: Numbers = "",
) -> Response:
    """The courses of the chosen runs, and of those whose numbers are given, by epoch."""
    snapshot = service.snapshots.of(service.study(name))
    choice = parse_choice(request.query_params)
    chosen = choose(service.matcher, service.snapshots, snapshot, choice)
    if chosen.wrong is not None:
        return JSONResponse(_wrong(chosen, choice), 422)
    return JSONResponse(curves(service.store, snapshot, chosen.runs, metric, _numbers(numbers)))


@router.get("/figures/{kind}")
def study_figure(name: str, kind: str, service: ServiceDependency, pages: PagesDependency) -> Response:
    """A figure of Optuna's as Plotly takes it, or why there is none yet."""
    if kind not in KINDS:
        raise NotFound(f"No such figure: {kind}.", f"Choose from {', '.join(KINDS)}.")
    snapshot = service.snapshots.of(service.study(name))
    running = service.liveness.of(snapshot.study)
    return Response(pages.figures.of(snapshot, kind, running=running), media_type="application/json")


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",") if number]


def _summary(service: Service, snapshot: Snapshot) -> Any:
    return summary(snapshot, running=service.liveness.of(snapshot.study))


def _wrong(chosen: Chosen, choice: Choice) -> dict[str, Any] | None:
    """What is wrong with a filter or a condition: the text before and after the place, to be marked."""
    error: FilterError | None = chosen.wrong
    if error is None:
        return None
    text = choice.filter if chosen.field == "filter" else choice.where
    at = error.position if error.position is not None else len(text)
    parts = [text[:at], text[at : at + 1], text[at + 1 :]]
    message = error.message.removesuffix(f": {text}")  # the page shows the text, with the place marked
    return {"field": chosen.field, "said": str(SweepError(f"{message.rstrip('.')}.", error.hint)), "parts": parts}
