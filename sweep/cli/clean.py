"""Commands that make room: rm, clean."""

from typing import Annotated

import typer

from sweep.cli import options

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would be removed.")]


def rm(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="The study.", show_default=False)],
    keep_files: Annotated[
        bool, typer.Option("--keep-files", help="Remove it from the database alone; its folder stays.")
    ] = False,
    yes: Yes = False,
    dry_run: DryRun = False,
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
    from sweep.cli.cleaning import remove_one

    with options.opened(options.place(storage, server)) as store:
        remove_one(store, study, logdir, keep_files=keep_files, yes=yes, dry_run=dry_run)


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
    yes: Yes = False,
    dry_run: DryRun = False,
    storage: options.Storage = options.DEFAULT_STORAGE,
) -> None:
    """Remove files of runs that match.

    Of runs that have ended: their checkpoints and event files, or what --only says. The runs stay in the database, with
    every epoch.

    \b
    Example: sweep clean diabetes --where "state = 'pruned'" --dry-run
    """
    from sweep.cli.cleaning import clean_runs
    from sweep.cli.target import find_target

    with options.opened(storage) as store:
        target = find_target(store, study, pattern, filter)
        clean_runs(store, target, where, only or ["checkpoints", "events"], yes=yes, dry_run=dry_run)
