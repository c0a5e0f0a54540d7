"""What runs take on the disk, and making room."""

import contextlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from sweep.rundir import CHECKPOINTS, EVENTS, repeat_directories, weights_files

KINDS = ("checkpoints", "events", "weights")


def size(folder: Path) -> int:
    """The bytes of all files below a folder; 0 where there is none. Files may come and go meanwhile."""
    total = 0
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return 0
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            total += size(Path(entry.path))
        else:
            with contextlib.suppress(OSError):
                total += entry.stat(follow_symlinks=False).st_size
    return total


def files(run: Path, kinds: Iterable[str]) -> list[Path]:
    """The files and folders of some kinds that a run and its repeats have."""
    every = (run, *repeat_directories(run))
    found = {
        "checkpoints": [path for each in every for path in sorted(each.glob(CHECKPOINTS))],
        "events": [path for each in every for path in sorted(each.glob(f"{EVENTS}*"))],
        "weights": [path for each in every for path in weights_files(each)],
    }
    return [path for kind in kinds for path in found[kind]]


def bytes_of(paths: Iterable[Path]) -> int:
    """What files and folders take."""
    return sum(size(path) if path.is_dir() else path.stat().st_size for path in paths)


def remove(paths: Iterable[Path]) -> None:
    """Remove files and folders.

    Raises:
        OSError: one cannot be removed.
    """
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
