"""How far a run is, where its trial has several trainings: which one it is at, and that one's epochs."""

from sweep.store import RunRecord
from sweep.store.records import Training
from sweep.words import counted


def training_name(training: Training) -> str:
    """What a training is called: as the user labelled it, or by its number, counted from 1."""
    return training.label or f"training {training.number + 1}"


def epochs_text(run: RunRecord) -> str:
    """Finished and planned epochs: `3/10`, or `fold 2 of 3, 3/10` where the trial has several trainings."""
    if len(run.trainings) < 2:
        return f"{run.epoch}/{run.epochs}" if run.epochs is not None else str(run.epoch)
    last = run.trainings[-1]
    planned = f"/{last.planned}" if last.planned is not None else ""
    return f"{training_name(last)}, {last.epochs}{planned}"


def trained_text(run: RunRecord) -> str:
    """How much was trained, in words: `3 of 10 epochs`, or `30 epochs in 3 trainings`."""
    if len(run.trainings) > 1:
        return f"{counted(run.epoch, 'epoch')} in {len(run.trainings)} trainings"
    if run.epochs is None:
        return counted(run.epoch, "epoch")
    return f"{run.epoch} of {counted(run.epochs, 'epoch')}"


def epoch_share(run: RunRecord) -> float:
    """How far the present training is, in percent; 0 where nobody knows."""
    done, planned = run.epoch, run.epochs
    if len(run.trainings) > 1:
        done, planned = run.trainings[-1].epochs, run.trainings[-1].planned
    return min(100.0, 100.0 * done / planned) if planned else 0.0
