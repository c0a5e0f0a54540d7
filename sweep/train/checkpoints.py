"""A training's resumable state on the disk: files that are whole or not there, the last two of each training.

`RUN/checkpoints/<training>-<epoch>.npz` holds arrays and, as JSON, everything else; nothing of it is pickled. A file is
written beside its place, synced and renamed. A trial's trainings are counted from 0: `train` may call `sweep.fit` more
than once.
"""

import json
import os
import re
import shutil
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sweep.rundir import CHECKPOINTS
from sweep.train.link import plain

Array = np.ndarray[Any, Any]

KEPT = 2  # of a training: should the newest be damaged, the one before it serves

_NAME = re.compile(r"(\d+)-(\d+)\.npz")
_STATE = "state"


@dataclass(frozen=True)
class Checkpoint:
    """Where a training stands.

    Attributes:
        training: which one of its trial, from 0.
        over: it has come to its end.
        log: the metrics of each finished epoch of the trial, those of earlier trainings included.
        arrays: lists of arrays by what they are, such as the model's weights.
        state: the rest, as plain data.
    """

    training: int
    over: bool
    log: Sequence[Mapping[str, float]]
    arrays: Mapping[str, Sequence[Array]]
    state: Mapping[str, Any]

    @property
    def epoch(self) -> int:
        """How many epochs of the trial are finished."""
        return len(self.log)


def save(run: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint into a run's directory; returns its file.

    Raises:
        OSError: it cannot be written; the ones before it are untouched.
    """
    folder = run / CHECKPOINTS
    folder.mkdir(exist_ok=True)
    state = {
        "over": checkpoint.over,
        "log": checkpoint.log,
        "counts": {name: len(several) for name, several in checkpoint.arrays.items()},
        "state": checkpoint.state,
    }
    path = folder / f"{checkpoint.training}-{checkpoint.epoch:08}.npz"
    save_arrays(path, {_key(name, n): a for name, all_ in checkpoint.arrays.items() for n, a in enumerate(all_)}, state)
    for old in _files(folder, checkpoint.training)[KEPT:]:
        old.unlink(missing_ok=True)
    return path


def newest(run: Path, training: int) -> Checkpoint | None:
    """The newest checkpoint of a training that is whole, or None."""
    for path in _files(run / CHECKPOINTS, training):
        found = load_arrays(path)
        if found is not None:
            arrays, state = found
            lists = {name: [arrays[_key(name, n)] for n in range(count)] for name, count in state["counts"].items()}
            return Checkpoint(training, state["over"], state["log"], lists, state["state"])
    return None


def remove(run: Path) -> None:
    """Remove a run's checkpoints, if it has any."""
    shutil.rmtree(run / CHECKPOINTS, ignore_errors=True)


def save_arrays(path: Path, arrays: Mapping[str, Array], state: Mapping[str, Any], *, sync: bool = True) -> None:
    """Write arrays and plain data as one `.npz` file, which is there whole or not at all.

    Args:
        sync: wait until it is on the disk, so that it survives a loss of power.

    Raises:
        OSError: it cannot be written.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("wb") as file:
            text = np.frombuffer(json.dumps(state, default=plain).encode(), np.uint8)
            np.savez(file, allow_pickle=False, **{_STATE: text}, **arrays)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    if sync:
        _sync_folder(path.parent)


def load_arrays(path: Path) -> tuple[dict[str, Array], dict[str, Any]] | None:
    """What `save_arrays` wrote: arrays and plain data; None where the file is not there or damaged."""
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:  # NumPy leaves a damaged one open
            arrays = {name: file[name] for name in file.files}  # read whole: each member has its checksum
        state = json.loads(arrays.pop(_STATE).tobytes())
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error):
        return None
    return arrays, state


def _files(folder: Path, training: int) -> list[Path]:
    """A training's checkpoints, the newest first."""
    return [path for _, path in sorted(_numbered(folder, training), reverse=True)]


def _numbered(folder: Path, training: int) -> Iterator[tuple[int, Path]]:
    for path in folder.glob(f"{training}-*.npz"):
        match = _NAME.fullmatch(path.name)
        if match is not None:
            yield int(match[2]), path


def _key(name: str, number: int) -> str:
    return f"{name}/{number:05}"


def _sync_folder(folder: Path) -> None:
    """Have a rename survive a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
