"""Training a study's best runs again with fresh seeds: what it would take, starting and stopping it, and what it shows.

A process of its own does it, `sweep confirm`, as one does where a study is started.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from sweep import racing
from sweep.control.repeats import newest_snapshot
from sweep.race import MOST_REPEATS, MOST_TOP, REPEATS, TOP
from sweep.serve.api.parameters import StudyName
from sweep.serve.api.starts import start_object
from sweep.serve.api.studies import BY_HAND, check_ours
from sweep.serve.context import ServiceDependency
from sweep.serve.launcher import MOST_WORKERS
from sweep.serve.problems import Conflict
from sweep.view.repeats import further, planned_race, race_object, report, shown_race, spread, test_lines

router = APIRouter(prefix="/api/studies/{study}/confirmation", tags=["confirming"])


@router.get("")
def show_confirmation(study: StudyName, service: ServiceDependency) -> dict[str, Any]:
    """What the repeats of a study's runs show so far, as `sweep confirm --json`; `report` says it in sentences.

    `confirming` is what trains now, and `start` the last time that this service began it; each may be null.
    """
    record = service.study(study)
    snapshot = service.snapshots.of(record)
    race = shown_race(record, snapshot.runs)
    lines = [*report(record, snapshot.runs, race), *test_lines(snapshot.runs, race)]
    text, needed = further(race, spread(record, snapshot.runs)) if not race.settled else ("", None)
    begun, confirming = service.launcher.confirming(record.name), service.view(record).racing
    return {
        **race_object(record, snapshot.runs, race),
        "report": lines if race.standings else [],
        "further": {"said": f"{text}.", "repeats": needed} if needed is not None else None,
        "confirming": confirming.as_object() if confirming is not None else None,
        "start": start_object(begun) if begun is not None else None,
    }


class Confirming(BaseModel):
    """Which runs train again, and how often; `dry_run` only says what that would take."""

    model_config = ConfigDict(extra="forbid", strict=True)

    top: Annotated[int, Field(ge=1, le=MOST_TOP, description="How many of the best runs race.")] = TOP
    repeats: Annotated[int, Field(ge=1, le=MOST_REPEATS, description="How often each of them trains at most.")] = (
        REPEATS
    )
    workers: Annotated[int, Field(ge=1, le=MOST_WORKERS, description="Processes that train.")] | None = None
    test: Annotated[bool, Field(description="Then call the study file's test(model) for each repeat.")] = False
    retry_failed: Annotated[bool, Field(description="Train repeats that failed once more.")] = False
    dry_run: bool = False

    def words(self) -> list[str]:
        """The options of `sweep confirm`."""
        given = [f"--top={self.top}", f"--repeats={self.repeats}"]
        given += [f"--workers={self.workers}"] if self.workers is not None else []
        given += ["--test"] if self.test else []
        return given + (["--retry-failed"] if self.retry_failed else [])


@router.post("")
def confirm(
    study: StudyName, service: ServiceDependency, response: Response, asked: Confirming | None = None
) -> dict[str, Any]:
    """Train a study's best runs again with fresh seeds, in a process of its own; the answer comes at once, with 202.

    With `dry_run` it only says, with 200, which runs would train how often, and how many epochs and seconds they took.
    """
    record, asked = service.study(study), asked or Confirming()
    check_ours(service, record, "confirm", "confirm")
    planned = planned_race(record, service.snapshots.of(record).runs, top=asked.top, repeats=asked.repeats)
    newest_snapshot(service.store, planned.runs)
    if asked.dry_run:
        failed = sum(one.failed is not None for one in planned.race.standings.values())
        return {**planned.as_object(), "said": str(planned), "failed": failed}
    if (race := racing.of(record)) is not None:
        raise Conflict(f"Repeats of study {record.name} train already, in {race.owner}.", "Stop that first.")
    response.status_code = 202
    return start_object(service.launcher.confirm(record, asked.words()))


@router.post("/stop", status_code=202)
def stop_confirming(study: StudyName, service: ServiceDependency) -> dict[str, Any]:
    """Ask whoever trains repeats of a study to stop after their running epochs; what has ended is kept."""
    record = service.study(study)
    if not (racing.stop(record, BY_HAND) or service.launcher.stop_confirming(record.name)):
        raise Conflict(f"No repeats of study {record.name} are being trained, so there is nothing to stop.")
    return {"study": record.name, "asked": "stop"}
