"""How the service is: health for load balancers, metrics for Prometheus, the API's description for people."""

from importlib.metadata import version
from typing import Any

import sqlalchemy as sa
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, PlainTextResponse, Response

from sweep.serve.context import ServiceDependency
from sweep.serve.describing import routes_of
from sweep.serve.metrics import MEDIA_TYPE, measure
from sweep.serve.shown import show

router = APIRouter(tags=["service"])


@router.get("/api/health")
def health(service: ServiceDependency) -> dict[str, Any]:
    """Whether the service and its database answer; 503 where the database does not."""
    with service.store.engine.connect() as connection:
        connection.execute(sa.select(1))
    return {"status": "ok", "version": version("sweep")}


@router.get("/metrics", response_class=PlainTextResponse)
def metrics(service: ServiceDependency) -> Response:
    """Studies, runs, listeners and TensorBoards as Prometheus reads them."""
    return Response(measure(service), media_type=MEDIA_TYPE)


@router.get("/api/docs", include_in_schema=False)
def docs(request: Request) -> HTMLResponse:
    """The API's description as a page, without scripts; programs read /api/openapi.json."""
    return show(request, "docs.html", routes=routes_of(request.app.openapi()))
