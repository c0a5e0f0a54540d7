"""`sweep prune`, `keep`, `revive` and `stop`: commands put into the store."""

from collections.abc import Sequence
from pathlib import Path

from sweep.cli.output import confirm, remark, say, show_grid
from sweep.cli.tables import runs_grid
from sweep.cli.target import Target, check_running, named_run, named_study
from sweep.control.revival import has_checkpoint, queue_revival
from sweep.errors import SweepError
from sweep.read.commands import run_again, start_command
from sweep.read.runs import finished, select_runs
from sweep.read.studies import is_running
from sweep.store import RunRecord, Store, StudyRecord
from sweep.store.remote import RemoteStore
from sweep.words import counted

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
            "Nothing to prune: give a pattern or --where.",
            f"For example: sweep prune {study.name} '^mlp', or '.' for every run",
        )
    runs = select_runs(store, study, pattern=pattern, states=frozenset({"RUNNING"}), where=where).runs
    if not runs:
        wanted = " and ".join(repr(text) for text in (target.pattern, where) if text is not None)
        say(f"no running trial of {study.name} matches {wanted}")
        return
    check_running(store, study, "prune")
    show_grid(runs_grid(study, runs, names=names))
    if dry_run:
        remark(f"{counted(len(runs), 'trial')} would be pruned")
        return
    confirm(f"Prune {counted(len(runs), 'trial')}?", yes=yes)
    store.command(study.study_id, "prune", numbers=[run.number for run in runs], reason=BY_HAND)
    say(f"{counted(len(runs), 'trial')} of {study.name} will be pruned after the present epoch")


def keep_run(store: Store, words: Sequence[str]) -> None:
    """Shield a running trial from its pruner.

    Raises:
        SweepError: it is not running.
    """
    study, run = named_run(store, words)
    check_running(store, study, "keep a run of it")
    if run.state != "RUNNING":
        raise SweepError(f"Cannot protect {run.name}: it is {run.state}, not RUNNING.")
    store.command(study.study_id, "keep", numbers=[run.number], reason=BY_HAND)
    say(f"{run.name} will not be pruned, unless by hand or because its loss is no number")


def revive_run(store: Store, words: Sequence[str], storage: str) -> None:
    """Have a pruned run go on in a new trial: at once in a running study, else when it is started again.

    Raises:
        SweepError: the run was not pruned, or its checkpoint is gone, or the study has ended and is a service's.
    """
    study, run = named_run(store, words)
    if run.state != "PRUNED":
        raise SweepError(f"Cannot revive {run.name}: it is {run.state}, not PRUNED.")
    _check_checkpoint(store, study, run, storage)
    if is_running(store, study):
        store.command(study.study_id, "revive", numbers=[run.number], reason=BY_HAND)
        say(f"{run.name} will go on in a new trial")
        return
    if isinstance(store, RemoteStore):
        raise SweepError(
            f"Cannot revive {run.name}: study {study.name} has ended.",
            "Revive it on the machine that has the study's database, with --storage.",
        )
    queue_revival(store, study, run)
    total = max(study.declaration.trials, sum(store.counts(study.study_id).values())) + 1
    again = start_command(study, "--trials", str(total), storage=storage)
    say(f"{run.name} will go on in a new trial when the study does: {again}")


def _check_checkpoint(store: Store, study: StudyRecord, run: RunRecord, storage: str) -> None:
    """Refuse a run with nothing to go on from. Where the study's folder is elsewhere its coordinator sees to that."""
    if not Path(study.directory).is_dir() or has_checkpoint(run):
        return
    again = run_again(study, run, finished(store.counts(study.study_id)), storage=storage)
    raise SweepError(
        f"Cannot revive {run.name}: it has no checkpoint. It was cleaned, or it trained for less than a second or "
        "without sweep.fit.",
        f"To train its parameters again, run: {again}" if again else None,
    )


def stop_study(store: Store, name: str | None, storage: str) -> None:
    """Ask a study's coordinator to end it.

    Raises:
        SweepError: the study is not running.
    """
    study = named_study(store, name)
    check_running(store, study, "stop")
    store.command(study.study_id, "stop", reason=BY_HAND)
    again = start_command(study, storage=storage)
    say(f"{study.name} will stop after the running epochs; go on with: {again}")
