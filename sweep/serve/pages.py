"""The pages that people look at: the list of studies, one study, its runs, and the start of another."""

from pathlib import Path
from typing import Any

import plotly
from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, HTMLResponse, Response

from sweep.serve import pages_run, pages_start, pages_study
from sweep.serve.context import Service, ServiceDependency
from sweep.serve.shown import show
from sweep.serve.views import summary

PLOTLY = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
TITLES = {
    404: "There is nothing here",
    405: "This is not a page",
    409: "Not as things stand",
    413: "That is too much",
    422: "This cannot be shown",
    503: "Not just now",
}
"""What pages say of a request that is refused."""

A_DAY = {"Cache-Control": "max-age=86400"}

router = APIRouter(include_in_schema=False)
for part in (pages_study, pages_run, pages_start):
    router.include_router(part.router)


@router.get("/")
def studies_page(request: Request, service: ServiceDependency) -> HTMLResponse:
    """Every study of the store, those that are running first, then the newest."""
    return show(request, "studies.html", studies=_studies(service), can_start=bool(service.settings.studies))


@router.get("/studies")
def studies_again(request: Request, service: ServiceDependency) -> HTMLResponse:
    """The list of studies alone, for a page that is open."""
    return show(request, "_studies.html", studies=_studies(service))


def _studies(service: Service) -> list[Any]:
    shown = [
        summary(service.snapshots.of(study), running=service.liveness.of(study)) for study in service.store.studies()
    ]
    return sorted(shown, key=lambda study: (study.state != "running", -study.study.created))


@router.get("/static/plotly.min.js")
def plotly_script() -> Response:
    """The program that draws figures, out of its Python package."""
    return FileResponse(PLOTLY, media_type="text/javascript", headers=A_DAY)


def error_page(request: Request, problem: dict[str, Any]) -> Response:
    """A page that says what was wrong, and what to do, to somebody who knows of no API."""
    status = problem["status"]
    hint = problem.get("hint", "")
    if "/api/" in hint or status == 405:
        hint = ""  # the page has a button
    said = {"error": problem["error"], "hint": hint}
    return show(request, "error.html", status=status, title=TITLES.get(status, "This did not work"), problem=said)
