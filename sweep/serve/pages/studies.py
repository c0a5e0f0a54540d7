"""The first page: every study of the store."""

from pathlib import Path

import plotly
from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, HTMLResponse, Response

from sweep.serve.context import Service, ServiceDependency
from sweep.serve.pages.layout import show
from sweep.serve.pages.study import StudySummary, summary

PLOTLY = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
A_DAY = {"Cache-Control": "max-age=86400"}

router = APIRouter(include_in_schema=False)


@router.get("/")
def studies_page(request: Request, service: ServiceDependency) -> HTMLResponse:
    """Every study of the store, those that are running first, then the newest."""
    return show(request, "studies.html", studies=_studies(service), can_start=bool(service.settings.studies))


@router.get("/studies")
def studies_again(request: Request, service: ServiceDependency) -> HTMLResponse:
    """The list of studies alone, for a page that is open."""
    return show(request, "_studies.html", studies=_studies(service))


def _studies(service: Service) -> list[StudySummary]:
    shown = [summary(service.snapshots.of(study)) for study in service.store.studies()]
    return sorted(shown, key=lambda study: (study.state != "running", -study.study.created))


@router.get("/static/plotly.min.js")
def plotly_script() -> Response:
    """The program that draws figures, out of its Python package."""
    return FileResponse(PLOTLY, media_type="text/javascript", headers=A_DAY)
