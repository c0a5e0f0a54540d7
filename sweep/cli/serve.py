"""`sweep serve`: the service, its token and its socket."""

import errno
import ipaddress
import os
import secrets
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from sweep.cli import options
from sweep.cli.json_log import log_as_json
from sweep.cli.output import print_whole, say
from sweep.control.tensorboard import free_ports
from sweep.errors import SweepError
from sweep.options import OPTIONS

DEFAULT_PORT = 8080
STUDIES = "studies"
"""The folder of study files, where nobody names one."""
SHORTEST_TOKEN = 16
_BACKLOG = 512
_UNREAD_MILLISECONDS = 60_000
"""How long a client may leave unread what it was sent (Linux)."""


def serve(
    host: Annotated[str, typer.Option(metavar="HOST", help="The address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, metavar="PORT", help="The port.")] = DEFAULT_PORT,
    studies: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            show_default=False,
            help=f"The folder of study files that may be started. [default: {STUDIES}, if there is such a folder]",
        ),
    ] = None,
    no_studies: Annotated[bool, typer.Option("--no-studies", help="Let nobody start a study file.")] = False,
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
    keep running when the service ends. Ctrl-C ends it.

    \b
    Example: sweep serve
             sweep serve --host 0.0.0.0 --studies experiments     makes a token and prints it
    """
    if OPTIONS["log_format"].read(log_format) == "json":
        log_as_json()
    run_service(Address(host, port, allow_host or []), storage, logdir, study_folder(studies, no_studies), token)


def study_folder(named: str | None, none: bool) -> Path | None:
    """The absolute path of the folder whose study files may be started; None if no study file may be.

    Args:
        named: the folder that was asked for; None takes `studies`, if there is such a folder.
        none: that no study file may be started.

    Raises:
        SweepError: the one that was named is not there, or was named and refused.
    """
    if named is None:
        return Path(STUDIES).absolute() if Path(STUDIES).is_dir() and not none else None
    if none:
        raise SweepError("--studies and --no-studies contradict each other.")
    if not Path(named).is_dir():
        raise SweepError(f"No such folder of study files: {named}.", "Choose another with --studies.")
    return Path(named).absolute()


@dataclass(frozen=True)
class Address:
    """Where the service listens, and further names under which it may be asked."""

    host: str
    port: int
    names: Sequence[str] = ()

    @property
    def is_loopback(self) -> bool:
        """Whether this machine alone can reach it."""
        with suppress(ValueError):
            return ipaddress.ip_address(self.host).is_loopback
        return self.host == "localhost"

    def hosts(self) -> frozenset[str]:
        """The names and addresses that a request may name."""
        from sweep.serve.settings import LOOPBACK

        known = {*LOOPBACK, self.host.lower(), *(name.lower() for name in self.names)}
        with suppress(ValueError):
            if ipaddress.ip_address(self.host).is_unspecified:
                known |= {socket.gethostname().lower(), *_own_addresses()}
        return frozenset(known)

    def url(self) -> str:
        """The address to open in a browser here."""
        with suppress(ValueError):
            address = ipaddress.ip_address(self.host)
            if address.is_unspecified:
                return f"http://{socket.gethostname()}:{self.port}/"
            if address.version == 6:
                return f"http://[{self.host}]:{self.port}/"
        return f"http://{self.host}:{self.port}/"


def _own_addresses() -> set[str]:
    import psutil

    return {
        address.address.partition("%")[0].lower()
        for addresses in psutil.net_if_addrs().values()
        for address in addresses
        if address.family in (socket.AF_INET, socket.AF_INET6)
    }


def run_service(address: Address, storage: str, logdir: str, studies: Path | None, token: str | None) -> None:
    """Run the service until Ctrl-C.

    Raises:
        SweepError: the port is taken, the token is too short, or the database cannot be opened.
    """
    from sweep.serve.app import create_app
    from sweep.serve.connections import Server
    from sweep.serve.settings import ServeSettings

    shown = token or (None if address.is_loopback else secrets.token_urlsafe(32))
    if shown is not None and (len(shown) < SHORTEST_TOKEN or not shown.isascii() or not shown.isprintable()):
        raise SweepError(
            f"The token must have at least {SHORTEST_TOKEN} characters, all of them printable ASCII.",
            "Leave it out to have one made, or run: python -c 'import secrets; print(secrets.token_urlsafe(32))'",
        )
    settings = ServeSettings(storage, Path(logdir).absolute(), studies, shown, address.hosts())
    with listen(address) as listening:
        server = Server(create_app(settings), leave=_leave)
        print_whole(f"sweep is at {address.url()}")
        if shown is not None and token is None:
            print_whole(f"the token, which is not shown again: {shown}")
        sys.stdout.flush()
        say("Press Ctrl-C to stop the service; running studies continue.")
        with suppress(KeyboardInterrupt):
            server.run(sockets=[listening])


def _leave() -> None:
    """End the process although a thread of it waits for what does not answer."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def listen(address: Address) -> socket.socket:
    """A socket at the address.

    Raises:
        SweepError: the port is taken, or the address is none of this machine.
    """
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        listening = socket.socket(found[0][0], socket.SOCK_STREAM)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if hasattr(socket, "TCP_USER_TIMEOUT"):  # each connection inherits it
                listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNREAD_MILLISECONDS)
            listening.bind(found[0][4])
            listening.listen(_BACKLOG)
        except OSError:
            listening.close()
            raise
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            free = next(free_ports(address.port + 1), None)
            raise SweepError(
                f"Port {address.port} is in use by another process.",
                f"Use --port {free}." if free is not None else "Use another --port.",
            ) from None
        said = error.strerror or str(error)
        raise SweepError(f"Cannot listen at {address.host}: {said}.", "Use an address of this machine.") from None
    return listening
