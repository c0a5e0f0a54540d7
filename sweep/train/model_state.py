"""What a model has: its weights, what its layers keep beside them, and what it predicts; taken, given back, compared.

`complete` adds to the weights that a run keeps (`sweep.worker.weights`) everything else that makes them a model again.
"""

import contextlib
import dataclasses
import random
import re
import tempfile
import types
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sweep.architecture import is_of_keras
from sweep.worker.checkpoints import Array
from sweep.worker.weights import Weights

if TYPE_CHECKING:
    import keras

ROWS = 32
"""Rows of the first validation batch that are kept, at most."""

BYTES = 256 * 1024
"""Bytes of these rows, at most: of larger rows fewer are kept, and at least one."""

LARGEST = 16 * 1024**2
"""A single row, or a batch that only makes sense whole, is kept up to this many bytes."""

_HOOKS = ("save_own_variables", "load_own_variables", "save_assets", "load_assets", "finalize_state")


def complete(model: "keras.Model", kept: Weights, batch: Any) -> Weights:
    """Add to the weights of a training that has ended everything else that makes them a model again.

    Whatever goes wrong is noted in `unchecked`, and never ends a trial.

    Args:
        model: as the training left it; it is unchanged afterwards.
        kept: the weights of the epoch that counts.
        batch: the inputs of the first validation batch (without validation data, of the first training batch); None
            where they are unknown.
    """
    from sweep.train import graphs

    config = kept.config
    if config is None or '"build_config"' not in config:  # written before the model was built
        config = graphs.config(model)
    kept = dataclasses.replace(kept, config=config)
    if shapes(model.weights) != shapes(kept.arrays):  # a callback has changed the model since
        return kept
    try:
        with unchanged(model):
            assign(model.weights, kept.arrays)
            finalize(model)
            inputs, predictions, unchecked = _predictions(model, batch)
            states = _states(model)
        finalize(model)
    except Exception as error:  # whatever a layer of the user's raises when it is saved
        return dataclasses.replace(kept, unchecked=f"a layer cannot be saved ({line(error)})")
    return dataclasses.replace(
        kept,
        completed=True,
        functions=_functions(model),
        states=states,
        inputs=inputs,
        predictions=predictions,
        unchecked=unchecked,
        device=device(),
    )


def device() -> str:
    """The kind of device that models predict on in this process: `CPU` or `GPU`, or what else the backend calls it."""
    import keras

    return "GPU" if keras.distribution.list_devices("gpu") else "CPU"


def predict(model: "keras.Model", inputs: Any) -> Any:
    """What a model predicts for inputs, as arrays in the structure of its outputs."""
    import keras

    def tensor(leaf: Array) -> Any:
        is_text = leaf.dtype.kind in "SU"
        return keras.ops.convert_to_tensor(leaf.tolist() if is_text else leaf, "string" if is_text else None)

    def array(output: Any) -> Array:
        found = _array(output)
        return found.astype(np.float32) if found.dtype.kind == "V" else found  # bfloat16

    outputs = model(keras.tree.map_structure(tensor, inputs), training=False)
    return keras.tree.map_structure(array, outputs)


def shapes(several: Iterable[Any]) -> list[tuple[int, ...]]:
    """The shapes of variables or arrays."""
    return [tuple(one.shape) for one in several]


def assign(variables: Iterable[Any], arrays: Iterable[Array]) -> None:
    """Give variables the values of arrays of their shapes; NumPy's files know nothing of bfloat16."""
    import keras

    for variable, array in zip(variables, arrays, strict=True):
        is_unknown = array.dtype.kind == "V"
        variable.assign(array.view(keras.backend.standardize_dtype(variable.dtype)) if is_unknown else array)


def finalize(model: "keras.Model") -> None:
    """Have layers take over what they compute from their weights: an adapted `Normalization` reads its mean only then.

    Other layers with a `finalize_state` get theirs from `load_own_variables`.
    """
    import keras

    for layer in layers(model):
        if isinstance(layer, keras.layers.Normalization) and layer.built:
            layer.finalize_state()


def layers(model: "keras.Model") -> list[Any]:
    """A model and all layers in it, also those of nested models, in an order that the architecture determines."""
    return list(model._flatten_layers())


def keeps_more(layer: Any) -> bool:
    """Whether a layer has state beside its weights, or its own way of saving them, so that arrays alone may not do.

    Keras' Dense, EinsumDense, Embedding and convolutions have one only for quantized kernels and LoRA, of which all
    parts are weights.
    """
    import keras

    plain = (
        keras.layers.Layer,
        keras.layers.Dense,
        keras.layers.EinsumDense,
        keras.layers.Embedding,
        keras.layers.Conv1D,
    )
    for name in _HOOKS:
        method = getattr(type(layer), name, None)
        if method is not None and all(method is not getattr(kind, name, None) for kind in plain):
            return True
    return False


class Entry(dict[str, Any]):
    """What a layer saves its own variables into, and loads them from, as from Keras' files."""

    def __setitem__(self, name: str, value: Any) -> None:
        super().__setitem__(name, _array(value))


def recurrent_states(model: "keras.Model") -> list[Any]:
    """The states of a model's stateful recurrent layers, which Keras does not count among its variables."""
    import keras

    states = keras.tree.flatten([layer.states for layer in _stateful(model)])
    return [state for state in states if isinstance(state, keras.Variable)]


def _stateful(model: "keras.Model") -> list[Any]:
    return [layer for layer in layers(model) if getattr(layer, "stateful", False) and hasattr(layer, "states")]


@contextlib.contextmanager
def unchanged(model: "keras.Model") -> Iterator[None]:
    """Give all of a model's variables, and Python's and NumPy's random states, their values back afterwards.

    The states of stateful recurrent layers begin at zero, as in a model that has just been built.
    """
    variables = [*(model.weights if _is_plain(model) else model.variables), *recurrent_states(model)]
    before = [_array(variable).copy() for variable in variables]
    python, numpy = random.getstate(), np.random.get_state()
    try:
        for layer in _stateful(model):
            layer.reset_state()
        yield
    finally:
        assign(variables, before)
        random.setstate(python)
        np.random.set_state(numpy)


def _predictions(model: "keras.Model", batch: Any) -> tuple[Any, Any, str | None]:
    """The inputs that are kept, what the model predicts for them, and why not."""
    import keras

    if batch is None:
        return None, None, "the first validation batch is unknown"
    why = "the inputs are no arrays"
    for inputs in _cuts(batch):
        try:
            predictions = predict(model, inputs)
            leaves = keras.tree.flatten(predictions)
            if any(leaf.dtype.kind not in "biufSU" for leaf in leaves):
                why = "the predictions are no arrays"
            elif not _is_plain(model) and difference(predictions, predict(model, inputs)) > 1e-5:
                return inputs, None, "the model predicts something else each time"
            else:
                return inputs, predictions, None
        except Exception as error:  # a model without `call`, or whatever one of the user's raises
            why = f"the model does not predict ({line(error)})"
    return None, None, why


def _cuts(batch: Any) -> Iterator[Any]:
    """The first rows of a batch; then all of it, for a model that needs it whole."""
    import keras

    try:
        whole = keras.tree.map_structure(lambda leaf: None if leaf is None else _array(leaf), batch)
        leaves = [leaf for leaf in keras.tree.flatten(whole) if leaf is not None]
    except Exception:  # ragged, sparse, or no arrays at all
        return
    if not leaves or any(leaf.dtype.kind not in "biufSU" or leaf.ndim == 0 for leaf in leaves):
        return
    rows = max(len(leaf) for leaf in leaves)
    size = sum(leaf.nbytes for leaf in leaves)
    count = max(1, min(rows, ROWS, BYTES * rows // max(1, size)))
    if count < rows and size * count / rows <= LARGEST:
        yield keras.tree.map_structure(lambda leaf: None if leaf is None else leaf[:count].copy(), whole)
    if size <= LARGEST:
        yield whole


def difference(these: Any, those: Any) -> float:
    """How far two predictions are apart: the largest difference, as a share of the largest number of its output.

    Infinite where their structures, shapes or numbers that are not finite differ.
    """
    import keras

    mine, other = keras.tree.flatten(these), keras.tree.flatten(those)
    if shapes(mine) != shapes(other):
        return float("inf")
    return max((_apart(left, right) for left, right in zip(mine, other, strict=True)), default=0.0)


def _apart(left: Array, right: Array) -> float:
    if left.dtype.kind in "SU" or right.dtype.kind in "SU":
        return 0.0 if np.array_equal(left.astype("S"), right.astype("S")) else float("inf")
    left, right = left.astype(np.float64), right.astype(np.float64)
    finite = np.isfinite(right)
    if not np.array_equal(left[~finite], right[~finite], equal_nan=True) or not np.isfinite(left[finite]).all():
        return float("inf")
    furthest = np.abs(left[finite] - right[finite]).max(initial=0.0)
    return float(furthest / np.abs(right[finite]).max(initial=0.0)) if furthest > 0 else 0.0


def _is_plain(model: "keras.Model") -> bool:
    """Whether a model predicts the same each time: no layer of Keras' draws at random when it predicts."""
    import keras

    return all(is_of_keras(type(layer)) and not isinstance(layer, keras.layers.Lambda) for layer in layers(model))


def _states(model: "keras.Model") -> dict[str, Array]:
    """What its layers keep beside their weights."""
    found: dict[str, Array] = {}
    for place, layer in enumerate(layers(model)):
        if not keeps_more(layer):
            continue
        entry = Entry()
        layer.save_own_variables(entry)
        found |= {f"{place}/variables/{name}": array for name, array in entry.items()}
        if not hasattr(layer, "save_assets"):
            continue
        with tempfile.TemporaryDirectory() as folder:
            layer.save_assets(folder)
            for path in sorted(Path(folder).rglob("*")):
                if path.is_file():
                    name = f"{place}/assets/{path.relative_to(folder).as_posix()}"
                    found[name] = np.frombuffer(path.read_bytes(), np.uint8)
    return found


def _functions(model: "keras.Model") -> dict[str, bool]:
    """The user's own functions in a model by name; True for those that the name cannot find again."""
    import keras

    compiled = [getattr(model, "loss", None)]
    metrics = getattr(model, "_compile_metrics", None)
    compiled += [getattr(metrics, name, None) for name in ("_user_metrics", "_user_weighted_metrics")]
    values = keras.tree.flatten(compiled)
    values += [v for layer in layers(model) for name, v in vars(layer).items() if not hasattr(type(layer), name)]
    return {
        value.__name__: value.__name__ == "<lambda>" or "<locals>" in value.__qualname__
        for value in values
        if isinstance(value, types.FunctionType) and str(value.__module__).partition(".")[0] != "keras"
    }


def _array(value: Any) -> Array:
    """A variable, tensor or array as an array that NumPy can write: strings as bytes."""
    import keras

    held = value.value if isinstance(value, keras.Variable) else value
    if hasattr(held, "numpy"):  # TensorFlow's, for which this takes a part of the time of Keras' conversion
        array = np.asarray(held.numpy())
    else:
        array = np.asarray(held if isinstance(held, np.ndarray) else keras.ops.convert_to_numpy(held))
    if array.dtype.kind == "O":
        array = np.array(array.tolist())
    return array


def line(error: Exception) -> str:
    """An exception in a line; Keras' run over several, and print whole configurations."""
    text = f"{type(error).__name__}: {error}".partition("\n")[0]
    return re.split(r"\.+ (?:Please|Make sure|Full object)", text)[0].rstrip(". ")
