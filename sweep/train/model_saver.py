"""Resuming a training that another process began: what a checkpoint takes from a model, and gives back to one.

Resumed are the weights, states of recurrent layers, seed generators, optimizers, Python's and NumPy's random states,
the epochs' metrics, and what callbacks count: those of Keras, which offers no state of them, by their attributes
(patience, best value and weights), and a user's own by its `get_state` and `set_state`. XLA rounds and draws otherwise
than a graph, so that a resumed training keeps to the engine that it had. It then has the same bits as one that was
never interrupted.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from sweep.architecture import describe
from sweep.train import compiled
from sweep.train.checks import Health
from sweep.train.model_state import assign, recurrent_states, shapes
from sweep.train.optimizers import optimizers
from sweep.worker.checkpoints import Array, Checkpoint
from sweep.worker.run import Run, StartOver
from sweep.worker.saver import Saver, State, set_random, split

_log = logging.getLogger(__name__)

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
        health: what looks for findings, if something does.
        x: the data that it is trained on; `shuffled`: whether their rows come in another order at each epoch.
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
        *,
        health: Health | None,
        x: Any,
        shuffled: bool,
    ) -> None:
        super().__init__(run, call, lambda: _state(model, callbacks, health), seconds)
        self._kept = kept
        self._model = model
        self._callbacks = callbacks
        self._health = health
        self._x = x
        self._shuffled = shuffled

    def unpausable(self) -> str | None:
        """Why the training, which begins, cannot be resumed with the numbers that it would have had; None if it can."""
        why = compiled.reason(self._model)
        if why is not None and self._shuffled:
            return f"Keras' own fit trains them ({why}), and no checkpoint has where it is in its shuffling"
        for data in keras.tree.flatten(self._x):
            if not (hasattr(data, "__array__") and hasattr(data, "shape")):
                return f"their data come from a {type(data).__name__}, which would begin anew"
        for callback in self._callbacks:
            own = not type(callback).__module__.startswith("keras.")
            if own and vars(callback).keys() - vars(keras.callbacks.Callback()).keys() and not _has_state(callback):
                return f"the callback {type(callback).__name__} has no get_state and set_state"
        return None

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
        for name, stateful in _stateful(self._callbacks, self._health):
            own = kept.state.get("own", {}).get(name)
            if own is not None:
                arrays = kept.arrays[f"state {name}"]
                stateful.set_state({**own["plain"], **dict(zip(own["names"], arrays, strict=True))})
        set_random(kept.state["random"])
        if "engines" in kept.state and not compiled.keep_to(model, kept.state["engines"]):
            _log.warning("the training continues by another engine than it began with, and rounds otherwise")
        return kept

    def _mismatch(self, kept: Checkpoint) -> str:
        before, now = kept.state.get("architecture"), describe(self._model)
        if before == now:
            return f"the model of its sweep.fit call {self._call + 1} has other weights than when it was interrupted"
        return f"the model of its sweep.fit call {self._call + 1} was {before or 'another one'} and is now {now}"


def _stateful(callbacks: Sequence[Any], health: Health | None) -> Iterator[tuple[str, Any]]:
    """What says its own state, by its name in a checkpoint."""
    for place, callback in enumerate(callbacks):
        if _has_state(callback):
            yield str(place), callback
    if health is not None:
        yield "health", health


def _has_state(callback: keras.callbacks.Callback) -> bool:
    return hasattr(callback, "get_state") and hasattr(callback, "set_state")


def _state(model: keras.Model, callbacks: Sequence[keras.callbacks.Callback], health: Health | None) -> State:
    arrays = {name: [_value(variable) for variable in variables] for name, variables in _variables(model)}
    counted: dict[str, dict[str, Any]] = {}
    own: dict[str, dict[str, Any]] = {}
    for place, callback in enumerate(callbacks):
        counted[str(place)] = {
            name: getattr(callback, name) for name in _COUNTED if _is_plain(getattr(callback, name, "no"))
        }
        weights = getattr(callback, "best_weights", None)
        if isinstance(weights, list):
            arrays[f"callback {place}"] = [np.asarray(value) for value in weights]
    for name, stateful in _stateful(callbacks, health):
        found, plain = split(stateful.get_state())
        arrays[f"state {name}"] = [np.array(array) for array in found.values()]
        own[name] = {"names": list(found), "plain": plain}
    engines = compiled.engines(model)
    return arrays, {"callbacks": counted, "own": own, "optimized": _optimized(model), "engines": engines}


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
