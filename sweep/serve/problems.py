"""Errors as problem documents (RFC 9457) that say the rule, what was got, and what to do."""

import http
from typing import Any

import sqlalchemy as sa
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from sweep.errors import FilterError, SweepError

MEDIA_TYPE = "application/problem+json"
OPTION_ERROR = "option"
"""The type of an error in a request whose message is a sentence of `sweep.options`."""

_LONGEST = 300  # characters of what was got


_SCHEMA = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "rule"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "Rule, got and remedy in a line."},
        "rule": {"type": "string", "description": "What must hold."},
        "got": {"type": "string", "description": "What was found instead."},
        "remedy": {"type": "string", "description": "What to do about it."},
        "position": {"type": "integer", "description": "The place in a filter or condition, counted from 0."},
        "errors": {"type": "array", "items": {"type": "object"}, "description": "All that is wrong with a request."},
    },
}
RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"description": http.HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {"schema": _SCHEMA}}}
    for status in (400, 401, 403, 404, 409, 413, 422, 503)
}
"""The problems that a route may answer with, for the API's description."""


class Refusal(SweepError):
    """A request that cannot be met; `status` is the answer's."""

    status = 422


class NotFound(Refusal):
    """There is nothing of that name."""

    status = 404


class Conflict(Refusal):
    """What is asked for does not suit the study's state."""

    status = 409


class Busy(Refusal):
    """It cannot be done just now."""

    status = 503


def status_of(error: SweepError) -> int:
    """The HTTP status that an error of the user's is answered with."""
    return error.status if isinstance(error, Refusal) else 422


def document(status: int, rule: str, got: str | None = None, remedy: str | None = None, **more: Any) -> dict[str, Any]:
    """A problem document; `more` are members of its own."""
    parts = {
        "type": "about:blank",
        "title": http.HTTPStatus(status).phrase,
        "status": status,
        "detail": _short(str(SweepError(rule, got, remedy)), 2 * _LONGEST),
        "rule": rule,
        "got": got and _short(got),
        "remedy": remedy,
        **more,
    }
    return {name: value for name, value in parts.items() if value is not None}


def of_error(error: SweepError) -> dict[str, Any]:
    """The problem document of an error of the user's; a filter's has the `position` of what is wrong."""
    more = {"position": error.position} if isinstance(error, FilterError) else {}
    return document(status_of(error), error.rule, error.got, error.remedy, **more)


def answer(problem: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    """A problem document as a response."""
    return JSONResponse(problem, problem["status"], media_type=MEDIA_TYPE, headers=headers)


def respond(request: Request, problem: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    """A problem as its asker reads it: as a page for somebody who looks at pages, else as a document."""
    page = getattr(request.app.state, "error_page", None)
    wants_page = "text/html" in request.headers.get("accept", "") and not request.url.path.startswith("/api/")
    if page is not None and wants_page:
        shown: Response = page(request, problem)
        shown.headers.update(headers or {})
        return shown
    return answer(problem, headers)


def install(app: FastAPI) -> None:
    """Answer every error of the user's with its problem."""
    app.add_exception_handler(SweepError, _sweep_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(sa.exc.OperationalError, _database)
    app.add_exception_handler(sa.exc.DataError, _data)


def _sweep_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, SweepError):
        raise error
    return respond(request, of_error(error))


def _invalid(request: Request, error: Exception) -> Response:
    """The first thing that is wrong with a request, where it is, and all of them under `errors`."""
    if not isinstance(error, RequestValidationError):
        raise error
    found = [
        {"where": ".".join(str(part) for part in item["loc"])[:_LONGEST], "rule": _short(item["msg"], 2 * _LONGEST)}
        for item in error.errors()[:20]
    ]
    if error.errors() and error.errors()[0]["type"] == OPTION_ERROR:  # it says itself which option is meant
        return respond(request, document(422, found[0]["rule"], errors=found))
    first = found[0] if found else {"where": "the request", "rule": "it is not valid"}
    said = f"{first['where']}: {first['rule']}"
    return respond(request, document(422, "a request is as /api/docs describes it", said, errors=found))


def _http(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    if error.status_code == 404:
        problem = document(404, "an address is one of the service's", request.url.path)
    elif error.status_code == 405:
        takes = (error.headers or {}).get("Allow", "another method")
        got = f"{request.method} {request.url.path}"
        problem = document(405, "an address is asked by a method that it takes", got, f"ask by {takes}")
    else:
        problem = document(error.status_code, str(error.detail))
    return respond(request, problem, dict(error.headers or {}))


def _database(request: Request, _error: Exception) -> Response:
    """The database is locked or away; what it said is not shown, since it may name the database."""
    return respond(request, document(503, "the database must answer", remedy="try again shortly"))


def _data(request: Request, _error: Exception) -> Response:
    """A value that the database has no room for, such as a character that it cannot hold."""
    return respond(request, document(422, "a value must be one that the database can hold"))


def _short(text: str, longest: int = _LONGEST) -> str:
    """A text cut to what a person reads, and without what is no Unicode text."""
    whole = text.encode("utf-8", "replace").decode()
    return whole if len(whole) <= longest else f"{whole[: longest - 1]}…"
