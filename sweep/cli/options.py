"""Options that several commands take, and the store they name."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from sweep.read.commands import DEFAULT_LOGDIR, DEFAULT_STORAGE

if TYPE_CHECKING:
    from sweep.store import Store

Storage = Annotated[
    str,
    typer.Option(
        "--storage",
        envvar="SWEEP_STORAGE",
        metavar="URL",
        help="The database, such as sqlite:///sweep.db or postgresql://user@host/sweep.",
    ),
]
Server = Annotated[
    str | None,
    typer.Option(
        "--server",
        envvar="SWEEP_SERVER",
        metavar="URL",
        show_default=False,
        help="Ask a service (sweep serve) instead of a database; its token is read from SWEEP_TOKEN.",
    ),
]
Logdir = Annotated[
    str,
    typer.Option(
        "--logdir", envvar="SWEEP_LOGDIR", metavar="DIR", help="The log directory; each study has a folder in it."
    ),
]
StudyName = Annotated[
    str | None,
    typer.Argument(metavar="STUDY", help="The study; may be left out where there is only one.", show_default=False),
]
PatternArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="PATTERN",
        help="A regular expression for run names, as TensorBoard's filter takes it.",
        show_default=False,
    ),
]
PatternOption = Annotated[
    str | None, typer.Option("--filter", metavar="PATTERN", help="The same pattern as an option.", show_default=False)
]
Where = Annotated[
    str | None,
    typer.Option(
        "--where",
        metavar="CONDITION",
        show_default=False,
        help="A condition on parameters, metrics, state, family, epoch, duration, ..., such as "
        '"lr < 0.01 and val_mae < 0.6".',
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON (NaN and infinity are null).")]
LogFormat = Annotated[
    str, typer.Option("--log-format", metavar="FORMAT", help="text, or json: an event a line on standard error.")
]
Names = Annotated[bool, typer.Option("--names", help="Show run names instead of parameters.")]

__all__ = [
    "DEFAULT_LOGDIR",
    "DEFAULT_STORAGE",
    "Json",
    "LogFormat",
    "Logdir",
    "Names",
    "PatternArgument",
    "PatternOption",
    "Server",
    "Storage",
    "StudyName",
    "Where",
    "opened",
    "place",
]


def place(storage: str, server: str | None) -> str:
    """Where studies are read: the address of a service, if one is given, else the database's URL.

    Raises:
        StoreError: the server is no address of the web.
    """
    from sweep.store.remote import RemoteStore

    return RemoteStore(server).server if server else storage


@contextmanager
def opened(place: str) -> Iterator["Store"]:
    """The store behind the URL of a database or a service, closed at the end."""
    from sweep.store import Store
    from sweep.store.remote import RemoteStore, is_server

    store = RemoteStore(place) if is_server(place) else Store(place)
    try:
        yield store
    finally:
        store.close()
