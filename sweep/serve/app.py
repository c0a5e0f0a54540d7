"""The application: `create_app` makes it of its settings. Run by `sweep serve`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from sweep.serve import login, pages, problems
from sweep.serve.auth import Gate
from sweep.serve.context import HERE, ServeSettings, Service
from sweep.store import Store


def create_app(settings: ServeSettings, store: Store | None = None) -> FastAPI:
    """The application.

    Args:
        settings: how it runs.
        store: what it reads; by default that of `settings.storage`, which is made where it is missing.

    Raises:
        StoreError: the database cannot be opened.
    """
    service = Service(settings, store or Store(settings.storage, create=True))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        service.close()

    app = FastAPI(
        title="sweep",
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
        lifespan=lifespan,
        redirect_slashes=False,
    )
    app.state.service = service
    app.state.error_page = getattr(pages, "error_page", None)
    problems.install(app)
    app.add_middleware(Gate, settings=settings)
    app.include_router(login.router)
    app.include_router(pages.router)
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")
    return app
