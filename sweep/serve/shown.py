"""What the pages share, and how one is shown."""

import threading
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.responses import HTMLResponse

from sweep.finding import KINDS
from sweep.serve import cells
from sweep.serve.context import Service
from sweep.serve.figures import Figures
from sweep.serve.pictures import picture
from sweep.serve.rows import Rows
from sweep.serve.views import address
from sweep.view.trainings import training_name

# Scripts and styles are files of ours; pictures may be in the page itself, as the tab's icon is.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


_LOCK = threading.Lock()


class Pages:
    """What the pages keep: figures and rows, which are costly to make."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.figures = Figures(service.store)
        self.rows = Rows(service.store, service.templates)
        environment = service.templates.env
        environment.globals.update(
            address=address, cells=cells, meanings=KINDS, picture=picture, training_name=training_name
        )
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
