"""A trained model made again from what a run has kept of it, and checked against what it predicted in the worker."""

import contextlib
import copy
import inspect
import json
import sys
import tempfile
import types
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import ml_dtypes
import numpy as np

from sweep.errors import StudyError
from sweep.train.model_state import (
    Entry,
    assign,
    device,
    difference,
    finalize,
    keeps_more,
    layers,
    line,
    predict,
    shapes,
    unchanged,
)
from sweep.train.source import Source, active
from sweep.worker.checkpoints import Array
from sweep.worker.weights import Weights

_OF_ALL = ("name", "trainable", "dtype")  # what Keras writes for every layer

TOLERANCE = 1e-5
"""How far predictions may be from those of the worker, as a share of the largest of them: float32, the same device."""

COARSE = 1e-2
"""The same for half precision, and where the worker predicted on another kind of device (a GPU rounds float32 to
TensorFloat-32, of 10 bits)."""


class NotCompiled(UserWarning):
    """A model was loaded uncompiled: its loss or a metric cannot be found again."""


def restore(
    weights: Weights,
    name: str,
    get_source: Callable[[], Source],
    *,
    model: keras.Model | None = None,
    check: bool = True,
) -> keras.Model:
    """The model that weights are of.

    Args:
        name: how the user calls the run, for messages.
        get_source: imports the run's study file; called only where the model has something of the user's.
        model: takes the weights and states instead of a new one.
        check: compare its predictions with those of the worker.

    Raises:
        StudyError: Keras cannot build the model, it is not the one of the weights, or it predicts otherwise.
    """
    config = json.loads(weights.config) if weights.config is not None else None
    source = get_source() if config is not None and model is None and _has_own(config, weights) else Source()
    with active(source) as objects:
        if model is None:
            model = _built(config, weights, name, source, objects)
            fill(model, weights, name)
            _compile(model, config, weights, name, objects)
        else:
            fill(model, weights, name)
        if check:
            compare(model, weights, name)
    return model


def compare(model: keras.Model, weights: Weights, name: str) -> bool:
    """Compare a model's predictions with those that the worker recorded; False where it recorded none.

    Raises:
        StudyError: they differ.
    """
    if weights.predictions is None:
        return False
    with unchanged(model):
        apart = difference(predict(model, weights.inputs), weights.predictions)
    if apart > tolerance(model, weights):
        raise StudyError(
            f"The model of {name} predicts something else than it did in the study: {apart:.1g} of the largest "
            "prediction apart.",
            hint="Something in it is neither a weight nor in a configuration: have its layer write it in get_config "
            "or save_own_variables, or build the model yourself and pass it as model=.",
        )
    return True


def tolerance(model: keras.Model, weights: Weights) -> float:
    """How far predictions may be apart: `TOLERANCE`, or `COARSE` for half precision and another kind of device."""
    halves = {"float16", "bfloat16"}
    has_half = any(getattr(layer, "compute_dtype", None) in halves for layer in layers(model))
    return COARSE if has_half or weights.device != device() else TOLERANCE


def custom_names(config: Any) -> Iterator[tuple[str | None, str, str | None]]:
    """The module, name and registered name of everything in a configuration that Keras may not know."""
    if isinstance(config, dict):
        module, kind = config.get("module"), config.get("class_name")
        registered = config.get("registered_name")
        if kind == "function" and isinstance(config.get("config"), str):
            yield None, config["config"], None
        elif isinstance(kind, str) and registered is not None and not str(module).startswith("keras"):
            yield module, kind, registered
        for value in config.values():
            yield from custom_names(value)
    elif isinstance(config, list):
        for value in config:
            yield from custom_names(value)


def _has_own(config: Any, weights: Weights) -> bool:
    """Whether a configuration names anything of the user's: a class, a function, a lambda."""
    if "__lambda__" in (weights.config or ""):
        return True
    for _, name, registered in custom_names(config):
        is_function = registered is None
        if not is_function or (name in weights.functions if weights.completed else not _is_function_of_keras(name)):
            return True
    return False


def _is_function_of_keras(name: str) -> bool:
    homes = (keras.losses, keras.metrics, keras.activations, keras.initializers, keras.regularizers, keras.ops)
    return any(hasattr(home, name) for home in homes)


def _built(config: Any, weights: Weights, name: str, source: Source, objects: dict[str, Any]) -> keras.Model:
    """A new model with its layers built, and not compiled."""
    remedy = (
        f"Build it as the study does and pass it: sweep.load({name!r}, model=model). Or have the study's train build "
        "it, which loads its data: rebuild=True."
    )
    if config is None:
        raise StudyError(
            f"Keras cannot write the configuration of the model of {name}, so it cannot build it again.",
            hint=f"{remedy} Or give its class a get_config().",
        )
    own = [(module, kind, registered) for module, kind, registered in custom_names(config) if registered is not None]
    for module, kind, registered in own:  # where the study has no snapshot: what is imported anyway
        found = vars(sys.modules[module]).get(kind) if module in sys.modules else None
        if found is not None:
            objects.setdefault(registered, found)
    bare = copy.deepcopy({**config, "compile_config": None})  # Keras changes it
    try:
        with _tolerant(objects), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # "cannot be built automatically": it is, below
            model = keras.saving.deserialize_keras_object(bare, custom_objects=objects, safe_mode=False)
            _bind_lambdas(model, source)
            if weights.inputs is not None and shapes(model.weights) != shapes(weights.arrays):
                predict(model, weights.inputs)  # builds what its configuration does not say
    except Exception as error:  # whatever a class of the user's raises, or one that is not there
        missing = [kind for _, kind, registered in own if registered not in objects]
        why = f"{missing[0]} is not at the top level of its study file, or no snapshot of that is known"
        raise StudyError(
            f"Keras cannot build the model of {name}: {why if missing else line(error)}.", hint=remedy
        ) from error
    return model


@contextlib.contextmanager
def _tolerant(objects: dict[str, Any]) -> Iterator[None]:
    """Let Keras build classes that take no name, dtype or `trainable` from a configuration that has them.

    Keras writes them for every layer, and requires `**kwargs`, which people leave out of classes that they never save.
    """
    changed: list[tuple[Any, Any]] = []
    for kind in dict.fromkeys(objects.values()):
        if isinstance(kind, type) and issubclass(kind, keras.layers.Layer) and _is_strict(kind):
            changed.append((kind, vars(kind).get("from_config")))
            changed[-1][0].from_config = classmethod(_from_config)
    try:
        yield
    finally:
        for strict, before in changed:
            if before is None:
                del strict.from_config
            else:
                strict.from_config = before


def _is_strict(kind: Any) -> bool:
    parameters = inspect.signature(kind.__init__).parameters.values()
    is_default = getattr(kind.from_config, "__func__", None) in (
        keras.layers.Layer.from_config.__func__,
        keras.Model.from_config.__func__,
    )
    return is_default and not any(one.kind is one.VAR_KEYWORD for one in parameters)


def _from_config(kind: Any, config: dict[str, Any]) -> Any:
    taken = inspect.signature(kind.__init__).parameters
    given = {name: value for name, value in config.items() if name in taken or name not in _OF_ALL}
    return kind(**given)


def _bind_lambdas(model: keras.Model, source: Source) -> None:
    """Have lambdas of Lambda layers see the names of their module, which Keras does not give back."""
    for layer in layers(model):
        if isinstance(layer, keras.layers.Lambda) and isinstance(layer.function, types.FunctionType):
            old = layer.function
            seen = source.globals_of(old.__code__) if old.__name__ == "<lambda>" else None
            if seen is not None:
                layer.function = types.FunctionType(old.__code__, seen, old.__name__, old.__defaults__, old.__closure__)


def fill(model: keras.Model, weights: Weights, name: str) -> None:
    """Give a model its weights, and its layers what they keep beside them."""
    if weights.inputs is not None and shapes(model.weights) != shapes(weights.arrays) and not model.built:
        predict(model, weights.inputs)
    if shapes(model.weights) != shapes(weights.arrays):
        raise StudyError(
            f"The model has other weights than {name}: their shapes are {_few(shapes(model.weights))}, and those of "
            f"the run {_few(shapes(weights.arrays))}."
        )
    assign(model.weights, weights.arrays)
    every = layers(model)
    if not weights.completed:
        _check_states(every, name)
    for place in sorted({int(key.partition("/")[0]) for key in weights.states}):
        if place >= len(every) or not keeps_more(every[place]):
            raise StudyError(f"The model has other layers than {name}: no layer of the same kind in place {place}.")
        _load_state(every[place], _part(weights.states, f"{place}/"))
    finalize(model)


def _load_state(layer: Any, state: dict[str, Array]) -> None:
    assets = _part(state, "assets/")
    variables = Entry({name: _typed(array) for name, array in _part(state, "variables/").items()})
    if variables or not assets:
        layer.load_own_variables(variables)
    if not assets:
        return
    with tempfile.TemporaryDirectory() as folder:
        for path, array in assets.items():
            file = Path(folder) / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(array.tobytes())
        layer.load_assets(folder)


def _part(arrays: Any, prefix: str) -> dict[str, Array]:
    return {key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)}


def _typed(array: Array) -> Array:
    """An array of two bytes that NumPy's files know nothing of is one of bfloat16."""
    return array.view(ml_dtypes.bfloat16) if array.dtype == np.dtype("V2") else array


def _check_states(every: list[Any], name: str) -> None:
    """Refuse the weights of an earlier version, or of a run that was cut off, where they are not all of a model."""
    for layer in every:
        config = layer.get_config() if keeps_more(layer) else {}
        empty = [what for what in ("vocabulary", "bin_boundaries") if what in config and config[what] is None]
        if empty:
            raise StudyError(
                f"{name} was kept without the {empty[0]} of its layer {layer.name}, as earlier versions did.",
                hint="Build the model with it and pass it: sweep.load(run, model=model).",
            )


def _compile(model: keras.Model, config: Any, weights: Weights, name: str, objects: dict[str, Any]) -> None:
    """Compile a model as it was; where that cannot be, warn and leave it."""
    compiled = config.get("compile_config")
    if not compiled:
        return
    lost = [of for _, of, registered in custom_names(compiled) if registered is None and weights.functions.get(of)]
    if "__lambda__" in json.dumps(compiled):
        lost.append("a lambda")
    why = f"its loss or metric {lost[0]} is not at the top level of the study file" if lost else None
    if why is None:
        try:
            with keras.saving.custom_object_scope(objects), warnings.catch_warnings():
                warnings.simplefilter("error", UserWarning)  # "`compile()` was not called", for one of the user's own
                model.compile_from_config(compiled)
        except UserWarning:
            why = "its class has a compile() of its own"
        except Exception as error:
            why = line(error)
    if why is not None:
        model.compiled = False
        message = f"The model of {name} is not compiled: {why}. It predicts; to evaluate or train it, compile it."
        warnings.warn(message, NotCompiled, stacklevel=4)


def _few(several: list[tuple[int, ...]]) -> str:
    shown = ", ".join(map(str, several[:6]))
    return shown if len(several) <= 6 else f"{shown} and {len(several) - 6} more"
