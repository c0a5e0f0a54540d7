"""Errors as problem documents (RFC 9457): what happened, and what to do about it."""

import http
import logging
from typing import Any

import sqlalchemy as sa
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from sweep.errors import FilterError, SweepError
from sweep.store.database import DatabaseFault

MEDIA_TYPE = "application/problem+json"
OPTION_ERROR = "option"
"""The type of an error in a request whose message is a sentence of `sweep.options`."""

_log = logging.getLogger(__name__)
_LONGEST = 600  # characters of a message or a hint


_SCHEMA = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "error", "rule"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "The error and the hint in one line."},
        "error": {"type": "string", "description": "What happened."},
        "hint": {"type": "string", "description": "What to do about it."},
        "rule": {"type": "string", "deprecated": True, "description": "The former name of `error`."},
        "remedy": {"type": "string", "deprecated": True, "description": "The former name of `hint`."},
        "position": {"type": "integer", "description": "The place in a filter or condition, counted from 0."},
        "errors": {"type": "array", "items": {"type": "object"}, "description": "All that is wrong with a request."},
    },
}
RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"description": http.HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {"schema": _SCHEMA}}}
    for status in (400, 401, 403, 404, 409, 413, 422, 429, 503)
}
"""The problems that a route may answer with, for the API's description."""


class Refusal(SweepError):
    """A request that cannot be met; `status` is the answer's."""

    status = 422


class Closed(Refusal):
    """The service can only read."""

    status = 403


class NotFound(Refusal):
    """There is nothing of that name."""

    status = 404


class Conflict(Refusal):
    """What is asked for does not suit the study's state."""

    status = 409


class Busy(Refusal):
    """It cannot be done just now."""

    status = 503


class Full(Refusal):
    """So many have been asked for that there is no place for another."""

    status = 429


def status_of(error: SweepError) -> int:
    """The HTTP status that an error of the user's is answered with."""
    return error.status if isinstance(error, Refusal) else 422


def document(status: int, message: str, hint: str | None = None, **more: Any) -> dict[str, Any]:
    """A problem document: `error` is the message, `hint` the hint, `detail` both; `more` are members of its own."""
    said, hint = _short(message), hint and _short(hint)
    parts = {
        "type": "about:blank",
        "title": http.HTTPStatus(status).phrase,
        "status": status,
        "detail": str(SweepError(said, hint)),
        "error": said,
        "hint": hint,
        "rule": said,  # as clients of version 0.2 read them
        "remedy": hint,
        **more,
    }
    return {name: value for name, value in parts.items() if value is not None}


def of_error(error: SweepError) -> dict[str, Any]:
    """The problem document of a user's error; that of a filter has the `position` of what is wrong."""
    more = {"position": error.position} if isinstance(error, FilterError) else {}
    return document(status_of(error), error.message, error.hint, **more)


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
    app.add_exception_handler(DatabaseFault, _database)
    app.add_exception_handler(sa.exc.DBAPIError, _database)
    app.add_exception_handler(sa.exc.TimeoutError, _database)  # all connections wait for it
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
        {"where": _short(".".join(str(part) for part in item["loc"])), "rule": _short(item["msg"])}
        for item in error.errors()[:20]
    ]
    if error.errors() and error.errors()[0]["type"] == OPTION_ERROR:  # it says itself which option is meant
        return respond(request, document(422, found[0]["rule"], errors=found))
    first = f": {found[0]['where']}: {found[0]['rule']}" if found else ""
    return respond(request, document(422, f"Invalid request{first}.", "See /api/docs.", errors=found))


def _http(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    if error.status_code == 404:
        problem = document(404, f"No such address: {request.url.path}.")
    elif error.status_code == 405:
        takes = (error.headers or {}).get("Allow", "another method")
        problem = document(405, f"{request.url.path} does not take {request.method}.", f"Use {takes}.")
    else:
        problem = document(error.status_code, str(error.detail))
    return respond(request, problem, dict(error.headers or {}))


def _database(request: Request, error: Exception) -> Response:
    """The database is locked, away, damaged or forbidden; what it said is logged, since it may name the database."""
    _log.warning("the database refuses: %s", error)
    return respond(request, document(503, "The database does not answer.", "Try again shortly."))


def _data(request: Request, _error: Exception) -> Response:
    """A value that the database has no room for, such as a character that it cannot hold."""
    return respond(request, document(422, "The database cannot hold a value of this request."))


def _short(text: str) -> str:
    """A text cut to what a person reads, and without what is no Unicode text."""
    whole = text.encode("utf-8", "replace").decode()
    return whole if len(whole) <= _LONGEST else f"{whole[: _LONGEST - 1]}…"
