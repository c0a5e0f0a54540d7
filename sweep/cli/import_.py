"""`sweep import`: take over a plain study of Optuna's, or a log directory that others wrote for TensorBoard."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import sqlalchemy as sa
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from sweep.cli import options
from sweep.cli.output import confirm, console, on_terminal, print_whole, remark, remarks, say, show_json
from sweep.commands import command
from sweep.control.foreign_runs import foreign_runs
from sweep.control.imports import Import
from sweep.control.optuna_study import read_study
from sweep.errors import StudyError, SweepError
from sweep.store import Store, database
from sweep.tensorboard.log_directory import read_log_directory
from sweep.words import counted, listed

SHOWN = 3  # run names that are shown


def import_(
    url: Annotated[
        str | None,
        typer.Argument(metavar="[URL]", help="The database with the Optuna study.", show_default=False),
    ] = None,
    study: Annotated[
        str | None, typer.Argument(metavar="[STUDY]", help="The study's name.", show_default=False)
    ] = None,
    tensorboard: Annotated[
        str | None,
        typer.Option(
            "--tensorboard",
            metavar="DIR",
            help="Import the runs of this log directory, which have hyperparameters for HParams.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Another name for the study here.", show_default=False)
    ] = None,
    objective: Annotated[
        list[str] | None,
        typer.Option(
            "--objective",
            metavar="METRIC",
            show_default=False,
            help="What the trials optimise: the name of an Optuna study's value, once for each; with --tensorboard "
            "the metric whose last value counts.",
        ),
    ] = None,
    direction: Annotated[
        str | None,
        typer.Option(
            "--direction", metavar="DIRECTION", help="With --tensorboard: minimize or maximize.", show_default=False
        ),
    ] = None,
    events: Annotated[
        bool, typer.Option("--events", help="Write event files for TensorBoard, with HParams, named after the runs.")
    ] = False,
    yes: options.Yes = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be imported.")] = False,
    json: options.Json = False,
    storage: options.Storage = options.DEFAULT_STORAGE,
    logdir: options.Logdir = options.DEFAULT_LOGDIR,
) -> None:
    """Import a study of Optuna, or TensorBoard runs.

    A study of Optuna's keeps its trials, with their numbers, states, values, intermediate values and attributes, and
    gets run names. It is copied from another database; if it is in this one, it stays in place. With --tensorboard,
    each run with hyperparameters becomes a trial of a finished study called STUDY, by default as DIR, and its event
    files stay where they are.

    \b
    Example: sweep import sqlite:///optuna.db boston --events
             sweep import --tensorboard logs/hparam_tuning --objective accuracy --direction maximize
    """
    if tensorboard is not None:
        if study is not None:
            raise SweepError(
                f"Too many arguments: {url} {study}.", "With --tensorboard DIR, give only the study's name."
            )
        found = _of_directory(Path(tensorboard), name or url, objective or [], direction)
    else:
        if direction is not None:
            raise SweepError("--direction applies only with --tensorboard; a study of Optuna's has its own.")
        found = _of_database(url, study, name, objective or [], storage)
    carry_out(found, storage, logdir, events=events, yes=yes, dry_run=dry_run, as_json=json)


def _of_directory(root: Path, name: str | None, objective: Sequence[str], direction: str | None) -> Import:
    if not root.is_dir():
        raise StudyError(f"No such log directory: {root}.")
    if len(objective) > 1:
        raise StudyError("Runs of TensorBoard have one objective.", "Pass --objective once.")
    if direction is not None and direction not in ("minimize", "maximize"):
        raise StudyError(f"A direction must be minimize or maximize, not {direction}.")
    with _progress("event files") as done:
        try:
            found = read_log_directory(root, done)
        except OSError as error:
            raise StudyError(f"Cannot read {error.filename}: {error.strerror}.") from None
    made = Import(
        name or root.resolve().name, foreign_runs(root, found, objective[0] if objective else None, direction)
    )
    if found.others:
        shown = listed([str(path.relative_to(root)) for path in found.others])
        say(f"{counted(len(found.others), 'directory')} without hyperparameters left out: {shown}")
    return made


def _of_database(
    url: str | None, study: str | None, name: str | None, objective: Sequence[str], storage: str
) -> Import:
    if url is None or study is None:
        raise SweepError(
            "Give the database and the name of the study in it, or --tensorboard DIR.",
            "For example: sweep import sqlite:///optuna.db boston",
        )
    source, target = database.parse_url(url), database.parse_url(storage)
    in_place = _same(source, target)
    if in_place and name not in (None, study):
        raise StudyError(
            f"Study {study} is in this database already, where it cannot get another name.",
            "Leave --name out, or import it into another database with --storage.",
        )
    return Import(name or study, read_study(source, study, objective, in_place=in_place))


def _same(one: sa.URL, other: sa.URL) -> bool:
    """Whether two URLs mean one database."""
    if one.get_backend_name() == other.get_backend_name() == "sqlite":
        return Path(str(one.database)).resolve() == Path(str(other.database)).resolve()
    return one == other


def carry_out(
    found: Import, storage: str, logdir: str, *, events: bool, yes: bool, dry_run: bool, as_json: bool
) -> None:
    """Show what would be imported, and import it.

    Raises:
        SweepError: the database has a study of that name, a folder cannot be written, or nobody can be asked.
    """
    taken = database.names_in(database.parse_url(storage))
    if found.foreign.study_id is None and found.name in taken:
        raise StudyError(f"The database already has a study {found.name}.", "Give this one another name with --name.")
    if not as_json:
        print_whole(found.summary())
        for run in found.runs[:SHOWN]:
            print_whole(f"  {run.name or f't{run.number:04}, whose parameters no run name can hold'}")
    if dry_run:
        if as_json:
            show_json(_object(found, imported=False))
        else:
            remarks([_left(found), "Nothing was imported."])
        return
    if found.foreign.study_id is not None:
        confirm(f"Have {found.name} be a study of sweep's, in place?", yes=yes)
    if events:
        with _progress("event files", len(found.runs)) as done:
            found.write_events(Path(logdir), done)
    try:
        _write(found, storage, logdir)
    except BaseException:
        found.withdraw_events()
        raise
    if as_json:
        show_json(_object(found, imported=True))
        return
    if (left := _left(found)) is not None:
        remark(left)
    say(f"{found.name} is imported; look at it with: {command('runs', found.name, storage=storage)}")


def _write(found: Import, storage: str, logdir: str) -> None:
    store = Store(storage, create=True)
    try:
        with _progress("trials", len(found.foreign.trials)) as done:
            found.write(store, Path(logdir), done)
    finally:
        store.close()


def _left(found: Import) -> str | None:
    """What is said of trials that have no run yet."""
    if not found.unfinished:
        return None
    states = ", ".join(f"{count} {state}" for state, count in sorted(found.unfinished.items()))
    return f"{states}: kept as trials, without a run until they end"


def _object(found: Import, *, imported: bool) -> dict[str, object]:
    return {
        "study": found.name,
        "imported": imported,
        "source": found.foreign.source,
        "objective": [goal.name for goal in found.foreign.objectives],
        "direction": [goal.direction for goal in found.foreign.objectives],
        "counts": found.counts,
        "unfinished": dict(found.unfinished),
        "names": [run.name for run in found.runs],
        "directory": str(found.folder) if found.folder is not None else None,
    }


@contextmanager
def _progress(things: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """A bar for as long as the context lasts, on a terminal; what it gives takes how many more things are done."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(things))
    with Progress(*columns, console=console(), transient=True, disable=not on_terminal()) as progress:
        task = progress.add_task("", total=total)
        yield lambda more: progress.advance(task, more)
