"""The page that starts a study."""

from itertools import groupby
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from sweep.errors import SweepError
from sweep.serve.context import Service, ServiceDependency
from sweep.serve.files import find_file, list_files, read_file
from sweep.serve.shown import show
from sweep.serve.starting import choices_of, examples_of, fields_of
from sweep.view.studies import Standing

router = APIRouter(include_in_schema=False)
FileName = Annotated[str, Query(max_length=255)]


@router.get("/start")
def start_page(request: Request, service: ServiceDependency, file: FileName = "") -> HTMLResponse:
    """The study files there are, and for one of them what can be said without running it."""
    folder = service.settings.studies
    read = read_file(folder, file) if file else None
    fields = fields_of(read) if read else []
    return show(
        request,
        "start.html",
        files=list_files(folder),
        chosen=read,
        standing=standing_of(service, read.study) if read else None,
        fields=[field for field in fields if not field.option.folded],
        folded=groupby((field for field in fields if field.option.folded), key=lambda field: field.option.group),
        folder=folder,
    )


@router.get("/start/standing")
def start_standing(request: Request, service: ServiceDependency, name: FileName) -> HTMLResponse:
    """What is said of a name that a study has already: that starting goes on with it; empty where none has it."""
    return show(request, "_standing.html", standing=standing_of(service, name))


def standing_of(service: Service, name: str) -> Standing | None:
    """How the study of that name stands, if there is one."""
    study = service.store.find_study(name) if name.isprintable() else None
    return service.standing(study) if study is not None else None


@router.get("/start/preview")
def start_preview(request: Request, service: ServiceDependency, file: FileName) -> HTMLResponse:
    """What a study file would train: its search space and example run names, which takes a child process seconds."""
    path = find_file(service.settings.studies, file)
    try:
        seen = service.previews.of(path)
    except SweepError as error:
        return show(request, "_refused.html", error=error)
    return show(request, "_preview.html", seen=seen, examples=examples_of(seen), choices=choices_of(seen))
