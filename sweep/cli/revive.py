"""`sweep revive`: continue a run that was pruned."""

from collections.abc import Sequence
from pathlib import Path

from sweep.cli import options
from sweep.cli.output import say
from sweep.cli.target import BY_HAND, check_running, named_run
from sweep.commands import run_again, start_command
from sweep.control.revive import queue_revival
from sweep.control.run_files import has_checkpoint
from sweep.errors import SweepError
from sweep.store import RunRecord, Store, StudyRecord
from sweep.store.remote import RemoteStore
from sweep.view.runs import finished
from sweep.view.studies import is_running


def revive(
    words: options.RunWords, storage: options.Storage = options.DEFAULT_STORAGE, server: options.Server = None
) -> None:
    """Continue a run that was pruned by mistake, or one that is paused.

    A paused one continues at once. For a pruned one a new trial with the same parameters continues from its checkpoint,
    for as many epochs as the run was to have, and is not pruned again; the study gets one more trial for it. If the
    study has ended, the command that starts it is printed.

    \b
    Example: sweep revive diabetes t0017
    """
    place = options.place(storage, server)
    with options.opened(place) as store:
        revive_run(store, words, place)


def revive_run(store: Store, words: Sequence[str], storage: str) -> None:
    """Continue a paused run, or a pruned one in a new trial: now if the study is running, else at its next start.

    Raises:
        SweepError: the run is neither paused nor pruned, its checkpoint is gone, or the study has ended and is a
            service's.
    """
    study, run = named_run(store, words)
    if run.state == "PAUSED":
        check_running(store, study, "revive")
        store.command(study.study_id, "revive", numbers=[run.number], reason=BY_HAND)
        say(f"{run.name} will continue to its next rung")
        return
    if run.state != "PRUNED":
        raise SweepError(f"Cannot revive {run.name}: it is {run.state}, not PRUNED.")
    _check_checkpoint(store, study, run, storage)
    if is_running(store, study):
        store.command(study.study_id, "revive", numbers=[run.number], reason=BY_HAND)
        say(f"{run.name} will continue in a new trial")
        return
    if isinstance(store, RemoteStore):
        raise SweepError(
            f"Cannot revive {run.name}: study {study.name} has ended.",
            "Revive it on the machine that has the study's database, with --storage.",
        )
    queue_revival(store, study, run)
    total = max(study.declaration.trials, sum(store.counts(study.study_id).values())) + 1
    again = start_command(study, "--trials", str(total), storage=storage)
    say(f"{run.name} will continue in a new trial when the study is started again: {again}")


def _check_checkpoint(store: Store, study: StudyRecord, run: RunRecord, storage: str) -> None:
    """Refuse a run that has no checkpoint. If the study's folder is on another machine, its coordinator checks that."""
    if not Path(study.directory).is_dir() or has_checkpoint(run.directory):
        return
    again = run_again(study, run, finished(store.counts(study.study_id)), storage=storage)
    raise SweepError(
        f"Cannot revive {run.name}: it has no checkpoint. It was cleaned, or it trained for less than a second or "
        "without sweep.fit.",
        f"To train its parameters again, run: {again}" if again else None,
    )
