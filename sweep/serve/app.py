"""The application: `create_app` makes it of its settings. Run by `sweep serve`."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fastapi import Depends, FastAPI, Request
from fastapi.staticfiles import StaticFiles

from sweep.distribution import __version__
from sweep.serve import auth, problems, pulse
from sweep.serve.api import confirmations, docs, events, exports, health, records, runs, starts, studies, tensorboard
from sweep.serve.context import HERE, Service
from sweep.serve.pages import run as run_page
from sweep.serve.pages import start as start_page
from sweep.serve.pages import studies as studies_page
from sweep.serve.pages import study as study_page
from sweep.serve.pages.layout import error_page
from sweep.serve.settings import ServeSettings
from sweep.store import Store
from sweep.view.upgrades import open_upgraded

_log = logging.getLogger(__name__)

LOOK_SECONDS = 30.0  # between two checks for idle TensorBoards

ROUTES = (
    *(studies, confirmations, runs, exports, events, starts, health, records, tensorboard, docs, auth),
    *(study_page, run_page, start_page, studies_page),
)


def create_app(settings: ServeSettings, store: Store | None = None) -> FastAPI:
    """The application.

    Args:
        settings: how it runs.
        store: what it reads; by default that of `settings.storage`, which is created if it is missing.

    Raises:
        StoreError: the database cannot be opened.
    """
    service = Service(settings, store or _open(settings.storage))

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        looking = asyncio.create_task(_stop_idle(service))
        yield
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking
        await service.close()

    app = FastAPI(
        title="sweep",
        version=__version__,
        summary="Studies, runs, their curves and TensorBoard over HTTP.",
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
        lifespan=lifespan,
        redirect_slashes=False,
    )
    app.state.service = service
    app.state.error_page = error_page
    problems.install(app)
    app.add_middleware(pulse.Desk, pulse=service.pulse)
    app.add_middleware(auth.Gate, service=service)
    for routes in ROUTES:
        app.include_router(routes.router, responses=problems.RESPONSES, dependencies=[Depends(refuse_changes)])
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")
    return app


def refuse_changes(request: Request) -> None:
    """Refuse whatever changes something if the database can only be read.

    Raises:
        Closed: it can only be read.
    """
    reason = request.app.state.service.read_only
    harmless = request.method in auth.SAFE_METHODS or request.url.path in (auth.LOGIN, auth.LOGOUT)
    if reason is not None and not harmless and not request.url.path.startswith("/tensorboard/"):
        raise problems.Closed(f"This service only reads. {reason}", "Start it again where it can write.")


def _open(storage: str) -> Store:
    store, changes = open_upgraded(storage)
    for line in changes:
        _log.warning("%s", line)
    return store


async def _stop_idle(service: Service) -> None:
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        await service.boards.stop_idle()
