"""When a training's checkpoint is written, and what is in it beside the training's own state.

Beside weights and the like a checkpoint has Python's and NumPy's random states and the weights of the best epoch, so
that a trial which another worker resumes draws what it would have drawn.
"""

import json
import logging
import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from sweep.errors import StudyError
from sweep.wire.messages import plain
from sweep.worker.checkpoints import KEPT, Array, Checkpoint, save
from sweep.worker.run import Run

SECONDS = 30.0
"""So far apart are a training's checkpoints, unless `checkpoint=` says otherwise."""

SHORT = 1.0
"""Less than so many seconds of a training that is stopped are sooner trained again than kept."""

COST = 20
"""Writing a checkpoint takes at most one part in so many of a training's time."""

_log = logging.getLogger(__name__)

State = tuple[Mapping[str, Sequence[Array]], Mapping[str, Any]]
"""What a training is resumed from: lists of arrays by what they are, and plain data."""


class Saver:
    """Keeps one call of `sweep.fit` or `sweep.epochs` resumable.

    Args:
        run: the trial's run.
        call: which one of the trial, from 0.
        take: what the call is to be resumed from, as it is now.
        seconds: how far apart checkpoints are; 0 for one an epoch, infinity for none.
    """

    def __init__(self, run: Run, call: int, take: Callable[[], State], seconds: float = SECONDS) -> None:
        self._run = run
        self._call = call
        self._take = take
        self._seconds = seconds
        self._saved = time.monotonic()
        self._took = 0.0

    def epoch_ended(self, *, over: bool) -> None:
        """Write a checkpoint if it is time, or if the run is to pause here.

        Args:
            over: the call has come to its end with this epoch.

        Raises:
            OSError: the run is to pause, and the checkpoint cannot be written.
        """
        if self._run.directory is None:
            return
        if self._run.verdict == "pause":
            self._write(over)
            return
        if math.isinf(self._seconds):
            return
        now = time.monotonic()
        due = SHORT if self._run.verdict != "go" else max(self._seconds, COST * self._took)
        if self._seconds > 0 and now - self._saved < due:
            return
        try:
            self._write(over)
        except OSError as error:  # such as a full disk: the training continues, the older checkpoint stays
            _log.warning("no checkpoint could be written to %s: %s", self._run.directory, error)
        self._saved = time.monotonic()
        self._took = self._saved - now

    def ended(self) -> None:
        """The call has ended: its last state is written when the trial begins another one."""
        if not math.isinf(self._seconds) or self._run.policy.pauses:
            self._run.pending = self._checkpoint(True)

    def _write(self, over: bool) -> None:
        if self._run.writer is not None:
            self._run.writer.sync()
        if self._run.directory is not None:
            save(self._run.directory, self._checkpoint(over), kept=1 if self._run.verdict == "pause" else KEPT)

    def _checkpoint(self, over: bool) -> Checkpoint:
        training = self._run.training
        arrays, state = self._take()
        best = training.weights
        more = {
            "random": {"python": random.getstate(), "numpy": np.random.get_state(legacy=False)},
            "best": best.about() if best is not None else None,
            "architecture": training.architecture,
        }
        lists = {**arrays, "best": list(best.arrays) if best is not None else []}
        return Checkpoint(self._call, over, training.log[training.call :], lists, {**state, **more})


def set_random(state: Mapping[str, Any]) -> None:
    """Put Python's and NumPy's generators to where a checkpoint's `random` says."""
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    numpy_state = dict(state["numpy"])
    numpy_state["state"] = {**numpy_state["state"], "key": np.array(numpy_state["state"]["key"], np.uint32)}
    np.random.set_state(numpy_state)


def split(state: Mapping[str, Any] | Callable[[], Mapping[str, Any]]) -> tuple[dict[str, Array], dict[str, Any]]:
    """The arrays of a state, and the rest as plain data.

    Raises:
        StudyError: something is neither.
    """
    arrays: dict[str, Array] = {}
    rest: dict[str, Any] = {}
    for name, value in (state() if callable(state) else state).items():
        if hasattr(value, "__array__") and not isinstance(value, np.generic):
            arrays[name] = np.asarray(value)
            is_good = arrays[name].dtype.kind in "biufcSU"
        else:
            rest[name] = value
            is_good = _is_plain(value)
        if not is_good:
            raise StudyError(
                f"The state {name!r} is neither an array of numbers nor plain data: {type(value).__name__}.",
                hint="A state holds arrays, numbers, strings, and lists and dicts of them.",
            )
    return arrays, rest


def _is_plain(value: Any) -> bool:
    try:
        json.dumps(value, default=plain)
    except (TypeError, ValueError):
        return False
    return True
