"""A model as TensorBoard shows it: the names and values of its weights, its operations, its layers."""

import json
import logging
import re
from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from sweep.tensorboard.event_files import RunWriter

Array = np.ndarray[Any, Any]

_log = logging.getLogger(__name__)

DRAWN = 64
"""Graphs of operations that are kept for the next model of that config, some 20 KB each: a trace takes 25 ms."""

_drawn: OrderedDict[tuple[str, str, str], bytes] = OrderedDict()
_MODULE = re.compile(r'"module": (?:"([^"]*)"|null)')
_COUNT = re.compile(r"_[0-9]+$")
_SIDE = re.compile(r"^(?:forward|backward)_")  # what Bidirectional puts before the name of its layer


def weight_tags(model: keras.Model) -> list[str]:
    """A tag for each of `model.weights`, the same for the same architecture in every trial.

    Keras counts the layers that a user left unnamed by process (`dense_4/kernel`); here they are counted by model, and
    in a nested model or layer by that one. Names that a user gave stay.
    """
    automatic = {layer.name for layer in model._flatten_layers() if is_automatic(layer)}
    counts: Counter[tuple[str, str]] = Counter()
    renamed = {"": ""}

    def rename(path: str) -> str:
        if path not in renamed:
            parent, _, name = path.rpartition("/")
            above = rename(parent)
            stem = _COUNT.sub("", name)
            if name in automatic or stem == "variable":
                count = counts[above, stem]
                counts[above, stem] += 1
                name = f"{stem}_{count}" if count else stem
            renamed[path] = f"{above}/{name}" if above else name
        return renamed[path]

    seen: Counter[str] = Counter()
    tags = []
    for variable in model.weights:
        tag = rename(variable.path.removeprefix(f"{model.name}/"))
        seen[tag] += 1
        tags.append(tag if seen[tag] == 1 else f"{tag}_{seen[tag] - 1}")
    return tags


def is_automatic(layer: Any) -> bool:
    """Whether Keras named a layer, or a metric, after its class, with or without a count, such as `dense_4`."""
    stem = _SIDE.sub("", _COUNT.sub("", layer.name))
    return bool(stem.replace("_", "") == type(layer).__name__.replace("_", "").lower())


def weights(model: keras.Model, tags: Sequence[str]) -> Mapping[str, Array]:
    """The values of `model.weights` by tag, read only: some may share the variable's memory."""
    # A tensor's `numpy` takes half the time of a variable's, which first copies it to a tensor of its own.
    return {tag: variable.value.value().numpy() for tag, variable in zip(tags, model.weights, strict=True)}


def config(model: keras.Model) -> str | None:
    """A model as `model.to_json` writes it; None where a user's `get_config` does not say it."""
    try:
        return str(model.to_json())
    except Exception:  # whatever a user's `get_config` raises
        return None


def write(writer: RunWriter, model: keras.Model, sample: Any, config: str | None) -> None:
    """Write a model's graph of operations, if it can be traced, and of layers, if Keras knows them.

    Args:
        config: the model's.
        sample: inputs, from which the graph of a subclassed model is traced; None for none.
    """
    layers = json.loads(config) if config is not None else {"config": {}}
    signature = _signature(model, sample)
    if signature is not None:
        try:
            writer.graph(_operations(model, signature, layers))
        except Exception as error:  # whatever a user's `call` raises outside of a training; no graph is worth a trial
            reason = str(error).strip().partition("\n")[0]
            _log.warning("The graph of %s could not be written: %s: %s", model.name, type(error).__name__, reason)
    if "layers" in layers["config"]:  # a subclassed model does not say them
        _keep_tensors(layers)
        writer.keras_graph(json.dumps(layers))


def _operations(model: keras.Model, signature: Any, layers: Mapping[str, Any]) -> bytes:
    """A model's graph of operations, serialized; traced once for all models of Keras' own layers with one config."""
    text = json.dumps(layers["config"])
    is_known = "layers" in layers["config"] and all(module.startswith("keras") for module in _MODULE.findall(text))
    key = (text, model.name, repr(signature)) if is_known else None
    if key is not None and key in _drawn:
        _drawn.move_to_end(key)
        return _drawn[key]
    # Without autograph, as Keras traces a training: converting its code took most of the time.
    calling = tf.function(lambda inputs: model(inputs, training=False), autograph=False)
    graph = calling.get_concrete_function(signature).graph.as_graph_def()
    _name_after_layers(graph, {model.name, *(layer.name for layer in model._flatten_layers())})
    serialized: bytes = graph.SerializeToString()
    if key is not None:
        _drawn[key] = serialized
        while len(_drawn) > DRAWN:
            _drawn.popitem(last=False)
    return serialized


def _name_after_layers(graph: Any, layers: Set[str]) -> None:
    """Name the scopes of a graph after their layers, as histograms are; a layer's second call is `dense_call_2`.

    Keras opens a layer's scope twice, to build and to call it, so that the second one is `dense_1`.
    """
    scopes = {"": ""}
    calls: Counter[tuple[str, str]] = Counter()

    def rename(scope: str) -> str:
        if scope not in scopes:
            parent, _, name = scope.rpartition("/")
            above, layer = rename(parent), _COUNT.sub("", name)
            if layer in layers:
                calls[above, layer] += 1
                call = calls[above, layer]
                name = layer if call == 1 else f"{layer}_call_{call}"
            scopes[scope] = f"{above}/{name}" if above else name
        return scopes[scope]

    def within(node: str) -> str:
        """A node's name, or an input's, which may have `^` before it and `:1` behind."""
        scope, slash, rest = node.rpartition("/")
        mark = "^" if scope.startswith("^") else ""
        return f"{mark}{rename(scope.removeprefix('^'))}{slash}{rest}"

    for node in graph.node:
        node.name = within(node.name)
        node.input[:] = [within(name) for name in node.input]


def _keep_tensors(layer: dict[str, Any]) -> None:
    """Leave of what a layer is called with the tensors alone: TensorBoard cannot draw `keras.ops.multiply(x, 2)`."""
    for node in layer.get("inbound_nodes", []):
        node.update(args=list(_tensors([node["args"], node["kwargs"]])), kwargs={})
    for inner in layer["config"].get("layers", []):
        _keep_tensors(inner)


def _tensors(value: Any) -> Iterator[Any]:
    if isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _tensors(part)


def _signature(model: keras.Model, sample: Any) -> Any:
    """What the model is called with, of any batch size; None where that is not known, or where it is never called."""

    def spec(value: Any) -> tf.TensorSpec:
        return tf.TensorSpec((None, *value.shape[1:]), value.dtype)

    if type(model).call is keras.Model.call:  # a GAN, say, that only its own `train_step` can run
        return None
    try:
        inputs = model.inputs[0] if isinstance(model, keras.Sequential) else model.input
        return tf.nest.map_structure(spec, inputs)
    except (AttributeError, ValueError):  # a subclassed model
        return None if sample is None else tf.nest.map_structure(spec, sample)
