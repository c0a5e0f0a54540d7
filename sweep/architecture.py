"""A Keras model's architecture and family as they stand in a run name. Keras is not imported."""

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import Any

MAX_LENGTH = 18
"""Characters of the longest architecture; TensorBoard's narrow column hides the run's colour if a piece is longer."""


def describe(model: Any) -> str | None:
    """The hidden layers of a Keras model in order, `4x32_16`, or its parameter count, `186kp`, where that is too long.

    Dense `32`, convolutions `c32` (`c32k5` where the kernel is not 3), `lstm64`, `gru64`, `rnn64`, `e100` for an
    embedding's width, `h8` for attention's heads; runs of equal layers are folded. Nested models and layers made of
    layers are gone through. Normalisation and layers without weights are not named, nor is the output layer (each one
    of a Functional model, else the last layer that would be named).

    Args:
        model: a Functional, Sequential or subclassed model, built or not.

    Returns:
        At most 18 characters of `[a-z0-9_]`; None for a model without hidden layers, and for one that would need its
        parameter count and is not built yet.
    """
    outputs = set(getattr(model, "output_names", ()))
    layers = [(layer.name in outputs, list(_pieces(layer))) for layer in model.layers]
    if not any(pieces for _, pieces in layers):
        return _parameter_count(model)
    if any(is_output and pieces for is_output, pieces in layers):
        hidden = [piece for is_output, pieces in layers for piece in (pieces[:-1] if is_output else pieces)]
    else:
        hidden = [piece for _, pieces in layers for piece in pieces][:-1]
    text = _fold(hidden)
    return (text or None) if len(text) <= MAX_LENGTH else _parameter_count(model)


def family(model: Any, default: str) -> str:
    """The name that the user gave a Keras model, or its class, without Keras' count of its like; else `default`.

    `sequential` and `functional_3` are nobody's names; the class `WideAndDeep` makes `wide_and_deep`, never
    `wide_and_deep_3`.
    """
    name = str(model.name)
    uncounted = re.sub(r"_[0-9]+$", "", name)
    if uncounted.replace("_", "") != type(model).__name__.replace("_", "").lower():
        return name
    return default if is_of_keras(type(model)) else uncounted


def _fold(pieces: Iterable[str]) -> str:
    runs = ((piece, len(list(run))) for piece, run in groupby(pieces))
    return "_".join(piece if times == 1 else f"{times}x{piece}" for piece, times in runs)


def _parameter_count(model: Any) -> str | None:
    """`4033p`, `186kp`, `12mp`: at most four digits."""
    if not model.built or not (count := model.count_params()):
        return None
    for unit in ("", "k", "m"):
        if round(count) < 10_000:
            return f"{round(count)}{unit}p"
        count /= 1000
    return f"{round(count)}gp"


def _pieces(layer: Any) -> Iterator[str]:
    """What stands for a layer in an architecture: nothing, one piece, or those of the layers in it."""
    names = [kind.__name__ for kind in type(layer).__mro__ if is_of_keras(kind)]
    if "Bidirectional" in names:
        yield from (f"bi{piece}" for piece in _pieces(layer.forward_layer))
    elif named := next((_NAMED[name] for name in names if name in _NAMED), None):
        yield named(layer)
    elif not any(name in _NORMALISATION for name in names):
        inner = layer.layers if hasattr(layer, "layers") else getattr(layer, "_layers", ())
        if inner:
            for each in inner:
                yield from _pieces(each)
        elif layer.weights:
            yield _unknown(layer)


def is_of_keras(kind: type) -> bool:
    """Whether a class is Keras' own."""
    return kind.__module__.partition(".")[0] == "keras"


def _numbered(prefix: str, attribute: str) -> Callable[[Any], str]:
    return lambda layer: f"{prefix}{getattr(layer, attribute)}"


def _convolution(prefix: str, attribute: str = "filters") -> Callable[[Any], str]:
    def piece(layer: Any) -> str:
        sizes = layer.kernel_size
        kernel = "x".join(map(str, sizes if len(set(sizes)) > 1 else sizes[:1]))
        return f"{prefix}{getattr(layer, attribute)}" + ("" if kernel == "3" else f"k{kernel}")

    return piece


def _last_of_output_shape(layer: Any) -> str:
    shape = layer.get_config()["output_shape"]
    return str(shape if isinstance(shape, int) else shape[-1])


def _unknown(layer: Any) -> str:
    """A layer of the user's own: the first letters of its class and its width, if it has one."""
    widths = (getattr(layer, name, None) for name in ("units", "filters"))
    width = next((width for width in widths if isinstance(width, int)), "")
    letters = re.sub(r"[^a-z]", "", type(layer).__name__.lower())[:4] or "layer"
    return f"{letters}{width}"


_NAMED: dict[str, Callable[[Any], str]] = {
    "Dense": _numbered("", "units"),
    "EinsumDense": _last_of_output_shape,
    "Conv1D": _convolution("c"),
    "Conv2D": _convolution("c"),
    "Conv3D": _convolution("c"),
    "Conv1DTranspose": _convolution("ct"),
    "Conv2DTranspose": _convolution("ct"),
    "Conv3DTranspose": _convolution("ct"),
    "SeparableConv1D": _convolution("cs"),
    "SeparableConv2D": _convolution("cs"),
    "DepthwiseConv1D": _convolution("cd", "depth_multiplier"),
    "DepthwiseConv2D": _convolution("cd", "depth_multiplier"),
    "ConvLSTM1D": _convolution("clstm"),
    "ConvLSTM2D": _convolution("clstm"),
    "ConvLSTM3D": _convolution("clstm"),
    "LSTM": _numbered("lstm", "units"),
    "LSTMCell": _numbered("lstm", "units"),
    "GRU": _numbered("gru", "units"),
    "GRUCell": _numbered("gru", "units"),
    "SimpleRNN": _numbered("rnn", "units"),
    "SimpleRNNCell": _numbered("rnn", "units"),
    "Embedding": _numbered("e", "output_dim"),
    "MultiHeadAttention": _numbered("h", "num_heads"),
    "GroupedQueryAttention": _numbered("h", "num_query_heads"),
}
# They have weights and no width, and follow a layer that is named.
_NORMALISATION = {
    "BatchNormalization",
    "GroupNormalization",
    "LayerNormalization",
    "Normalization",
    "PReLU",
    "RMSNormalization",
}
