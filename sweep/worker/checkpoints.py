"""What a trial can be resumed from: files that are whole or not there, the last two of each call of `sweep.fit`.

`RUN/checkpoints/<call>-<epochs>.npz` holds arrays and, as JSON, everything else; nothing of it is pickled. A file is
written beside its place, synced and renamed. The calls of a trial are counted from 0.
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
from sweep.wire.messages import plain

Array = np.ndarray[Any, Any]

KEPT = 2  # of a call: should the newest be damaged, the one before it serves

FORMAT = 2  # of what is beside the arrays; format 1, of sweep 0.1, does not say so

_NAME = re.compile(r"(\d+)-(\d+)\.npz")
_STATE = "state"


@dataclass(frozen=True)
class Checkpoint:
    """How far one call of `sweep.fit` has come.

    Attributes:
        call: which one of its trial, from 0.
        over: it has ended.
        log: the metrics of each epoch that this call has finished.
        arrays: lists of arrays by what they are, such as the model's weights.
        state: the rest, as plain data.
    """

    call: int
    over: bool
    log: Sequence[Mapping[str, float]]
    arrays: Mapping[str, Sequence[Array]]
    state: Mapping[str, Any]

    @property
    def epochs(self) -> int:
        """How many epochs the call has finished."""
        return len(self.log)


def save(run: Path, checkpoint: Checkpoint, *, kept: int = KEPT) -> Path:
    """Write a checkpoint into a run's directory; returns its file.

    Args:
        kept: how many of its call stay.

    Raises:
        OSError: it cannot be written; the ones before it are untouched.
    """
    folder = run / CHECKPOINTS
    folder.mkdir(exist_ok=True)
    state = {
        "format": FORMAT,
        "over": checkpoint.over,
        "log": checkpoint.log,
        "counts": {name: len(several) for name, several in checkpoint.arrays.items()},
        "state": checkpoint.state,
    }
    path = folder / f"{checkpoint.call}-{checkpoint.epochs:08}.npz"
    save_arrays(path, {_key(name, n): a for name, all_ in checkpoint.arrays.items() for n, a in enumerate(all_)}, state)
    for old in _files(folder, checkpoint.call)[kept:]:
        old.unlink(missing_ok=True)
    return path


def newest(run: Path, call: int, before: int = 0) -> Checkpoint | None:
    """The newest checkpoint of a call that is whole, or None.

    Args:
        before: how many epochs of the trial came before the call: a file of format 1 has those too.
    """
    for path in _files(run / CHECKPOINTS, call):
        found = load_arrays(path)
        if found is None:
            continue
        arrays, state = found
        log = state["log"] if "format" in state else state["log"][before:]
        if log or not state["log"]:
            lists = {name: [arrays[_key(name, n)] for n in range(count)] for name, count in state["counts"].items()}
            return Checkpoint(call, state["over"], log, lists, state["state"])
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


def _files(folder: Path, call: int) -> list[Path]:
    """A call's checkpoints, the newest first."""
    return [path for _, path in sorted(_numbered(folder, call), reverse=True)]


def _numbered(folder: Path, call: int) -> Iterator[tuple[int, Path]]:
    for path in folder.glob(f"{call}-*.npz"):
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
