"""`sweep rerun`: train a run again from what is kept of it, and compare."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import typer

from sweep.cli import options
from sweep.cli.grid import Column, Grid
from sweep.cli.output import print_whole, say, show_grid
from sweep.cli.target import named_run
from sweep.commands import command
from sweep.control.progress import Silent
from sweep.control.revive import ancestors
from sweep.control.start import start_file
from sweep.declaration import versions
from sweep.errors import SweepError
from sweep.names import format_number, short_number
from sweep.options import Settings
from sweep.snapshot import Snapshot
from sweep.store import RunRecord, Store, StudyRecord
from sweep.view.comparisons import TrainingComparison, compare_trainings
from sweep.words import counted, listed


def rerun(words: options.RunWords, storage: options.Storage = options.DEFAULT_STORAGE) -> None:
    """Train a run again and compare.

    With its seed, its parameters and the study file as it was, which the database keeps with the modules beside it that
    it imports; any that it does not keep are named. The exit status is 1 if the two differ by more than rounding.

    \b
    Example: sweep rerun diabetes t0017
    """
    with options.opened(storage) as store:
        if not rerun_run(store, words):
            raise typer.Exit(1)


def rerun_run(store: Store, words: Sequence[str]) -> bool:
    """Train a run again in a temporary study, and print how it compares; whether it is the same.

    Raises:
        SweepError: there is no such run, it is still training, it continued from another run's checkpoint, or no
            snapshot of its study file is kept.
    """
    study, run = named_run(store, words)
    if run.state in ("RUNNING", "WAITING", "PAUSED"):
        raise SweepError(f"Cannot rerun {run.name}: it is {run.state}.", "Wait until it has ended.")
    _check_began_anew(store, study, run)
    snapshot = store.snapshot(run.snapshot) if run.snapshot is not None else None
    if snapshot is None or run.seed is None:
        raise SweepError(f"Cannot rerun {run.name}: no snapshot of its study file was kept.")
    _say_versions(study)
    with tempfile.TemporaryDirectory(prefix="sweep-rerun-") as folder:
        now, epochs = _train(study, run, Snapshot.from_text(snapshot), Path(folder))
    then = store.metrics(study.study_id, [run.number]).get(run.number, {})
    if now.state == "FAIL" or run.state == "FAIL":
        print_whole(f"{run.name} was {run.state}{_why(run)}; now it is {now.state}{_why(now)}")
        return now.state == run.state and now.why == run.why
    return _say_comparison(run, compare_trainings(then, epochs))


def _check_began_anew(store: Store, study: StudyRecord, run: RunRecord) -> None:
    """Refuse a run that was revived: its seed is not what its training began with."""
    before = list(ancestors(store, study, run.number))
    if before:
        raise SweepError(
            f"Cannot rerun {run.name} from its seed: it continued from the checkpoint of {format_number(before[0])}.",
            f"Rerun that run instead: {command('rerun', study.name, format_number(before[-1]), storage=store.place)}",
        )


def _train(
    study: StudyRecord, run: RunRecord, snapshot: Snapshot, folder: Path
) -> tuple[RunRecord, dict[int, dict[str, float]]]:
    """Train it in a folder; the run and its metrics by epoch."""
    (folder / "study").mkdir()
    origin = study.declaration.file
    file = snapshot.lay_out(folder / "study", Path(origin).parent if origin else None)
    say(f"training {run.name} again")
    settings = Settings(
        storage=f"sqlite:///{folder}/sweep.db",
        logdir=str(folder / "runs"),
        name=study.name,
        trials=1,
        repeats=1,
        epochs=study.declaration.epochs if study.declaration.force_epochs else None,
        workers=1,
        pruner="nop",
        sampler="random",
        fixed=run.params,
        trial_seed=run.seed,
        keep="none",
    )
    start_file(str(file), settings, Silent())
    store = Store(settings.storage)
    try:
        there = store.study(study.name)
        now = store.runs(there.study_id)[0]
        _say_imported(store, now, snapshot)
        return now, store.metrics(there.study_id).get(now.number, {})
    finally:
        store.close()


def _say_imported(store: Store, now: RunRecord, snapshot: Snapshot) -> None:
    """Say which files were imported as they are today, since the snapshot has them not."""
    text = store.snapshot(now.snapshot) if now.snapshot is not None else None
    names = Snapshot.from_text(text).names - snapshot.names if text is not None else set()
    names |= set(snapshot.left_out)
    if names:
        say(f"imported as they are today, since the snapshot does not hold them: {listed(sorted(names))}")


def _say_versions(study: StudyRecord) -> None:
    then, now = study.declaration.versions, versions()
    changed = [f"{name} {then[name]}, now {now.get(name, 'none')}" for name in then if then[name] != now.get(name)]
    if changed:
        say(f"trained with {'; '.join(changed)}")


def _say_comparison(run: RunRecord, comparison: TrainingComparison) -> bool:
    if comparison.missing:
        print_whole(f"{run.name} has {comparison.missing[0]}, and one of the two trainings has not")
    elif not comparison.differences:
        every = "its one epoch" if comparison.epochs == 1 else f"all {comparison.epochs} epochs"
        print_whole(f"the same in {every}, to the last bit")
    else:
        worst = comparison.differences[0]
        how = "the same up to rounding" if comparison.same else "not the same"
        at = f"{worst.metric} at epoch {worst.epoch + 1}"
        print_whole(f"{how} in {counted(comparison.epochs, 'epoch')}: furthest apart, by {worst.apart:.1e}, is {at}")
        shown = comparison.differences
        columns = [
            Column("metric", [difference.metric for difference in shown], style="cyan"),
            Column("epoch", [str(difference.epoch + 1) for difference in shown], right=True),
            Column("then", [repr(difference.then) for difference in shown], right=True),
            Column("now", [repr(difference.now) for difference in shown], right=True),
            Column("apart", [short_number(difference.apart) for difference in shown], right=True),
        ]
        show_grid(Grid(columns))
    return comparison.same


def _why(run: RunRecord) -> str:
    return f" ({run.why})" if run.why else ""
