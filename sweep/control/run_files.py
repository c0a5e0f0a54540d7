"""What a coordinator does with the files of runs: their last event, their weights, and what they can continue from."""

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

from sweep.control.disk import size
from sweep.rundir import CHECKPOINTS, remove_weights
from sweep.store import RunRecord
from sweep.tensorboard.event_files import end_run

_log = logging.getLogger(__name__)


def has_checkpoint(directory: str | None) -> bool:
    """Whether a run directory has a checkpoint that a trial could continue from."""
    return directory is not None and any((Path(directory) / CHECKPOINTS).glob("*.npz"))


def checkpoint_size(directory: str | None) -> int:
    """The bytes of the checkpoints in a run directory; 0 where this machine sees none."""
    return 0 if directory is None else size(Path(directory) / CHECKPOINTS)


def remove_checkpoints(directory: str | None) -> None:
    """Remove what a run could be continued from, if there is anything."""
    if directory is not None:
        shutil.rmtree(Path(directory) / CHECKPOINTS, ignore_errors=True)


def write_end(run: RunRecord, objective: str) -> None:
    """Write the end of a run whose worker is gone into its directory, if it has one; see `end_run`."""
    if run.directory is None or not Path(run.directory).is_dir():
        return
    try:
        end_run(run, objective)
        if run.state != "PRUNED":  # which may have been by mistake
            remove_checkpoints(run.directory)
    except OSError as error:
        _log.warning("the end of run %s could not be written to %s: %s", run.name, run.directory, error)


def remove_surplus_weights(runs: Sequence[RunRecord]) -> None:
    """Remove the weights of runs that are not among the best.

    A pruned run that can still be continued keeps its own, since it may become the best.
    """
    for run in runs:
        if run.directory is not None and not (run.state == "PRUNED" and has_checkpoint(run.directory)):
            try:
                remove_weights(Path(run.directory))
            except OSError as error:
                _log.warning("the weights of run %s could not be removed: %s", run.name, error)
