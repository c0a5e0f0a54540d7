"""`sweep prune`: end running trials early."""

from typing import Annotated

import typer

from sweep.cli import options
from sweep.cli.output import confirm, remark, say, show_grid
from sweep.cli.tables import runs_grid
from sweep.cli.target import BY_HAND, Target, check_running, find_target
from sweep.commands import command
from sweep.errors import SweepError
from sweep.store import Store
from sweep.words import counted


def prune(
    study: options.StudyName = None,
    pattern: options.PatternArgument = None,
    filter: options.PatternOption = None,
    where: options.Where = None,
    yes: options.Yes = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show which running trials match.")] = False,
    names: options.Names = False,
    fail_if_none: options.FailIfNone = False,
    storage: options.Storage = options.DEFAULT_STORAGE,
    server: options.Server = None,
) -> None:
    """Prune the running and paused trials that match.

    A running one ends after its current epoch. Each has the reason "by hand", and keeps its best value.

    \b
    Example: sweep prune diabetes '^mlp-.*-lr=0\\.00'
             sweep prune diabetes --where "epoch >= 10 and val_loss > 60"
    """
    with options.opened(options.place(storage, server)) as store:
        target = find_target(store, study, pattern, filter)
        any_matched = prune_runs(store, target, where, yes=yes, dry_run=dry_run, names=names)
    if fail_if_none and not any_matched:
        raise typer.Exit(options.NONE_MATCHED)


def prune_runs(
    store: Store, target: Target, where: str | None, *, yes: bool, dry_run: bool, names: bool = False
) -> bool:
    """Show which running trials match, and prune them after a confirmation; returns whether any matched.

    Args:
        where: a condition that they must fulfil, if there is one.

    Raises:
        SweepError: there is neither pattern nor condition, the study is not running, or nobody can be asked.
    """
    study = target.study
    if target.pattern is None and where is None:
        raise SweepError(
            "Nothing to prune: give a pattern or --where.",
            f"For example: {command('prune', study.name, '^mlp', storage=store.place)}, or '.' for every run",
        )
    runs = target.select(store, states=frozenset({"RUNNING", "PAUSED"}), where=where).runs
    if not runs:
        wanted = " and ".join(repr(text) for text in (target.pattern, where) if text is not None)
        say(f"no running trial of {study.name} matches {wanted}")
        return False
    check_running(store, study, "prune")
    show_grid(runs_grid(study, runs, names=names))
    if dry_run:
        remark(f"{counted(len(runs), 'trial')} would be pruned")
        return True
    confirm(f"Prune {counted(len(runs), 'trial')}?", yes=yes)
    store.command(study.study_id, "prune", numbers=[run.number for run in runs], reason=BY_HAND)
    say(f"{counted(len(runs), 'trial')} of {study.name} will be pruned after the present epoch")
    return True
