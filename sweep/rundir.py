"""Where a run's files lie: each study has a folder in the log directory, and each run a directory in it."""

from pathlib import Path

EVENTS = "events.out.tfevents."  # how the names of event files begin
WEIGHTS = "weights.npz"  # of a run's best epoch
CHECKPOINTS = "checkpoints"  # the folder of what a run can be continued from


def run_directory(logdir: Path, study: str, name: str) -> Path:
    """The directory of a run: each study has a log directory, and a TensorBoard, of its own."""
    return logdir / study / name
