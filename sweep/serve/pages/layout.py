"""What the pages share, how one is shown, and the one that says what is wrong with a request."""

import threading
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.responses import HTMLResponse

from sweep.finding import KINDS
from sweep.serve.context import Service
from sweep.serve.figures import Figures
from sweep.serve.pages.addresses import address
from sweep.serve.pages.table import RowCache
from sweep.serve.pictures import picture
from sweep.view import cells
from sweep.view import runs as run_view
from sweep.view import summary as summaries

# Scripts and styles are files of ours; pictures may be in the page itself, as the tab's icon is.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
TITLES = {
    403: "This service only reads",
    404: "There is nothing here",
    405: "This is not a page",
    409: "Not as things stand",
    413: "That is too much",
    422: "This cannot be shown",
    503: "Not just now",
}
"""What pages say of a request that is refused."""

_LOCK = threading.Lock()


class Pages:
    """What the pages keep: figures and rows, which are costly to make."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.figures = Figures(service.store)
        self.rows = RowCache(service.store, service.templates)
        environment = service.templates.env
        environment.globals.update(address=address, cells=cells, meanings=KINDS, picture=picture, run_view=run_view)
        environment.globals.update(read_only=service.read_only, summaries=summaries)
        environment.trim_blocks = environment.lstrip_blocks = True


def pages_of(request: Request) -> Pages:
    """What the pages keep."""
    with _LOCK:
        pages: Pages | None = getattr(request.app.state, "pages", None)
        if pages is None:
            pages = request.app.state.pages = Pages(request.app.state.service)
        return pages


PagesDependency = Annotated[Pages, Depends(pages_of)]


def show(request: Request, template: str, status: int = 200, **context: Any) -> HTMLResponse:
    """A template filled; nobody keeps a copy, since what it shows moves."""
    service = pages_of(request).service
    headers = {"Content-Security-Policy": CONTENT_SECURITY_POLICY, "Cache-Control": "no-store"}
    context["guarded"] = service.settings.token is not None
    response: HTMLResponse = service.templates.TemplateResponse(request, template, context, status, headers)
    return response


def error_page(request: Request, problem: dict[str, Any]) -> HTMLResponse:
    """A page that says what was wrong, and what to do, to somebody who knows of no API."""
    status = problem["status"]
    hint = problem.get("hint", "")
    if "/api/" in hint or status == 405:
        hint = ""  # the page has a button
    said = {"error": problem["error"], "hint": hint}
    return show(request, "error.html", status=status, title=TITLES.get(status, "This did not work"), problem=said)
