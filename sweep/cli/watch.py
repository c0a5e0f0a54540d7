"""`sweep watch`: a running study as `sweep start` shows it, read from the store."""

import time
from collections.abc import Sequence
from pathlib import Path

from sweep.cli import options
from sweep.cli.display import LiveDisplay, PlainDisplay
from sweep.cli.output import console, on_terminal, say
from sweep.cli.target import check_running, named_study
from sweep.control.progress import Opening, Watcher
from sweep.store import FINISHED, RunRecord, Store, StudyRecord
from sweep.view.changes import run_changes
from sweep.view.runs import finished, key_table, objectives
from sweep.view.studies import is_running, study_state
from sweep.waiting import read
from sweep.words import counted

POLL_SECONDS = 0.5


def watch(
    study: options.StudyName = None,
    names: options.Names = False,
    storage: options.Storage = options.DEFAULT_STORAGE,
    server: options.Server = None,
) -> None:
    """Watch a running study.

    As `sweep start` shows it, from any terminal, until it ends. Ctrl-C leaves it running.

    \b
    Example: sweep watch diabetes
    """
    with options.opened(options.place(storage, server)) as store:
        watch_study(store, study, names=names)


def watch_study(store: Store, name: str | None, *, names: bool) -> None:
    """Show a study until it ends; Ctrl-C leaves it running.

    Raises:
        SweepError: it is not running.
    """
    study = named_study(store, name)
    check_running(store, study, "watch")
    screen = console()
    display = LiveDisplay(screen, study.name, names=names) if on_terminal() else PlainDisplay(screen, study.name)
    try:
        with display as watcher:
            _follow(store, study, watcher)
    except KeyboardInterrupt:
        say(f"{study.name} goes on")
        return
    study = store.study(study.name)
    counts = store.counts(study.study_id)
    state = study_state(study, counts, running=False)
    say(f"{study.name} is {state}: {finished(counts)} of {counted(study.declaration.trials, 'trial')}")


def _follow(store: Store, study: StudyRecord, watcher: Watcher) -> None:
    before = store.runs(study.study_id)
    watcher.opened(_opening(study, before))
    for run in before:
        if run.state == "RUNNING" and run.name is not None:
            watcher.started(run)
    waited = None
    while True:
        waits = read(Path(study.directory))
        if waits is not None and waits != waited:
            watcher.message(str(waits))
        waited = waits
        running = is_running(store, study)  # before the runs are read: what it wrote last is then seen
        now = store.runs(study.study_id)
        tell(watcher, before, now)
        before = now
        if not running:
            return
        time.sleep(POLL_SECONDS)


def tell(watcher: Watcher, before: Sequence[RunRecord], now: Sequence[RunRecord]) -> None:
    """Tell a watcher what became of runs from one look at them to the next."""
    for change in run_changes(before, now):
        if change.run.name is not None and (change.began or change.began_unseen):
            watcher.started(change.run)
        if change.advanced:
            watcher.epoch(change.run, {})
        if change.ended or change.waits:
            watcher.ended(change.run)


def _opening(study: StudyRecord, runs: Sequence[RunRecord]) -> Opening:
    declared = study.declaration
    return Opening(
        name=study.name,
        objectives=objectives(study),
        trials=declared.trials,
        epochs=declared.epochs,
        workers=declared.workers,
        directory=study.directory,
        keys=key_table(study),
        ended=[run for run in runs if run.state in FINISHED],
        budget_epochs=declared.budget_epochs,
        runs=runs,
    )
