"""Resuming a training that another process began: what a checkpoint takes from a model, and gives back to one.

Resumed are the weights, states of recurrent layers, seed generators, optimizers, Python's and NumPy's random states,
the epochs' metrics, and what Keras' callbacks count (patience, best value and weights). Keras offers no state of
callbacks: theirs is taken by its attributes, and a user's own callback begins anew. XLA rounds and draws otherwise than
a graph, so that a resumed training equals an uninterrupted one up to that.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from sweep.architecture import describe
from sweep.train.model_state import assign, recurrent_states, shapes
from sweep.train.optimizers import optimizers
from sweep.worker.checkpoints import Array, Checkpoint
from sweep.worker.run import Run, StartOver
from sweep.worker.saver import Saver, State, set_random

_COUNTED = (
    "wait",
    "best",
    "best_epoch",
    "stopped_epoch",
    "cooldown_counter",
    "epochs_since_last_save",
    "_ema_weights_in_model",  # of SwapEMAWeights: which of two sets of weights the checkpoint has in the model
)


class ModelSaver(Saver):
    """Keeps one call of `sweep.fit` resumable, from its checkpoint on if it has one.

    Args:
        run: the trial's run.
        call: which one of the trial, from 0.
        model: the one that is trained.
        callbacks: the user's.
        kept: the checkpoint to continue from.
        seconds: how far apart checkpoints are; 0 for one an epoch, infinity for none.
    """

    def __init__(
        self,
        run: Run,
        call: int,
        model: keras.Model,
        callbacks: Sequence[keras.callbacks.Callback],
        kept: Checkpoint | None,
        seconds: float,
    ) -> None:
        super().__init__(run, call, lambda: _state(model, callbacks), seconds)
        self._kept = kept
        self._model = model
        self._callbacks = callbacks

    def restore(self) -> Checkpoint | None:
        """Put the model, once built, to where the checkpoint left it; to be called when other callbacks have begun.

        Returns:
            The checkpoint, if there is one.

        Raises:
            StartOver: the model is not the checkpoint's.
        """
        kept, model = self._kept, self._model
        if kept is None:
            return None
        _build_optimizers(model, kept.state.get("optimized", {}))
        variables = dict(_variables(model))
        if any(name not in kept.arrays or shapes(kept.arrays[name]) != shapes(variables[name]) for name in variables):
            raise StartOver(self._mismatch(kept))
        for name, several in variables.items():
            assign(several, kept.arrays[name])
        for place, callback in enumerate(self._callbacks):
            for name, value in kept.state["callbacks"].get(str(place), {}).items():
                setattr(callback, name, value)
            if f"callback {place}" in kept.arrays:
                callback.best_weights = list(kept.arrays[f"callback {place}"])
        set_random(kept.state["random"])
        return kept

    def _mismatch(self, kept: Checkpoint) -> str:
        before, now = kept.state.get("architecture"), describe(self._model)
        if before == now:
            return f"the model of its sweep.fit call {self._call + 1} has other weights than when it was interrupted"
        return f"the model of its sweep.fit call {self._call + 1} was {before or 'another one'} and is now {now}"


def not_resumable(x: Any, callbacks: Sequence[keras.callbacks.Callback]) -> str | None:
    """Why a training cannot be continued in another process with the numbers that it would have had; None if it can.

    Args:
        x: its data: arrays, or lists and dicts of them, come in an order that the checkpoint knows.
        callbacks: the user's. One of a class of his own may count something, unless it has `get_state`.
    """
    for data in keras.tree.flatten(x):
        if not (hasattr(data, "__array__") and hasattr(data, "shape")):
            return f"data from a {type(data).__name__} begin anew when a run is resumed"
    for callback in callbacks:
        own = not type(callback).__module__.startswith("keras.")
        if own and vars(callback).keys() - vars(keras.callbacks.Callback()).keys() and not _has_state(callback):
            return f"the callback {type(callback).__name__} has neither get_state nor set_state"
    return None


def _has_state(callback: keras.callbacks.Callback) -> bool:
    return hasattr(callback, "get_state") and hasattr(callback, "set_state")


def _state(model: keras.Model, callbacks: Sequence[keras.callbacks.Callback]) -> State:
    arrays = {name: [_value(variable) for variable in variables] for name, variables in _variables(model)}
    counted: dict[str, dict[str, Any]] = {}
    for place, callback in enumerate(callbacks):
        counted[str(place)] = {
            name: getattr(callback, name) for name in _COUNTED if _is_plain(getattr(callback, name, "no"))
        }
        weights = getattr(callback, "best_weights", None)
        if isinstance(weights, list):
            arrays[f"callback {place}"] = [np.asarray(value) for value in weights]
    return arrays, {"callbacks": counted, "optimized": _optimized(model)}


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
