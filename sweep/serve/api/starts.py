"""Study files, what they would train, and starting them."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from sweep.declaration import STUDY_NAME
from sweep.names import is_run_name
from sweep.serve.api.parameters import FileName
from sweep.serve.context import ServiceDependency
from sweep.serve.files import StudyFile, find_file, list_files, read_file, startable
from sweep.serve.problems import NotFound
from sweep.serve.starter import Options, Start

router = APIRouter(prefix="/api", tags=["starting"])

Value = bool | int | float | str | None
Spec = Annotated[str, StringConstraints(max_length=500)]
Parameters = Annotated[dict[Annotated[str, StringConstraints(max_length=255)], Value], Field(max_length=200)]


@router.get("/files")
def list_study_files(service: ServiceDependency) -> dict[str, Any]:
    """The study files that may be started, with their docstrings."""
    return {"files": [file_object(file) for file in list_files(service.settings.studies)]}


@router.get("/files/{file}")
def show_study_file(file: FileName, service: ServiceDependency) -> dict[str, Any]:
    """One study file, as it can be read without running it."""
    return file_object(read_file(service.settings.studies, file))


@router.get("/files/{file}/names")
def preview_names(file: FileName, service: ServiceDependency) -> dict[str, Any]:
    """What run names a study file gives: examples, keys, search space, warnings; it takes some seconds."""
    seen = service.previews.of(find_file(service.settings.studies, file))
    return {
        "study": seen.study,
        "doc": seen.doc,
        "examples": [{"name": run.name, "params": run.params} for run in seen.runs],
        "keys": seen.keys,
        "space": {parameter: seen.domain(parameter) for parameter in seen.space},
        "warnings": seen.warnings(),
    }


class Starting(BaseModel):
    """A study file to start, and what is said instead of it; what is left out is as the file says."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    file: Annotated[str, StringConstraints(max_length=255)]
    name: Annotated[str, StringConstraints(max_length=80)] | None = None
    trials: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    epochs: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    timeout: Annotated[float, Field(gt=0, le=1e9)] | None = None
    workers: Annotated[int, Field(ge=1, le=512)] | None = None
    sampler: Spec | None = None
    pruner: Spec | None = None
    broken: Literal["prune", "report", "ignore"] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**32)] | None = None
    keep: Annotated[str, StringConstraints(pattern=r"^(all|none|best:[1-9][0-9]{0,8})$")] | None = None
    retries: Annotated[int, Field(ge=0, le=100)] | None = None
    trial_timeout: Annotated[float, Field(gt=0, le=1e9)] | None = None
    fixed: Parameters = {}
    enqueue: Annotated[list[Parameters | str], Field(max_length=100)] = []

    @field_validator("name")
    @classmethod
    def _is_name(cls, name: str | None) -> str | None:
        if name is not None and not STUDY_NAME.fullmatch(name):
            raise ValueError("a study's name is up to 80 of A-Z a-z 0-9 . _ - and begins with none of . -")
        return name

    @field_validator("fixed", "enqueue")
    @classmethod
    def _is_text(cls, given: Any) -> Any:
        """Parameters go to a command line and a file, which hold neither NUL nor what is no Unicode text."""
        for params in given if isinstance(given, list) else [given]:
            if isinstance(params, str) and not is_run_name(params):
                raise ValueError("what is enqueued is parameters or a run name")
            for text in [params] if isinstance(params, str) else [*params, *params.values()]:
                if isinstance(text, str) and ("\0" in text or text.encode("utf-8", "replace").decode() != text):
                    raise ValueError("a parameter's name and value are text")
        if isinstance(given, dict) and any("=" in name for name in given):
            raise ValueError("a parameter's name has no =")
        return given


@router.post("/starts", status_code=202)
def start(starting: Starting, service: ServiceDependency) -> dict[str, Any]:
    """Start a study file in a process of its own, or go on with its study.

    The answer comes at once; the study is in the store when its first run has begun, some seconds later. `GET
    /api/starts/{start}` says how it goes.
    """
    file = startable(service.settings.studies, starting.file)
    options = starting.model_dump(exclude={"file", "enqueue"})
    options["name"] = options["name"] or (file.study if "name" in file.declared else None)
    return start_object(service.starter.start(file.path, Options(**options), starting.enqueue))


@router.get("/starts")
def list_starts(service: ServiceDependency) -> dict[str, Any]:
    """The starts of this service, the latest last."""
    return {"starts": [start_object(begun) for begun in service.starter.starts()]}


@router.get("/starts/{start}")
def show_start(
    start: Annotated[str, Path(max_length=40, description="What the start was answered with.")],
    service: ServiceDependency,
) -> dict[str, Any]:
    """How a start goes, with the end of what its coordinator has printed."""
    begun = service.starter.find(start)
    if begun is None:
        raise NotFound("a start is one of this service's", repr(start), "GET /api/starts lists them")
    return {**start_object(begun), "output": begun.output()}


def start_object(begun: Start) -> dict[str, Any]:
    """A start as JSON."""
    return {
        "start": begun.identity,
        "file": begun.file,
        "study": begun.study,
        "state": begun.state,
        "problem": begun.problem(),
        "pid": begun.process.pid,
        "began": begun.began,
        "log": str(begun.log),
    }


def file_object(file: StudyFile) -> dict[str, Any]:
    """A study file as JSON."""
    return {"file": file.name, "doc": file.doc, "problem": file.problem}
