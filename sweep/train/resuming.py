"""Resuming a training that another process began: what a checkpoint takes from a model, and gives back to one.

Resumed are the weights, states of recurrent layers, seed generators, optimizers, Python's and NumPy's random states,
the epochs' metrics, and what Keras' callbacks count (patience, best value and weights). Keras offers no state of
callbacks: theirs is taken by its attributes, and a user's own callback begins anew. XLA rounds and draws otherwise than
a graph, so that a resumed training equals an uninterrupted one up to that.
"""

import logging
import math
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from sweep.architecture import describe
from sweep.train.model_state import assign, recurrent_states, shapes
from sweep.train.optimizers import optimizers
from sweep.worker.checkpoints import Array, Checkpoint, save
from sweep.worker.run import Run, StartOver

SECONDS = 30.0
"""So far apart are a training's checkpoints, unless `sweep.fit` says otherwise."""

SHORT = 1.0
"""Less than so many seconds of a training that is stopped are sooner trained again than kept."""

COST = 20
"""Writing a checkpoint takes at most one part in so many of a training's time."""

_COUNTED = (
    "wait",
    "best",
    "best_epoch",
    "stopped_epoch",
    "cooldown_counter",
    "epochs_since_last_save",
    "_ema_weights_in_model",  # of SwapEMAWeights: which of two sets of weights the checkpoint has in the model
)

_log = logging.getLogger(__name__)


class Saver:
    """Keeps one call of `sweep.fit` resumable, from its checkpoint on if it has one.

    Args:
        run: the trial's run.
        call: which one of the trial, from 0.
        callbacks: the user's.
        kept: the checkpoint to continue from.
        seconds: how far apart checkpoints are; 0 for one an epoch, infinity for none.
    """

    def __init__(
        self,
        run: Run,
        call: int,
        callbacks: Sequence[keras.callbacks.Callback],
        kept: Checkpoint | None,
        seconds: float = SECONDS,
    ) -> None:
        self._kept = kept
        self._run = run
        self._call = call
        self._callbacks = callbacks
        self._seconds = seconds
        self._saved = time.monotonic()
        self._took = 0.0

    def restore(self, model: keras.Model) -> Checkpoint | None:
        """Put a model, once built, to where the checkpoint left it; to be called when other callbacks have begun.

        Returns:
            The checkpoint, if there is one.

        Raises:
            StartOver: the model is not the checkpoint's.
        """
        kept = self._kept
        if kept is None:
            return None
        _build_optimizers(model, kept.state.get("optimized", {}))
        variables = dict(_variables(model))
        if any(name not in kept.arrays or shapes(kept.arrays[name]) != shapes(variables[name]) for name in variables):
            raise StartOver(self._mismatch(model, kept))
        for name, several in variables.items():
            assign(several, kept.arrays[name])
        for place, callback in enumerate(self._callbacks):
            for name, value in kept.state["callbacks"].get(str(place), {}).items():
                setattr(callback, name, value)
            if f"callback {place}" in kept.arrays:
                callback.best_weights = list(kept.arrays[f"callback {place}"])
        _set_random(kept.state["random"])
        return kept

    def epoch_ended(self, model: keras.Model, *, over: bool) -> None:
        """Write a checkpoint if it is time.

        Args:
            over: the call has come to its end with this epoch.
        """
        if self._run.directory is None or math.isinf(self._seconds):
            return
        now = time.monotonic()
        due = SHORT if self._run.verdict != "go" else max(self._seconds, COST * self._took)
        if self._seconds > 0 and now - self._saved < due:
            return
        try:
            if self._run.writer is not None:
                self._run.writer.sync()
            save(self._run.directory, self._checkpoint(model, over))
        except OSError as error:  # such as a full disk: the training continues, the older checkpoint stays
            _log.warning("no checkpoint could be written to %s: %s", self._run.directory, error)
        self._saved = time.monotonic()
        self._took = self._saved - now

    def ended(self, model: keras.Model) -> None:
        """The call has ended: its last state is written when the trial calls `sweep.fit` again."""
        if not math.isinf(self._seconds):
            self._run.pending = self._checkpoint(model, True)

    def _checkpoint(self, model: keras.Model, over: bool) -> Checkpoint:
        arrays = {name: [_value(variable) for variable in variables] for name, variables in _variables(model)}
        counted: dict[str, dict[str, Any]] = {}
        for place, callback in enumerate(self._callbacks):
            counted[str(place)] = {
                name: getattr(callback, name) for name in _COUNTED if _is_plain(getattr(callback, name, "no"))
            }
            weights = getattr(callback, "best_weights", None)
            if isinstance(weights, list):
                arrays[f"callback {place}"] = [np.asarray(value) for value in weights]
        training = self._run.training
        best = training.weights
        arrays["best"] = list(best.arrays) if best is not None else []
        state = {
            "callbacks": counted,
            "random": _random(),
            "best": best.about() if best is not None else None,
            "architecture": training.architecture,
            "optimized": _optimized(model),
        }
        return Checkpoint(self._call, over, training.log[training.call :], arrays, state)

    def _mismatch(self, model: keras.Model, kept: Checkpoint) -> str:
        before, now = kept.state.get("architecture"), describe(model)
        if before == now:
            return f"the model of its sweep.fit call {self._call + 1} has other weights than when it was interrupted"
        return f"the model of its sweep.fit call {self._call + 1} was {before or 'another one'} and is now {now}"


def _variables(model: keras.Model) -> Iterator[tuple[str, list[Any]]]:
    measured = {id(variable) for variable in model.metrics_variables}  # reset at each epoch
    yield "model", [variable for variable in model.variables if id(variable) not in measured]
    states = recurrent_states(model)
    if states:
        yield "states", states
    found = optimizers(model)
    yield "optimizer", list(found.pop("optimizer").variables) if "optimizer" in found else []
    for name, optimizer in found.items():
        yield f"optimizer {name}", list(optimizer.variables)


def _optimized(model: keras.Model) -> dict[str, list[int]]:
    """Which of a model's variables each of its own optimizers has state for, by their place among them.

    A `train_step` of the user's builds an optimizer at its first step, which a resumed training has not made yet.
    """
    places = {id(variable): place for place, variable in enumerate(model.variables)}
    found = {}
    for name, optimizer in optimizers(model).items():
        inner = getattr(optimizer, "inner_optimizer", optimizer)
        owned = [places.get(id(variable)) for variable in getattr(inner, "_trainable_variables", ())]
        if owned and None not in owned:
            found[name] = [place for place in owned if place is not None]
    return found


def _build_optimizers(model: keras.Model, optimized: Mapping[str, Sequence[int]]) -> None:
    every, found = model.variables, optimizers(model)
    for name, places in optimized.items():
        optimizer = found.get(name)
        if optimizer is not None and not optimizer.built and max(places) < len(every):
            optimizer.build([every[place] for place in places])


def _value(variable: Any) -> Array:
    return np.asarray(keras.ops.convert_to_numpy(variable))


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | np.number)


def _random() -> dict[str, Any]:
    return {"python": random.getstate(), "numpy": np.random.get_state(legacy=False)}


def _set_random(state: dict[str, Any]) -> None:
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    numpy_state = dict(state["numpy"])
    numpy_state["state"] = {**numpy_state["state"], "key": np.array(numpy_state["state"]["key"], np.uint32)}
    np.random.set_state(numpy_state)
