"""Options that several commands take, and the store they name."""

import inspect
import keyword
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sweep.option_values import Flag
from sweep.options import OPTIONS, Option

DEFAULT_STORAGE: str = OPTIONS["storage"].default
DEFAULT_LOGDIR: str = OPTIONS["logdir"].default

if TYPE_CHECKING:
    from sweep.store import Store


def described(option: Option, help: str | None = None) -> Any:
    """An option of the table as typer's; `help` is another one than that of `sweep start`."""
    said = [help or option.help, option.typed, "Repeatable." if option.values.many else ""]
    if option.unset is not None and not option.declares:
        said.append(f"[default: {option.unset}]")
    return typer.Option(
        *filter(None, (option.flag, option.short)),
        envvar=option.envvar,
        metavar=option.metavar or None,
        help=" ".join(filter(None, said)),
        show_default=option.default is not None and not isinstance(option.values, Flag) and not option.values.many,
    )


def typed(option: Option) -> tuple[Any, Any]:
    """An option's annotation for typer, and its default. Every value is a text, which the table reads."""
    about = described(option)
    if isinstance(option.values, Flag):
        return Annotated[bool, about], False
    if option.values.many:
        return Annotated[list[str], about], []
    return Annotated[str | None, about], None if option.default is None else option.values.texts(option.default)[0]


def parameter(flag: str) -> str:
    """The Python name of an option's parameter."""
    name = flag.removeprefix("--").replace("-", "_")
    return f"{name}_" if keyword.iskeyword(name) else name


def parameters(chosen: Iterable[Option]) -> list[inspect.Parameter]:
    """Options of the table as parameters by name of a command, which typer reads."""
    found = []
    for each in chosen:
        kind, default = typed(each)
        place = inspect.Parameter.KEYWORD_ONLY
        found.append(inspect.Parameter(parameter(each.flag), place, default=default, annotation=kind))
    return found


def given(context: typer.Context, values: Mapping[str, Any], chosen: Iterable[Option]) -> dict[str, Any]:
    """What the command line and the environment give of some options, by flag."""
    names = {each.flag: parameter(each.flag) for each in chosen}
    return {flag: values[name] for flag, name in names.items() if source(context, name) != "DEFAULT"}


def source(context: typer.Context, name: str) -> str:
    """Where a parameter's value is from: `COMMANDLINE`, `ENVIRONMENT` or `DEFAULT`."""
    found = context.get_parameter_source(name)
    return found.name if found is not None else "DEFAULT"


Storage = Annotated[str, described(OPTIONS["storage"])]
Logdir = Annotated[str, described(OPTIONS["logdir"])]
Names = Annotated[bool, described(OPTIONS["names"])]
LogFormat = Annotated[str, described(OPTIONS["log_format"])]
Server = Annotated[
    str | None,
    described(
        OPTIONS["server"], "Ask a service (sweep serve) instead of a database; its token is read from SWEEP_TOKEN."
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
NONE_MATCHED = 1
"""The exit status of a command with --fail-if-none, if no run matches."""
FailIfNone = Annotated[bool, typer.Option("--fail-if-none", help=f"Exit with status {NONE_MATCHED} if no run matches.")]
RunWords = Annotated[
    list[str],
    typer.Argument(metavar="[STUDY] RUN", help="The run: 17, t0017 or its full name.", show_default=False),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would be removed.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON (NaN and infinity are null).")]


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
