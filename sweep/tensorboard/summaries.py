"""What an event file holds, as TensorBoard's messages: scalars, histograms, text. `event_files.py` writes them.

TensorFlow is not needed, and is not imported.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.compat.proto.types_pb2 import DT_DOUBLE, DT_FLOAT, DT_STRING
from tensorboard.plugins.histogram import metadata as histogram_metadata
from tensorboard.plugins.scalar import metadata as scalar_metadata
from tensorboard.plugins.text import metadata as text_metadata

Array = np.ndarray[Any, Any]

BUCKETS = 30  # as many as `tf.summary.histogram` makes

_SCALAR = scalar_metadata.create_summary_metadata("", "")
_HISTOGRAM = histogram_metadata.create_summary_metadata("", "")
_TEXT = text_metadata.create_summary_metadata("", "")
_COLUMNS = TensorShapeProto.Dim(size=3)
_PLACES = np.arange(BUCKETS + 1)
_PART = 2**14  # numbers that are counted at a time, so that they stay in the processor's cache
_SMALLEST = float(np.finfo(np.float64).tiny)  # numbers below have fewer digits


def scalars(values: Mapping[str, float]) -> Summary:
    """Scalars by tag: rank-0 float32, since TensorBoard's fast loader drops others; infinite beyond its range."""
    return Summary(value=[_value(tag, _SCALAR, _scalar(value)) for tag, value in values.items()])


def histograms(arrays: Mapping[str, Array]) -> Summary:
    """Histograms by tag, each of all numbers of an array of any shape."""
    return Summary(value=[_value(tag, _HISTOGRAM, _histogram(array)) for tag, array in arrays.items()])


def text(tag: str, markdown: str) -> Summary:
    """A text, which TensorBoard shows as Markdown."""
    content = markdown.encode(errors="backslashreplace")
    tensor = TensorProto(dtype=DT_STRING, tensor_shape=TensorShapeProto(), string_val=[content])
    return Summary(value=[_value(tag, _TEXT, tensor)])


def keras_graph(config: str) -> Summary:
    """A model's conceptual graph; `config` is `model.to_json()`. Source: `keras.callbacks.TensorBoard`, tag `keras`."""
    metadata = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="graph_keras_model", content=b"1"))
    tensor = TensorProto(dtype=DT_STRING, tensor_shape=TensorShapeProto(), string_val=[config.encode()])
    return Summary(value=[_value("keras", metadata, tensor)])


def buckets(array: Array) -> Array:
    """Buckets of equal width over the finite numbers of an array, of any shape and kind of number.

    Returns:
        float64 of shape `[k, 3]`: left edge, right edge, count. `k` is `BUCKETS`; 1 where all numbers are equal, or too
        near to each other to be told apart, a bucket around them; 0 where there are none. NaN and infinity are left
        out of the counts.
    """
    values = np.asarray(array).ravel()
    if not values.size:
        return np.zeros((0, 3))
    least, most = float(values.min()), float(values.max())
    if not math.isfinite(least / 2 + most / 2):
        return buckets(values[np.isfinite(values)])
    # Halves, since the difference of two finite numbers may not be finite.
    low, high = least / 2, most / 2
    step = (high - low) / BUCKETS
    if low + step == low or high - step == high or step < _SMALLEST:
        return np.array([[least - 0.5, most + 0.5, values.size]])
    counts = _counts(values[:_PART], low, step)
    for first in range(_PART, values.size, _PART):
        counts += _counts(values[first : first + _PART], low, step)
    with np.errstate(over="ignore"):  # the last one may round beyond the largest float, and is set right below
        edges = 2.0 * (low + step * _PLACES)
    edges[0], edges[-1] = least, most
    return np.stack([edges[:-1], edges[1:], counts], axis=1)


def _counts(values: Array, low: float, step: float) -> Array:
    """How many numbers lie in each bucket; `low` and `step` are halved. Several times faster than np.histogram."""
    halves = values.astype(np.float64)
    halves *= 0.5
    halves -= low
    halves /= step
    return np.bincount(np.minimum(halves.astype(np.intp), BUCKETS - 1), minlength=BUCKETS)


def _scalar(value: float) -> TensorProto:
    return TensorProto(dtype=DT_FLOAT, tensor_shape=TensorShapeProto(), float_val=[float(value)])


def _histogram(array: Array) -> TensorProto:
    table = buckets(array)
    shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=len(table)), _COLUMNS])
    return TensorProto(dtype=DT_DOUBLE, tensor_shape=shape, tensor_content=table.astype("<f8").tobytes())


def _value(tag: str, metadata: SummaryMetadata, tensor: TensorProto) -> Summary.Value:
    return Summary.Value(tag=tag, metadata=metadata, tensor=tensor)
