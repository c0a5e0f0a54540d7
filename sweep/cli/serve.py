"""`sweep serve`: the service."""

from typing import Annotated

import typer

from sweep.cli import options

DEFAULT_PORT = 8080


def serve(
    host: Annotated[str, typer.Option(metavar="HOST", help="The address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, metavar="PORT", help="The port.")] = DEFAULT_PORT,
    studies: Annotated[
        str | None,
        typer.Option(
            metavar="DIR", show_default=False, help="The folder of study files that may be started; none by default."
        ),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="SWEEP_TOKEN",
            metavar="TOKEN",
            show_default=False,
            help="What clients must show; better given as SWEEP_TOKEN, since the process list shows options. "
            "One is made where HOST is not this machine alone.",
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            show_default=False,
            help="A further name under which the service may be asked, such as that of a proxy. Repeatable.",
        ),
    ] = None,
    storage: options.Storage = options.DEFAULT_STORAGE,
    logdir: options.Logdir = options.DEFAULT_LOGDIR,
    log_format: options.LogFormat = "text",
) -> None:
    """Show every study in a browser and over HTTP.

    One page for all studies of a database: start them, watch them, filter, prune, compare, and see TensorBoard. Studies
    go on when the service ends. Ctrl-C ends it.

    \b
    Example: sweep serve --studies studies
             sweep serve --host 0.0.0.0 --studies studies     makes a token and prints it
    """
    from sweep.cli.json_log import log_as_json
    from sweep.cli.serving import Address, run_service
    from sweep.options import OPTIONS

    if OPTIONS["log_format"].read(log_format) == "json":
        log_as_json()
    run_service(Address(host, port, allow_host or []), storage, logdir, studies, token)
