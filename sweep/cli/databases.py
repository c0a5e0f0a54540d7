"""What `sweep db` does: databases migrated, checked, and copied."""

from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from sweep.cli.output import console, print_whole, say, show_json
from sweep.control.checking import check_database
from sweep.control.copying import check_copy, copy_study
from sweep.errors import StoreError
from sweep.read.commands import command
from sweep.read.upgrades import open_upgraded
from sweep.store import Store, StudyRecord, database
from sweep.words import counted


def upgrade_database(storage: str) -> None:
    """Migrate a database that is there, and print what that changes for its studies.

    Raises:
        StoreError: there is no database, or it is not ours.
    """
    url = database.parse_url(storage)
    if url.get_backend_name() == "sqlite" and not Path(str(url.database)).exists():
        raise StoreError(f"No database at {url.database}, so there is nothing to upgrade.", "Name it with --storage.")
    _check_ours(url)
    store, changes = open_upgraded(storage)
    store.close()
    say(f"{url.render_as_string(hide_password=True)} has the schema of this version, {database.HEAD}")
    for line in changes:
        print_whole(line, "yellow")


def _check_ours(url: sa.URL) -> None:
    """Refuse a database without our tables, to which an upgrade would add them."""
    with database.refusals(url):
        engine = sa.create_engine(url)
        ours = sa.inspect(engine).has_table(database.VERSION_TABLE)
        engine.dispose()
    if not ours:
        shown = url.render_as_string(hide_password=True)
        raise StoreError(f"The database at {shown} has none of sweep's tables.", "Choose another with --storage.")


def check_all(storage: str, *, as_json: bool) -> bool:
    """Print what is wrong with a database; whether nothing is."""
    store = Store(storage)
    try:
        wrong = check_database(store)
        names = [study.name for study in store.studies()]
    finally:
        store.close()
    if as_json:
        show_json({"studies": names, "wrong": wrong})
    else:
        for line in wrong:
            print_whole(line, "red")
        print_whole(
            f"{counted(len(names), 'study')}, {'nothing' if not wrong else len(wrong)} wrong", "" if wrong else "green"
        )
    return not wrong


def copy_studies(source: str, target: str, names: Sequence[str], *, dry_run: bool) -> None:
    """Copy studies, all of them if none is named, each whole or not at all; a dry run refuses what a real one does.

    Raises:
        StoreError: one is not there, runs, or stands in the target already; none is copied.
    """
    if database.parse_url(source) == database.parse_url(target):
        raise StoreError(f"Cannot copy {source} to itself.", "Name another database to copy to.")
    there = Store(source)
    try:
        chosen = [there.study(name) for name in dict.fromkeys(names)] if names else there.studies()
        taken = database.names_in(database.parse_url(target))
        for study in chosen:
            check_copy(there, study, taken)
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
        copy_study(there, study, here, lambda rows: progress.advance(task, rows))
    say(f"{study.name} is copied: {_runs(there, study)}")
    if Path(study.directory).is_dir():
        source = there.url.render_as_string(hide_password=True)
        moved = command("rm", study.name, "--keep-files", storage=source)
        say(f"both name {study.directory}, so go on with one of them only; to keep the copy alone: {moved}")


def _runs(store: Store, study: StudyRecord) -> str:
    return counted(sum(store.counts(study.study_id, added=True).values()), "run")
