"""`sweep rm`: remove a study."""

from pathlib import Path
from typing import Annotated

import typer

from sweep.cli import options
from sweep.cli.output import confirm, print_whole, remark, say
from sweep.cli.target import named_study
from sweep.control.disk import size
from sweep.control.removal import folder_to_remove, remove_study
from sweep.errors import SweepError
from sweep.store import Store, StudyRecord
from sweep.store.remote import RemoteStore
from sweep.view.cells import shown_size
from sweep.words import counted


def rm(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="The study.", show_default=False)],
    keep_files: Annotated[
        bool, typer.Option("--keep-files", help="Remove it from the database alone; its folder stays.")
    ] = False,
    yes: options.Yes = False,
    dry_run: options.DryRun = False,
    storage: options.Storage = options.DEFAULT_STORAGE,
    logdir: options.Logdir = options.DEFAULT_LOGDIR,
    server: options.Server = None,
) -> None:
    """Remove a study.

    Its trials go from the database, and its folder from the log directory. It must not be running. Where another
    database has the study too, as after sweep db copy, the folder is that one's as well, and --keep-files leaves it.

    \b
    Example: sweep rm diabetes --dry-run
    """
    with options.opened(options.place(storage, server)) as store:
        remove_one(store, study, logdir, keep_files=keep_files, yes=yes, dry_run=dry_run)


def remove_one(store: Store, name: str, logdir: str, *, keep_files: bool, yes: bool, dry_run: bool) -> None:
    """Remove a study with all its runs; `keep_files`: from the database alone.

    Raises:
        SweepError: it runs, another database has its folder too, or nobody can be asked.
    """
    study = named_study(store, name)
    if isinstance(store, RemoteStore):
        _remove_there(store, study, keep_files=keep_files, yes=yes, dry_run=dry_run)
        return
    runs = counted(sum(store.counts(study.study_id, added=True).values()), "run")
    print_whole(f"{study.name}: {runs}, {shown_size(size(Path(study.directory)))} in {study.directory}")
    folder = None if keep_files else folder_to_remove(store, study, Path(logdir))
    where = "the database and the disk" if folder is not None else "the database alone"
    if dry_run:
        remark(f"would be removed, from {where}")
        return
    confirm(f"Remove {study.name} with its {runs}, from {where}, for good?", yes=yes)
    if remove_study(store, study, Path(logdir), keep_files=keep_files, notice=say) is not None:
        say(f"{study.name} is removed")
    elif keep_files:
        say(f"{study.name} is removed; {study.directory} was left")
    else:
        say(f"{study.name} is removed; {study.directory} is not in {logdir}, and was left")


def _remove_there(store: RemoteStore, study: StudyRecord, *, keep_files: bool, yes: bool, dry_run: bool) -> None:
    """Have a service remove a study, with its folder if that is in the service's log directory."""
    if keep_files:
        raise SweepError(f"--keep-files does not work at a service, {store.server}.", "Use it with --storage.")
    runs = counted(sum(store.counts(study.study_id, added=True).values()), "run")
    print_whole(f"{study.name}: {runs}, at {store.server} in {study.directory}")
    if dry_run:
        remark("would be removed, from the database and the disk there")
        return
    confirm(f"Remove {study.name} with its {runs}, for good?", yes=yes)
    left = "" if store.remove_study(study.name) else f"; {study.directory} is not in its log directory, and was left"
    say(f"{study.name} is removed{left}")
