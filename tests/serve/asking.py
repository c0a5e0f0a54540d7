"""A client that asks the service in this process, without a port."""

import asyncio
from pathlib import Path
from typing import Any

import httpx

from sweep.serve.app import create_app
from sweep.serve.settings import ServeSettings
from sweep.store import Store

TOKEN = "a-token-of-these-tests"
ORIGIN = "http://localhost"


class Client:
    """Asks one application, in an event loop of its own; errors in a route are answers, as they are outside."""

    def __init__(self, store: Store, folder: Path, **settings: Any) -> None:
        given = {"logdir": folder / "runs", "studies": None, "token": None, **settings}
        self.settings = ServeSettings(store.url.render_as_string(hide_password=False), **given)
        self.app = create_app(self.settings, store)
        self.service = self.app.state.service
        self._runner = asyncio.Runner()

    def ask(self, method: str, path: str, **asked: Any) -> httpx.Response:
        """One request and its whole answer."""
        return self._runner.run(self._ask(method, path, asked))

    async def _ask(self, method: str, path: str, asked: dict[str, Any]) -> httpx.Response:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
            return await client.request(method, path, **asked)

    def get(self, path: str, **query: Any) -> httpx.Response:
        """A GET whose keywords are the query."""
        return self.ask("GET", path, params=query)

    def post(self, path: str, **body: Any) -> httpx.Response:
        """A POST whose keywords are the JSON body."""
        return self.ask("POST", path, json=body)

    def close(self) -> None:
        """End what the application started."""
        self._runner.run(self.service.close())
        self._runner.close()
