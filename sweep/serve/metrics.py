"""What Prometheus reads: how many studies, runs, listeners and TensorBoards there are, and the best values."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from sweep.serve.context import Service
from sweep.view.runs import STATES
from sweep.view.studies import Standing

MEDIA_TYPE = CONTENT_TYPE_LATEST


def measure(service: Service) -> bytes:
    """Everything that is measured, as it stands now."""
    registry = CollectorRegistry()
    registry.register(_Measured(service))
    return generate_latest(registry)


class _Measured(Collector):
    def __init__(self, service: Service) -> None:
        self._service = service

    def collect(self) -> Iterator[GaugeMetricFamily]:
        standings = self._service.standings()
        yield _studies(standings)
        yield _runs(standings)
        yield _best(standings)
        yield GaugeMetricFamily(
            "sweep_listeners", "Clients that listen to event streams.", value=self._service.streams.listeners
        )
        yield GaugeMetricFamily(
            "sweep_tensorboards", "TensorBoards that the service has running.", value=self._service.boards.running
        )


def _studies(standings: list[Standing]) -> GaugeMetricFamily:
    family = GaugeMetricFamily("sweep_studies", "Studies by state.", labels=["state"])
    for state in ("running", "finished", "stopped"):
        family.add_metric([state], sum(standing.state == state for standing in standings))
    return family


def _runs(standings: list[Standing]) -> GaugeMetricFamily:
    family = GaugeMetricFamily("sweep_runs", "Runs of a study by state.", labels=["study", "state"])
    for standing in standings:
        for state in STATES:
            family.add_metric([standing.study.name, state], standing.counts.get(state, 0))
    return family


def _best(standings: list[Standing]) -> GaugeMetricFamily:
    family = GaugeMetricFamily("sweep_best", "The value of a study's best run.", labels=["study", "objective"])
    for standing in standings:
        value = standing.best.value if standing.best is not None else None
        if value is not None:
            family.add_metric([standing.study.name, standing.study.declaration.objective[0]], value)
    return family
