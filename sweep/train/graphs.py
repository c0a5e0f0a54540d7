"""A model as TensorBoard shows it: the names of its weights, its operations, its layers."""

import re
from typing import Any

import keras
import tensorflow as tf

from sweep.events import RunWriter

_AUTOMATIC = re.compile(r"_\d+$")


def weight_tags(model: keras.Model) -> list[str]:
    """A tag for each of `model.weights`, the same for the same architecture in every trial.

    Keras numbers the layers that a user left unnamed by process (`dense_4/kernel`); here they are numbered by model.
    """
    counts: dict[str, int] = {}
    renamed: dict[str, str] = {}
    seen: dict[str, int] = {}
    tags = []
    for variable in model.weights:
        layer, _, rest = variable.path.rpartition("/")
        layer = layer.removeprefix(f"{model.name}/")
        if layer not in renamed:
            stem = _AUTOMATIC.sub("", layer)
            count = counts.get(stem, 0)
            counts[stem] = count + 1
            automatic = stem != layer or count > 0
            renamed[layer] = (stem if count == 0 else f"{stem}_{count}") if automatic else layer
        tag = f"{renamed[layer]}/{rest}" if layer else rest
        seen[tag] = seen.get(tag, 0) + 1
        tags.append(tag if seen[tag] == 1 else f"{tag}_{seen[tag] - 1}")
    return tags


def write(writer: RunWriter, model: keras.Model, sample: Any) -> None:
    """Write a model's graph of operations, if it can be traced, and of layers, if Keras can say them."""
    signature = _signature(model, sample)
    if signature is not None:
        try:
            traced = tf.function(lambda inputs: model(inputs, training=False)).get_concrete_function(signature)
        except Exception:  # whatever user code raises outside its own fit; the graph is not worth the trial
            traced = None
        if traced is not None:
            writer.graph(traced.graph.as_graph_def().SerializeToString())
    if isinstance(model, keras.Sequential) or getattr(model, "_is_graph_network", False) or _functional(model):
        writer.keras_graph(model.to_json())


def _functional(model: keras.Model) -> bool:
    return type(model).__name__ == "Functional"


def _signature(model: keras.Model, sample: Any) -> Any:
    def spec(value: Any) -> tf.TensorSpec:
        return tf.TensorSpec((None, *value.shape[1:]), value.dtype)

    try:
        return tf.nest.map_structure(spec, model.input)
    except (AttributeError, ValueError):
        return None if sample is None else tf.nest.map_structure(spec, sample)
