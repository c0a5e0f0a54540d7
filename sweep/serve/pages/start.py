"""The page that starts a study: the form of its options, and what a study file would train."""

import json
import math
from dataclasses import dataclass
from itertools import groupby
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse
from optuna.distributions import CategoricalDistribution, json_to_distribution

from sweep.control.domains import describe
from sweep.control.preview import Preview
from sweep.errors import SweepError
from sweep.names import Value
from sweep.option_values import SpecText
from sweep.options import Option, of_way
from sweep.serve.context import Service, ServiceDependency
from sweep.serve.files import StudyFile, find_file, list_files, read_file
from sweep.serve.pages.layout import show
from sweep.view import cells
from sweep.view.studies import StudyView

LONGEST = 48  # characters of a choice that are shown

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


def standing_of(service: Service, name: str) -> StudyView | None:
    """How the study of that name stands, if there is one."""
    study = service.store.find_study(name) if name.isprintable() else None
    return service.view(study) if study is not None else None


@router.post("/start/preview")
def start_preview(request: Request, service: ServiceDependency, file: FileName) -> HTMLResponse:
    """What a study file would train: its search space and example run names, which takes a child process seconds."""
    path = find_file(service.settings.studies, file)
    try:
        seen = service.previews.of(path)
    except SweepError as error:
        return show(request, "_refused.html", error=error)
    return show(request, "_preview.html", seen=seen, examples=examples_of(seen), choices=choices_of(seen))


@dataclass(frozen=True)
class Field:
    """An option as the form has it: made from the table, and from what could be read off the study file.

    Attributes:
        kind: `number`, `text`, `choice`, `flag`, or `lines` (one value per line).
        empty: what holds where it is left empty.
        bounds: the attributes of the input element by which a browser judges it.
        suggestions: texts to choose from, each with what it means.
    """

    option: Option
    kind: str
    empty: str
    bounds: dict[str, Any]
    suggestions: dict[str, str]

    @property
    def columns(self) -> str:
        """The style that says how wide it is."""
        return {"flag": "whole", "lines": "two"}.get(self.kind, "two" if self.kind == "text" and self.wide else "")

    @property
    def wide(self) -> bool:
        """Whether its values are often longer than a word."""
        return isinstance(self.option.values, SpecText) or self.option.name == "name"


@dataclass(frozen=True)
class ListedChoice:
    """A choice of a categorical parameter: its text, cut to what a person reads, and its value as JSON."""

    text: str
    json: str


@dataclass(frozen=True)
class ParameterChoice:
    """A parameter, its domain in words, and its choices if they can be listed."""

    name: str
    key: str
    domain: str
    options: list[ListedChoice]


def fields_of(file: StudyFile) -> list[Field]:
    """The form's fields, in the order of the table; `fixed` has its own beside the search space."""
    return [_field(option, file) for name, option in of_way("api").items() if name != "fixed"]


def _field(option: Option, file: StudyFile) -> Field:
    declared = file.study if option.name == "name" else file.declared.get(option.name) if option.declares else None
    unset = option.unset if option.default is None else str(option.default)
    schema = option.values.schema()
    schema = schema.get("anyOf", [schema])[-1]  # a time as a text
    kind = {"integer": "number", "boolean": "flag", "array": "lines"}.get(schema["type"], "text")
    bounds = {"min": schema.get("minimum"), "max": schema.get("maximum"), "pattern": schema.get("pattern")}
    suggestions = getattr(option.values, "suggestions", {})
    if "enum" in schema:
        kind, suggestions = "choice", schema["enum"]
    return Field(
        option,
        kind,
        str(declared) if declared is not None else option.example or unset or "",
        {name: bound for name, bound in bounds.items() if bound is not None},
        suggestions if isinstance(suggestions, dict) else dict.fromkeys(suggestions, ""),
    )


def examples_of(seen: Preview) -> list[list[Any]]:
    """The example run names in parts."""
    return [cells.name_parts(run) for run in seen.runs if run.name is not None]


def choices_of(seen: Preview) -> list[ParameterChoice]:
    """The search space, in the order of its parameters."""
    return [
        ParameterChoice(name, seen.keys.get(name, name), _domain(seen, name), _options(seen, name))
        for name in seen.space
    ]


def _domain(seen: Preview, name: str) -> str:
    """A domain in words, with choices as they are rather than as run names have them."""
    domains = [json_to_distribution(text) for text in seen.space[name]]
    return " or ".join(
        ", ".join(map(_text, domain.choices)) if isinstance(domain, CategoricalDistribution) else describe(domain)
        for domain in domains
    )


def _options(seen: Preview, name: str) -> list[ListedChoice]:
    domains = [json_to_distribution(text) for text in seen.space[name]]
    if not all(isinstance(domain, CategoricalDistribution) for domain in domains):
        return []
    choices = [choice for domain in domains for choice in getattr(domain, "choices", ())]
    return list(dict.fromkeys(ListedChoice(_text(choice), _json(choice)) for choice in choices))


def _text(choice: Value) -> str:
    text = cells.value(choice)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _json(choice: Value) -> str:
    """A choice as the API takes it: JSON has no infinity, whose text stands for it."""
    finite = not isinstance(choice, float) or math.isfinite(choice)
    return json.dumps(choice if finite else cells.value(choice))
