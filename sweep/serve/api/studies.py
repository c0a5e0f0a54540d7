"""Studies: their state; stopping, continuing and removing one."""

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query
from optuna.distributions import json_to_distribution
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from sweep.control.domains import describe
from sweep.control.removal import remove_study
from sweep.serve.api.parameters import StudyName
from sweep.serve.api.starts import start_object
from sweep.serve.context import Service, ServiceDependency
from sweep.serve.files import find_file, startable
from sweep.serve.problems import Conflict, Refusal
from sweep.store import StudyRecord
from sweep.view.runs import all_finite
from sweep.view.studies import nothing_to
from sweep.view.summary import as_object

router = APIRouter(prefix="/api/studies", tags=["studies"])

BY_HAND = "by hand"


@router.get("")
def list_studies(service: ServiceDependency) -> dict[str, Any]:
    """Every study of the store and how it stands, the oldest first."""
    return {"studies": [view.as_object() for view in service.views()]}


@router.get("/{study}")
def show_study(study: StudyName, service: ServiceDependency) -> dict[str, Any]:
    """One study: how it stands, what its file declares, its search space and the keys of its parameters."""
    record = service.study(study)
    space = {
        parameter: " or ".join(describe(json_to_distribution(text)) for text in texts)
        for parameter, texts in record.space.items()
    }
    declared = {
        name: getattr(record.declaration, name)
        for name in ("epochs", "timeout", "workers", "sampler", "pruner", "seed", "value", "doc", "hash", "commit")
    }
    return {
        **service.view(record).as_object(),
        **declared,
        "versions": record.declaration.versions,
        "keys": record.keys,
        "space": space,
    }


@router.get("/{study}/summary")
def summarize_study(
    study: StudyName,
    service: ServiceDependency,
    since: Annotated[
        str | None, Query(max_length=32, description="Leave out what ended earlier than this long ago, such as `12h`.")
    ] = None,
) -> dict[str, Any]:
    """What has become of a study: what won, whether that is certain, what failed and why, what to do next.

    It has what `sweep summary --json` prints; `text` is the same for people.
    """
    return all_finite(as_object(service.summary(service.study(study), since)))


@router.post("/{study}/stop", status_code=202)
def stop_study(study: StudyName, service: ServiceDependency) -> dict[str, Any]:
    """Ask a running study to end after its running epochs; what was running is run again when it goes on."""
    record = service.study(study)
    check_running(service, record, "stop")
    service.store.command(record.study_id, "stop", reason=BY_HAND)
    return {"study": record.name, "asked": "stop"}


class GoingOn(BaseModel):
    """What may be said when a study goes on."""

    model_config = ConfigDict(extra="forbid", strict=True)

    trials: Annotated[int, Field(ge=1, le=1_000_000)] | None = None


@router.post("/{study}/go-on", status_code=202)
def go_on(study: StudyName, service: ServiceDependency, options: GoingOn | None = None) -> dict[str, Any]:
    """Start a study that has stopped again, with the options of its last start; `trials` gives it a new total."""
    record = service.study(study)
    if record.is_running:
        raise Conflict(f"Cannot continue study {record.name}: it is running.")
    path = check_ours(service, record, "continue", "start")
    startable(service.settings.studies, path.name)
    trials = options.trials if options is not None else None
    return start_object(service.launcher.go_on(path, record, trials))


@router.delete("/{study}")
async def delete_study(
    study: StudyName,
    service: ServiceDependency,
    confirm: Annotated[str, Query(max_length=255, description="The study's name once more.")] = "",
) -> dict[str, Any]:
    """Remove a study with its runs from the database, and its folder.

    The folder stays if it is neither in the service's log directory nor says that it belongs to this database.
    """
    record = await run_in_threadpool(service.study, study)
    if confirm != record.name:
        raise Refusal(
            f"Removing a study needs its name once more, and confirm is {confirm!r}.", f"Pass confirm={record.name}."
        )
    if record.is_running:
        raise Conflict(f"Cannot remove study {record.name} while it is running.", "Stop it first.")
    await run_in_threadpool(service.launcher.check_none, record.name)
    await service.boards.stop(record.study_id)
    folder = await run_in_threadpool(remove_study, service.store, record, service.settings.logdir)
    return {"study": record.name, "removed": True, "directory": str(folder) if folder is not None else None}


def check_ours(service: Service, study: StudyRecord, verb: str, command: str) -> Path:
    """Refuse to train a study whose file is not in the folder from which this service may start studies; the file.

    Raises:
        Conflict: it is elsewhere, or there is no such folder.
    """
    file = Path(study.declaration.file or "")
    path = find_file(service.settings.studies, file.name) if file.name else None
    if path is None or path != file.resolve():
        raise Conflict(
            f"Cannot {verb} study {study.name} from here: its file {file} is not in the service's folder.",
            f"Run sweep {command} where the file is.",
        )
    return path


def check_running(service: Service, study: StudyRecord, verb: str) -> None:
    """Refuse a command that nobody would obey: it would lie in the store until the study is started again.

    Raises:
        Conflict: the study is not running.
    """
    view = service.view(study)
    if view.state != "running":
        raise Conflict(nothing_to(verb, study.name, view.state))
