"""`sweep db`: upgrade a database, check it, copy studies to another, find a study's folder that was moved."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import sqlalchemy as sa
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from sweep.cli import options
from sweep.cli.output import confirm, console, print_whole, remark, say, show_json
from sweep.commands import command
from sweep.control.consistency import check_database
from sweep.control.copy import check_copy, copy_study
from sweep.control.relocation import missing, plan
from sweep.control.relocation import relocate as move
from sweep.errors import StoreError
from sweep.names import format_number
from sweep.store import Store, StudyRecord, database
from sweep.store.sqlite_file import unwritable
from sweep.store.typed_url import shown
from sweep.view.upgrades import open_upgraded
from sweep.words import counted, listed

app = typer.Typer(help="Upgrade, check, copy or relocate a database.", rich_markup_mode=None, no_args_is_help=True)


@app.command()
def upgrade(storage: options.Storage = options.DEFAULT_STORAGE) -> None:
    """Migrate a database to this version.

    Nothing is lost. Stop running studies first. Studies whose best run changes are listed, with those whose best run
    has lost its weights.

    \b
    Example: sweep db upgrade --storage sqlite:///sweep.db
    """
    upgrade_database(storage)


@app.command()
def check(storage: options.Storage = options.DEFAULT_STORAGE, json: options.Json = False) -> None:
    """See that a database is whole.

    Checks that the file is sound, that Optuna's tables and sweep's agree about every trial (its state, its parameters,
    what it reported and what train returned), and that no epoch is missing. The exit status is 1 if something is wrong.
    Runs whose directory is missing are listed too.

    \b
    Example: sweep db check --storage postgresql://user@host/sweep
    """
    if not check_all(storage, as_json=json):
        raise typer.Exit(1)


@app.command()
def copy(
    source: Annotated[str, typer.Argument(metavar="FROM", help="The database with the studies.", show_default=False)],
    target: Annotated[
        str, typer.Argument(metavar="TO", help="The database they are copied to; made if need be.", show_default=False)
    ],
    studies: Annotated[
        list[str] | None,
        typer.Option("--study", metavar="STUDY", help="Copy this one. Repeatable. [default: all]", show_default=False),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be copied.")] = False,
) -> None:
    """Copy studies from one database to another, exactly.

    Trials, values, attributes, runs and every epoch, as from SQLite to PostgreSQL. The log directory stays where it is,
    and both databases name it; so do the studies in FROM. To move a study, remove it there afterwards, with sweep rm
    STUDY --keep-files.

    \b
    Example: sweep db copy sqlite:///sweep.db postgresql://user@host/sweep
    """
    copy_studies(source, target, studies or [], dry_run=dry_run)


@app.command()
def relocate(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="The study.", show_default=False)],
    directory: Annotated[
        str,
        typer.Argument(
            metavar="NEWDIR", help="The log directory that its folder is in now, or that folder.", show_default=False
        ),
    ],
    yes: options.Yes = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False,
    storage: options.Storage = options.DEFAULT_STORAGE,
) -> None:
    """Find a study's runs where its folder was moved.

    A database and a log directory that are moved or copied together need nothing. This is for a log directory that was
    moved alone. Files are neither moved nor changed.

    \b
    Example: sweep db relocate diabetes /mnt/archive/runs --dry-run
    """
    with options.opened(storage) as store:
        relocate_study(store, store.study(study), directory, yes=yes, dry_run=dry_run)


def relocate_study(store: Store, study: StudyRecord, directory: str, *, yes: bool, dry_run: bool) -> None:
    """Show what a new place of a study's folder changes, and change it.

    Raises:
        SweepError: there is no such folder, the study is running, or nobody can be asked.
    """
    found = plan(store, study, Path(directory))
    print_whole(f"{study.name}: {study.directory} -> {found.folder}")
    if found.file is not None:
        print_whole(f"study file: {study.declaration.file} -> {found.file}")
    print_whole(f"{counted(len(found.found), 'run')} there")
    if found.lost:
        numbers = listed([format_number(run.number) for run in found.lost], 10)
        print_whole(f"{counted(len(found.lost), 'run')} without a directory there: {numbers}", "yellow")
    if found.elsewhere:
        print_whole(f"{counted(len(found.elsewhere), 'run')} in other folders, left as they are")
    if str(found.folder) == study.directory and found.file is None:
        remark("Nothing to change.")
        return
    if dry_run:
        remark("The database would be changed; no file is moved.")
        return
    confirm(f"Look for {study.name} in {found.folder} from now on?", yes=yes)
    move(store, found, say)
    say(f"{study.name} is in {found.folder}")


def upgrade_database(storage: str) -> None:
    """Migrate a database that is there, and print what that changes for its studies.

    Raises:
        StoreError: there is no database, or it is not ours.
    """
    url = database.parse_url(storage)
    if url.get_backend_name() == "sqlite" and not Path(str(url.database)).exists():
        raise StoreError(f"No database at {url.database}, so there is nothing to upgrade.", "Name it with --storage.")
    if url.get_backend_name() == "sqlite" and (reason := unwritable(Path(str(url.database)))) is not None:
        raise StoreError(reason, "Copy it to where you can write, and migrate the copy.")
    _check_ours(url)
    store, changes = open_upgraded(storage)
    store.close()
    say(f"{shown(url)} has the schema of this version, {database.HEAD}")
    for line in changes:
        print_whole(line, "yellow")


def _check_ours(url: sa.URL) -> None:
    """Refuse a database without our tables, to which an upgrade would add them."""
    with database.refusals(url):
        engine = sa.create_engine(url)
        ours = sa.inspect(engine).has_table(database.VERSION_TABLE)
        engine.dispose()
    if not ours:
        raise StoreError(f"The database at {shown(url)} has none of sweep's tables.", "Choose another with --storage.")


def check_all(storage: str, *, as_json: bool) -> bool:
    """Print what is wrong with a database; whether nothing is."""
    store = Store(storage)
    try:
        wrong = check_database(store)
        studies = store.studies()
        gone = [line for study in studies for line in missing(store, study)]
    finally:
        store.close()
    names = [study.name for study in studies]
    if as_json:
        show_json({"studies": names, "wrong": wrong, "missing": gone})
    else:
        for line in wrong:
            print_whole(line, "red")
        for line in gone:
            print_whole(line, "yellow")
        print_whole(
            f"{counted(len(names), 'study')}, {'nothing' if not wrong else len(wrong)} wrong", "" if wrong else "green"
        )
    return not wrong


def copy_studies(source: str, target: str, names: Sequence[str], *, dry_run: bool) -> None:
    """Copy studies, all of them if none is named, each whole or not at all; a dry run refuses what a real one does.

    Raises:
        StoreError: one does not exist, or is in the target already; none is copied.
        StudyError: one is running.
    """
    if database.parse_url(source) == database.parse_url(target):
        raise StoreError(f"Cannot copy {source} to itself.", "Name another database to copy to.")
    there = Store(source)
    try:
        chosen = [there.study(name) for name in dict.fromkeys(names)] if names else there.studies()
        taken = database.names_in(database.parse_url(target))
        for study in chosen:
            check_copy(there, study, taken, say)
        if dry_run:
            for study in chosen:
                print_whole(f"{study.name}: {_runs(there, study)} would be copied")
            return
        here = Store(target, create=True)
        try:
            for study in chosen:
                _copy(there, study, here)
        finally:
            here.close()
    finally:
        there.close()


def _copy(there: Store, study: StudyRecord, here: Store) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("epochs' values"))
    with Progress(*columns, console=console(), transient=True) as progress:
        task = progress.add_task(study.name, total=None)
        noted = copy_study(there, study, here, lambda rows: progress.advance(task, rows))
    say(f"{study.name} is copied: {_runs(there, study)}")
    if not noted:
        say(
            f"both name {study.directory}, where nothing can be written to note it: its files go with the study in "
            f"{there.place}, if that is removed"
        )
    elif Path(study.directory).is_dir():
        moved = command("rm", study.name, "--keep-files", storage=there.place)
        say(f"both name {study.directory}, so go on with one of them only; to keep the copy alone: {moved}")


def _runs(store: Store, study: StudyRecord) -> str:
    return counted(sum(store.counts(study.study_id, added=True).values()), "run")
