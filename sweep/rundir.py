"""Where a run's files lie: each study has a folder in the log directory, and each run a directory in it."""

import re
from pathlib import Path

EVENTS = "events.out.tfevents."  # how the names of event files begin
WEIGHTS = "weights.npz"  # the kept model of a run's first training; weights-1.npz of its second
REPEATS = "repeats"  # the folder, in a study's, with the directories of its runs' repeats
CHECKPOINTS = "checkpoints"  # the folder of what a run can be continued from

_WEIGHTS = re.compile(r"weights(?:-([0-9]+))?\.npz")


def run_directory(logdir: Path, study: str, name: str) -> Path:
    """The directory of a run: each study has a log directory, and a TensorBoard, of its own."""
    return logdir / study / name


def repeat_directory(run: Path, name: str) -> Path:
    """The directory of a run's repeat with that name, by that of the run."""
    return run.parent / REPEATS / name


def repeat_directories(run: Path) -> list[Path]:
    """The directories of a run's repeats, by that of the run."""
    found = (run.parent / REPEATS).glob(f"{run.name}r[0-9]*")  # no name of a run has anything that is special there
    return sorted(path for path in found if path.name.removeprefix(f"{run.name}r").isdecimal())


def weights_file(directory: Path, training: int = 0) -> Path:
    """The file with the kept model of one of a run's trainings, which are counted from 0."""
    return directory / (WEIGHTS if training == 0 else f"weights-{training}.npz")


def kept_trainings(directory: Path) -> dict[int, Path]:
    """Every file of kept models in a run's directory by the number of its training; empty where there are none."""
    found = ((_WEIGHTS.fullmatch(path.name), path) for path in directory.glob("weights*"))
    return dict(sorted((int(match[1] or 0), path) for match, path in found if match))


def weights_files(directory: Path) -> list[Path]:
    """Every file of kept models in a run's directory, by training; empty where there are none."""
    return list(kept_trainings(directory).values())


def remove_weights(directory: Path) -> None:
    """Remove the kept models of a run.

    Raises:
        OSError: one cannot be removed.
    """
    for path in weights_files(directory):
        path.unlink(missing_ok=True)
