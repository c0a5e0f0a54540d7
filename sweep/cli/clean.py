"""`sweep clean`: remove files of runs that have ended."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from sweep.cli import options
from sweep.cli.output import confirm, print_whole, remark, say
from sweep.cli.target import Target, find_target
from sweep.commands import command
from sweep.control.disk import KINDS, bytes_of, files, remove
from sweep.control.lease import check_free
from sweep.control.ours import Ours, left_to_others
from sweep.errors import SweepError
from sweep.store import FINISHED, Store
from sweep.words import counted, shown_size


def clean(
    study: options.StudyName = None,
    pattern: options.PatternArgument = None,
    filter: options.PatternOption = None,
    where: options.Where = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND",
            show_default=False,
            help="checkpoints, events or weights. Repeatable. [default: checkpoints and events]",
        ),
    ] = None,
    yes: options.Yes = False,
    dry_run: options.DryRun = False,
    fail_if_none: options.FailIfNone = False,
    storage: options.Storage = options.DEFAULT_STORAGE,
) -> None:
    """Remove files of runs that match.

    Of runs that have ended: their checkpoints and event files, or what --only says. The runs stay in the database, with
    every epoch. The study must not be running.

    \b
    Example: sweep clean diabetes --where "state = 'pruned'" --dry-run
    """
    with options.opened(storage) as store:
        target = find_target(store, study, pattern, filter)
        any_matched = clean_runs(store, target, where, only or ["checkpoints", "events"], yes=yes, dry_run=dry_run)
    if fail_if_none and not any_matched:
        raise typer.Exit(options.NONE_MATCHED)


def clean_runs(
    store: Store, target: Target, where: str | None, kinds: Sequence[str], *, yes: bool, dry_run: bool
) -> bool:
    """Remove files of the runs that match and have ended; returns whether there were any.

    Raises:
        SweepError: there is neither pattern nor condition, a kind is none, the study runs, or nobody can be asked.
    """
    pruned = "state = 'pruned'"
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise SweepError(f"No such kind of file to clean: {', '.join(unknown)}.", f"Choose from {', '.join(KINDS)}.")
    study = target.study
    if target.pattern is None and where is None:
        raise SweepError(
            "Nothing to clean: give a pattern or --where.",
            f"For example: {command('clean', study.name, '--where', pruned, storage=store.place)}",
        )
    if not dry_run:
        check_free(store, study, "clean", say)
    runs = target.select(store, states=FINISHED, where=where).runs
    ours = Ours(store, study)
    every = [(run, files(Path(run.directory), kinds)) for run in runs if run.directory is not None]
    found = {run.name: paths for run, paths in every if paths and ours.has(run)}
    left = left_to_others(run for run, paths in every if paths and not ours.has(run))
    total = sum(bytes_of(paths) for paths in found.values())
    what = " and ".join(kinds)
    if not found:
        say(f"no ended run of {study.name} that matches has {what} to remove{left}")
        return False
    for name, paths in found.items():
        print_whole(f"{shown_size(bytes_of(paths)):>9}  {name}")
    if dry_run:
        remark(f"{what} of {counted(len(found), 'run')} would be removed, {shown_size(total)}{left}")
        return True
    confirm(f"Remove {what} of {counted(len(found), 'run')}, {shown_size(total)}?", yes=yes)
    for paths in found.values():
        try:
            remove(paths)
        except OSError as error:
            raise SweepError(f"Cannot remove {error.filename}: {error.strerror}.") from None
    say(f"{shown_size(total)} are free again; the runs stay in the database{left}")
    return True
