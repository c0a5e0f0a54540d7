"""`sweep tensorboard`: TensorBoard on a study's runs, and links with the filter already set."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from sweep.cli import options
from sweep.cli.output import print_whole, say
from sweep.cli.target import find_target
from sweep.control.tensorboard import TensorBoard, run_names
from sweep.errors import SweepError
from sweep.store import Store
from sweep.view.filters import compile_filter
from sweep.view.tensorboard import SELECTS_ALL, for_case_sensitive_tabs, links, pins
from sweep.words import counted

DEFAULT_PORT = 6006
"""The port that TensorBoard usually listens on."""


def tensorboard(
    study: options.StudyName = None,
    pattern: options.PatternArgument = None,
    filter: options.PatternOption = None,
    port: Annotated[
        int, typer.Option(min=1, max=65535, metavar="PORT", help="The port, or the next free one.")
    ] = DEFAULT_PORT,
    logdir: Annotated[
        str | None,
        typer.Option(
            "--logdir",
            metavar="DIR",
            show_default=False,
            help="The log directory, if it is not where the database says; without a study DIR itself is shown.",
        ),
    ] = None,
    storage: options.Storage = options.DEFAULT_STORAGE,
    server: options.Server = None,
) -> None:
    """Start TensorBoard, its filter set.

    It shows the study's log directory on localhost. The links lead to the runs that match, and are printed once the
    runs are loaded. Ctrl-C ends it. With --server the links lead to the TensorBoard of the service.

    \b
    Example: sweep tensorboard diabetes '^dnn'
    """
    if server is not None:
        with options.opened(server) as store:
            show_served(store, server, study, pattern, filter)
        return
    run_board(find_board(study, pattern, filter, logdir, storage), port)


@dataclass(frozen=True)
class Board:
    """What TensorBoard is to show: a log directory, a pattern for its runs, the objectives of a known study."""

    directory: Path
    pattern: str | None
    objectives: Sequence[str] = ()


def find_board(first: str | None, second: str | None, option: str | None, logdir: str | None, storage: str) -> Board:
    """The log directory and the pattern that a command line means.

    With `logdir` the database is not looked at, so that a log directory that came from elsewhere can be shown.

    Raises:
        SweepError: two patterns were given, or the database has no such study.
        FilterError: the pattern is no regular expression.
    """
    if logdir is None:
        with options.opened(storage) as store:
            target = find_target(store, first, second, option)
        board = Board(Path(target.study.directory), target.pattern, target.study.declaration.objective)
    else:
        board = _in_directory(Path(logdir), first, second, option)
    if board.pattern is not None:
        compile_filter(board.pattern)
    return board


def _in_directory(logdir: Path, first: str | None, second: str | None, option: str | None) -> Board:
    if second is not None and option is not None:
        raise SweepError(f"Two patterns given: {second!r} and --filter {option!r}.", "Give only one.")
    if first is None:
        return Board(logdir, option)
    if second is None and option is None and not (logdir / first).is_dir():
        return Board(logdir, first)
    return Board(logdir / first, second if second is not None else option)


def run_board(board: Board, port: int) -> None:
    """Start TensorBoard, print its links once it has loaded the runs, and stay until Ctrl-C."""
    say(f"TensorBoard on {board.directory} ...")
    with TensorBoard(board.directory.absolute(), port) as running:
        try:
            running.wait()
            if running.port != port:
                say(f"port {port} is taken, so it is on {running.port}")
            _print_links(board, running)
            sys.stdout.flush()
            status = running.join()
        except KeyboardInterrupt:
            say("TensorBoard ended")
            return
    raise SweepError(f"TensorBoard ended by itself, with exit status {status}.")


def show_served(store: Store, server: str, first: str | None, second: str | None, option: str | None) -> None:
    """Print the links to the TensorBoard that a service has on a study.

    Raises:
        SweepError: there is no such study, or the pattern is no regular expression.
    """
    target = find_target(store, first, second, option)
    compile_filter(target.pattern or "")
    names = sorted(run.name for run in store.runs(target.study.study_id) if run.name is not None)
    board = Board(Path(target.study.directory), target.pattern, target.study.declaration.objective)
    _print_board(board, f"{server.rstrip('/')}/tensorboard/{target.study.name}/", names)


def _print_links(board: Board, running: TensorBoard) -> None:
    names = sorted(run_names(board.directory))
    _print_board(board, running.url, names)
    say(f"{_remarks(board, names)}; Ctrl-C ends it")


def _print_board(board: Board, url: str, names: Sequence[str]) -> None:
    sensitive = None if board.pattern is None else for_case_sensitive_tabs(board.pattern, names)
    found = links(url, board.pattern, sensitive=sensitive, pins=pins(board.objectives))
    rows = [
        ("Time Series", found.time_series),
        ("Scalars", found.scalars),
        ("Histograms", found.histograms),
        ("HParams", found.hparams),
    ]
    for label, link in rows:
        print_whole(f"{label:<12} {link}")


def _remarks(board: Board, names: Sequence[str]) -> str:
    count = len(names) if board.pattern is None else len(compile_filter(board.pattern).filter(names))
    runs = "no run yet" if not names else f"{count} of {counted(len(names), 'run')}"
    many = f"; above {SELECTS_ALL} runs TensorBoard ticks none by itself" if len(names) > SELECTS_ALL else ""
    return f"{runs}{'' if board.pattern is None else f' match {board.pattern!r}'}{many}"
