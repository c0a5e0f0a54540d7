"""The store as the command line reads it through a service: rows as they stand, which `sweep.store.remote` takes.

What a person reads is under `/api/studies`; these have every digit, and what JSON lacks (NaN) as the tables have it.
"""

import json
from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from sweep.serve.api.parameters import StudyName
from sweep.serve.api.studies import check_running
from sweep.serve.context import ServiceDependency
from sweep.serve.problems import Refusal
from sweep.store import StudyRecord
from sweep.store.tables import split_float

router = APIRouter(prefix="/api/records", tags=["records"])

Numbers = Annotated[
    list[Annotated[int, Field(ge=0, lt=2**31)]] | None,
    Query(max_length=1000, description="Trial numbers; all if left out."),
]


@router.get("/studies")
def study_records(service: ServiceDependency) -> list[dict[str, Any]]:
    """Every study, the oldest first."""
    return [asdict(study) for study in service.store.studies()]


@router.get("/studies/{study}")
def study_record(study: StudyName, service: ServiceDependency) -> dict[str, Any]:
    """One study."""
    return asdict(service.study(study))


@router.get("/studies/{study}/runs")
def run_records(study: StudyName, service: ServiceDependency, number: Numbers = None) -> list[dict[str, Any]]:
    """A study's runs by number, as rows of the table, each with the rows of its repeats."""
    record = service.study(study)
    key = record.study_id
    runs = service.store.runs(key, number)
    return [{**run.row(key), "repeats": [one.row(key) for one in run.repeats]} for run in runs]


@router.get("/studies/{study}/metrics")
def metric_records(study: StudyName, service: ServiceDependency, number: Numbers = None) -> list[list[Any]]:
    """Every metric of every epoch: trial number, epoch, metric, value, kind."""
    record = service.study(study)
    return [
        [run, epoch, metric, *split_float(value)]
        for run, epochs in service.store.metrics(record.study_id, number).items()
        for epoch, values in epochs.items()
        for metric, value in values.items()
    ]


@router.get("/studies/{study}/last-metrics")
def last_metric_records(study: StudyName, service: ServiceDependency) -> list[list[Any]]:
    """The metrics of each run's last finished epoch: trial number, metric, value, kind."""
    record = service.study(study)
    return [
        [run, metric, *split_float(value)]
        for run, values in service.store.last_metrics(record.study_id).items()
        for metric, value in values.items()
    ]


@router.get("/studies/{study}/notes")
def note_records(study: StudyName, service: ServiceDependency, number: Numbers = None) -> list[list[Any]]:
    """When each trial ended, in Unix seconds, and its user attributes: trial number, end, attributes."""
    record = service.study(study)
    notes = service.store.notes(record.study_id, number)
    return [[trial, noted.ended, json.dumps(noted.attributes)] for trial, noted in notes.items()]


class Asked(BaseModel):
    """A command to a study's coordinator."""

    model_config = ConfigDict(extra="forbid", strict=True)

    verb: Literal["prune", "protect", "keep", "revive", "stop"]  # keep: the former name of protect
    numbers: Annotated[list[Annotated[int, Field(ge=0, lt=2**31)] | None], Field(min_length=1, max_length=10_000)]
    reason: Annotated[str, StringConstraints(max_length=200)] = "by hand"


@router.post("/studies/{study}/commands", status_code=202)
def give_command(study: StudyName, service: ServiceDependency, asked: Asked) -> dict[str, Any]:
    """Ask a running study's coordinator to prune runs or to stop."""
    record: StudyRecord = service.study(study)
    check_running(service, record, asked.verb)
    if asked.verb != "stop" and None in asked.numbers:
        raise Refusal(f"Cannot {asked.verb} null: numbers must list the numbers of runs.")
    reason = asked.reason.encode("utf-8", "replace").decode().replace("\0", "?")
    service.store.command(record.study_id, asked.verb, numbers=asked.numbers, reason=reason)
    return {"study": record.name, "asked": asked.verb}
