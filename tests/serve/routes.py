"""The routes of an application, each with its names filled in."""

import re
from collections.abc import Iterator
from typing import Any

from starlette.routing import Mount

FILLED = {
    "study": "diabetes",
    "run": "3",
    "file": "wine.py",
    "start": "none",
    "name": "diabetes",
    "path": "data/runs",
    "number": "3",
    "kind": "history",
}
NAME = re.compile(r"\{([^}:]+)(?::path)?\}")


def leaves(app: Any) -> Iterator[tuple[str, str, Any]]:
    """The method, the path as it is declared, and the route of everything that an application answers."""
    yield from _leaves(app.routes)


def _leaves(routes: Any) -> Iterator[tuple[str, str, Any]]:
    for route in routes:
        if isinstance(route, Mount):
            yield "GET", f"{route.path}/{{path}}", route
        elif hasattr(route, "original_router"):
            yield from _leaves(route.original_router.routes)
        else:
            yield from ((method, route.path, route) for method in sorted(route.methods))


def filled(path: str, **names: str) -> str:
    """A path with its names in place, unless others are given."""
    return NAME.sub(lambda name: {**FILLED, **names}.get(name[1], "3"), path)
