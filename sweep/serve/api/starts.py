"""Study files, what they would train, and starting them."""

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Path
from pydantic import (
    BaseModel,
    ConfigDict,
    PlainValidator,
    StringConstraints,
    WithJsonSchema,
    create_model,
    model_validator,
)
from pydantic_core import PydanticCustomError

from sweep.errors import SweepError
from sweep.options import Option, Settings, check_names, of_way, present
from sweep.serve.api.parameters import FileName
from sweep.serve.context import ServiceDependency
from sweep.serve.files import StudyFile, find_file, list_files, read_file, startable
from sweep.serve.launcher import Start
from sweep.serve.problems import OPTION_ERROR, NotFound

router = APIRouter(prefix="/api", tags=["starting"])


@router.get("/files")
def list_study_files(service: ServiceDependency) -> dict[str, Any]:
    """The study files that may be started, with their docstrings."""
    return {"files": [file_object(file) for file in list_files(service.settings.studies)]}


@router.get("/files/{file}")
def show_study_file(file: FileName, service: ServiceDependency) -> dict[str, Any]:
    """One study file, as it can be read without running it."""
    return file_object(read_file(service.settings.studies, file))


@router.post("/files/{file}/names")
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


def _field(option: Option) -> Any:
    """An option in a request: judged by the table, and described by it."""

    def check(value: Any) -> Any:
        try:
            return option.check(value)
        except SweepError as error:
            raise PydanticCustomError(OPTION_ERROR, "{said}", {"said": str(error)}) from None

    schema = {"anyOf": [option.values.schema(), {"type": "null"}], "description": option.help}
    return Annotated[Any, PlainValidator(check), WithJsonSchema(schema)], None


class _Starting(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    file: Annotated[str, StringConstraints(max_length=255)]

    @model_validator(mode="before")
    @classmethod
    def _has_known_names(cls, given: Any) -> Any:
        try:
            given = present(given) if isinstance(given, dict) else given
            check_names([name for name in given if name != "file"] if isinstance(given, dict) else (), "api")
        except SweepError as error:
            raise PydanticCustomError(OPTION_ERROR, "{said}", {"said": str(error)}) from None
        return given


if TYPE_CHECKING:
    Starting = _Starting
else:
    Starting = create_model(
        "Starting",
        __base__=_Starting,
        __doc__="A study file to start, and options; what is left out is as the file says.",
        **{name: _field(option) for name, option in of_way("api").items()},
    )


@router.post("/starts", status_code=202)
def start(starting: Starting, service: ServiceDependency) -> dict[str, Any]:
    """Start a study file in a process of its own, or go on with its study.

    The answer comes at once; the study is in the store when its first run has begun, some seconds later. `GET
    /api/starts/{start}` says how it goes.
    """
    file = startable(service.settings.studies, starting.file)
    settings = Settings(**starting.model_dump(exclude={"file"}))
    if settings.name is None and "name" in file.declared:
        settings = dataclasses.replace(settings, name=file.study)
    return start_object(service.launcher.start(file.path, settings))


@router.get("/starts")
def list_starts(service: ServiceDependency) -> dict[str, Any]:
    """The starts of this service, the latest last."""
    return {"starts": [start_object(begun) for begun in service.launcher.starts()]}


@router.get("/starts/{start}")
def show_start(
    start: Annotated[str, Path(max_length=40, description="What the start was answered with.")],
    service: ServiceDependency,
) -> dict[str, Any]:
    """How a start goes, with the end of what its coordinator has printed."""
    begun = service.launcher.find(start)
    if begun is None:
        raise NotFound(f"This service has no start {start!r}.", "GET /api/starts lists them.")
    return {**start_object(begun), "output": begun.output()}


def start_object(begun: Start) -> dict[str, Any]:
    """A start as JSON."""
    return {
        "start": begun.identity,
        "command": begun.command,
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
