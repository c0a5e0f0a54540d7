"""How the service is: health for load balancers, and for Prometheus how many studies, runs, listeners there are."""

from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from sweep.distribution import __version__
from sweep.serve.context import Service, ServiceDependency
from sweep.serve.problems import answer, document
from sweep.serve.pulse import AWAY
from sweep.view.runs import STATES
from sweep.view.studies import StudyView

router = APIRouter(tags=["service"])


@router.get("/api/health")
async def health(service: ServiceDependency) -> Response:
    """Whether the service and its database answer; 503 within two seconds where the database alone does not."""
    if await service.pulse.beats():
        return JSONResponse({"status": "ok", "service": "ok", "database": "ok", "version": __version__})
    return answer(document(503, *AWAY, service="ok", database="unavailable", version=__version__))


@router.get("/api/health/live")
async def live() -> dict[str, Any]:
    """That the service answers, whatever its database does: restarting it would not help the database."""
    return {"status": "ok", "service": "ok", "version": __version__}


@router.get("/metrics", response_class=PlainTextResponse)
def metrics(service: ServiceDependency) -> Response:
    """Studies, runs, listeners and TensorBoards as Prometheus reads them."""
    registry = CollectorRegistry()
    registry.register(_Measured(service))
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


class _Measured(Collector):
    def __init__(self, service: Service) -> None:
        self._service = service

    def collect(self) -> Iterator[GaugeMetricFamily]:
        views = self._service.views()
        yield _studies(views)
        yield _runs(views)
        yield _best(views)
        yield GaugeMetricFamily(
            "sweep_listeners", "Clients that listen to event streams.", value=self._service.streams.listeners
        )
        yield GaugeMetricFamily(
            "sweep_tensorboards", "TensorBoards that the service has running.", value=self._service.boards.running
        )


def _studies(views: list[StudyView]) -> GaugeMetricFamily:
    family = GaugeMetricFamily("sweep_studies", "Studies by state.", labels=["state"])
    for state in ("running", "finished", "stopped"):
        family.add_metric([state], sum(view.state == state for view in views))
    return family


def _runs(views: list[StudyView]) -> GaugeMetricFamily:
    family = GaugeMetricFamily("sweep_runs", "Runs of a study by state.", labels=["study", "state"])
    for view in views:
        for state in STATES:
            family.add_metric([view.study.name, state], view.counts.get(state, 0))
    return family


def _best(views: list[StudyView]) -> GaugeMetricFamily:
    family = GaugeMetricFamily("sweep_best", "The value of a study's best run.", labels=["study", "objective"])
    for view in views:
        value = view.best.value if view.best is not None else None
        if value is not None:
            family.add_metric([view.study.name, view.study.declaration.objective[0]], value)
    return family
