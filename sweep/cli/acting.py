"""`sweep prune` and `sweep stop`: commands put into the store."""

import sys

from sweep.cli.output import remark, say, show_grid
from sweep.cli.tables import runs_grid
from sweep.cli.target import Target, named_study
from sweep.errors import SweepError
from sweep.read.commands import command, shown_path
from sweep.read.runs import select_runs
from sweep.read.studies import is_running, study_state
from sweep.store import Store, StudyRecord

BY_HAND = "by hand"


def prune_runs(
    store: Store, target: Target, where: str | None, *, yes: bool, dry_run: bool, names: bool = False
) -> None:
    """Show which running trials match and, unless told otherwise, ask whether to prune them.

    Args:
        where: a condition that they must fulfil, if there is one.

    Raises:
        SweepError: there is neither pattern nor condition, the study is not running, or nobody can be asked.
    """
    pattern = target.compiled()
    study = target.study
    if pattern is None and where is None:
        raise SweepError(
            "prune takes a pattern or --where", "neither", f"e.g. sweep prune {study.name} '^mlp', or '.' for all"
        )
    runs = select_runs(store, study, pattern=pattern, states=frozenset({"RUNNING"}), where=where).runs
    if not runs:
        wanted = " and ".join(repr(text) for text in (target.pattern, where) if text is not None)
        say(f"no running trial of {study.name} matches {wanted}")
        return
    _check_running(store, study, "prune")
    show_grid(runs_grid(study, runs, names=names))
    if dry_run:
        remark(f"{_trials(len(runs))} would be pruned")
        return
    if not yes:
        _confirm(f"Prune {_trials(len(runs))}?")
    store.command(study.study_id, "prune", numbers=[run.number for run in runs], reason=BY_HAND)
    say(f"{_trials(len(runs))} of {study.name} will be pruned after the present epoch")


def stop_study(store: Store, name: str | None, storage: str) -> None:
    """Ask a study's coordinator to end it.

    Raises:
        SweepError: the study is not running.
    """
    study = named_study(store, name)
    _check_running(store, study, "stop")
    store.command(study.study_id, "stop", reason=BY_HAND)
    again = command("start", shown_path(study.declaration.get("file") or "FILE"), storage=storage)
    say(f"{study.name} will stop after the running epochs; go on with: {again}")


def _check_running(store: Store, study: StudyRecord, verb: str) -> None:
    """Refuse a command that nobody would obey: it would lie in the store until the study is started again."""
    if not is_running(store, study):
        state = study_state(study, store.counts(study.study_id), running=False)
        raise SweepError(f"a study must be running to {verb}", f"{study.name}, which is {state}")


def _confirm(question: str) -> None:
    import typer

    if not sys.stdin.isatty():
        raise SweepError("prune asks before it prunes", "no terminal to ask on", "add --yes, or --dry-run to look only")
    typer.confirm(question, abort=True)


def _trials(count: int) -> str:
    return "1 trial" if count == 1 else f"{count} trials"
