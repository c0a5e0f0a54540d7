"""Widths in which models that share a program may differ: the units of their Dense layers.

A traced step of such a model mostly holds no width at all: matrices are multiplied and added whatever their sizes.
Where it does hold one, for one as the shape of a gradient, the graph of another width is another graph. So nothing is
taken for granted: the first two models of one topology are both traced, their graphs are compared operation by
operation (`graph_digest.py`), and only where they are the same does one program serve both, and further widths
(`Tried`). It is then what a trace of their own would give, to the last operation. Two networks may agree in a size that
others do not have, as 8 + 5 = 7 + 6 units side by side: every size of a tensor must have been varied, not the widths
alone.

What two widths cannot show is a step that takes another way from some width on. Hence only the layers listed here may
be in such a model, whose code has been read (Keras 3.15): none asks how wide it is, but for a width of 1, which
broadcasts, and for one that is the size of every batch (`keras.ops.add` adds a vector of that length as a bias). Both
keep programs of their own. So does the width of what leaves the model, for losses and metrics look at it.

Layers that merge by adding, multiplying or comparing are not listed. They broadcast, so that TensorFlow does not know
the shape of what they return where sizes are open, and its Grappler takes a common factor out of sums only where it
knows that shapes are equal: five of eighty generated networks were off by a rounding. For the same reason what draws
random numbers stands between a Dense layer, or an activation, and Dense layers: next to a BatchNormalization, whose sum
Grappler would add to that of a GaussianNoise, it keeps its model from sharing.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf
from keras import layers, optimizers, regularizers

_DRAWING = (
    layers.Dropout,
    layers.SpatialDropout1D,
    layers.SpatialDropout2D,
    layers.AlphaDropout,
    layers.GaussianNoise,
    layers.GaussianDropout,
)
"""Layers that ask for the sizes of what they are given, and return a tensor of the same shape."""

OTHERS = frozenset(
    {
        layers.InputLayer,
        layers.Conv1D,
        layers.Conv2D,
        layers.Embedding,
        layers.Activation,
        layers.ReLU,
        layers.LeakyReLU,
        layers.ELU,
        *_DRAWING,
        layers.ActivityRegularization,
        layers.BatchNormalization,
        layers.Normalization,
        layers.Rescaling,
        layers.Flatten,
        layers.MaxPooling1D,
        layers.MaxPooling2D,
        layers.AveragePooling1D,
        layers.AveragePooling2D,
        layers.GlobalMaxPooling1D,
        layers.GlobalMaxPooling2D,
        layers.GlobalAveragePooling1D,
        layers.GlobalAveragePooling2D,
        layers.Concatenate,
    }
)
"""The other layers of models whose Dense layers may be of another width."""

OPTIMIZERS = frozenset(
    {
        optimizers.SGD,
        optimizers.RMSprop,
        optimizers.Adam,
        optimizers.AdamW,
        optimizers.Adamax,
        optimizers.Nadam,
        optimizers.Lamb,
        optimizers.Lion,
        optimizers.Adagrad,
        optimizers.Adadelta,
    }
)
"""Optimizers that treat each weight by itself."""

_REPRESENTATIVE = 2
_REGULARIZERS = (regularizers.L1, regularizers.L2, regularizers.L1L2)


class Widths:
    """The layers of a built model that may be of another width, in the order of the model.

    Args:
        model: wholly Keras' own, and built.

    Attributes:
        values: how wide they are; empty where every width is part of the model's key.
        sizes: all that follows from them: the sizes of every weight and of every tensor between layers.
    """

    def __init__(self, model: keras.Model) -> None:
        self._layers = _open(model)
        self._owners = {id(layer) for layer in self._layers}
        self.values: tuple[int, ...] = tuple(layer.units for layer in self._layers)
        self.sizes = _sizes(model) if self._layers else ()
        metrics = model.metrics_variables if self._layers else []
        self._whole = {id(variable) for variable in metrics}

    def holds(self, owner: Any, name: str) -> bool:
        """Whether an attribute of an object is one of the widths."""
        return name == "units" and id(owner) in self._owners

    def shape(self, variable: keras.Variable) -> list[int | None]:
        """The shape of one of the model's variables, where widths and what follows from them are None."""
        if not self._layers or id(variable) in self._whole:
            return list(variable.shape)
        return [None if size != 1 else 1 for size in variable.shape]

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Meanwhile every one of these layers says that it is of one and the same width."""
        try:
            for layer in self._layers:
                vars(layer)["units"] = _REPRESENTATIVE
            yield
        finally:
            for layer, value in zip(self._layers, self.values, strict=True):
                vars(layer)["units"] = value


class Tried:
    """The sizes of models of one topology whose graphs have been found to be one.

    Args:
        sizes: of the first (`Widths.sizes`).
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        self._seen = [{size} for size in sizes]

    def covers(self, sizes: Sequence[int]) -> bool:
        """Whether the graph of these sizes is known: each has been varied, or is the only one that was tried."""
        return all(len(seen) > 1 or size in seen for seen, size in zip(self._seen, sizes, strict=True))

    def add(self, sizes: Sequence[int]) -> None:
        """Notes that the graph of these sizes is the same."""
        for seen, size in zip(self._seen, sizes, strict=True):
            seen.add(size)


@contextmanager
def shapes_open(model: keras.Model) -> Iterator[None]:
    """While a step of a model is traced, shapes that would be constants of its graph are computed in it.

    Those of the gradients of regularizers, and of what layers draw at random. Neither changes a bit of the results, as
    those of BatchNormalization would: of a division by a constant TensorFlow makes a product.
    """
    held = [variable for variable in model.trainable_variables if type(variable.regularizer) in _REGULARIZERS]
    before = [variable._regularizer for variable in held]
    drawing = [layer for layer in model._flatten_layers() if type(layer) in _DRAWING]
    try:
        for variable, regularizer in zip(held, before, strict=True):
            variable._regularizer = _of_unknown_shape(regularizer)
        for layer in drawing:
            vars(layer)["call"] = _call(layer)
        yield
    finally:
        for variable, regularizer in zip(held, before, strict=True):
            variable._regularizer = regularizer
        for layer in drawing:
            del vars(layer)["call"]


_BEFORE_DRAWING = frozenset(
    {layers.InputLayer, layers.Dense, layers.Activation, layers.ReLU, layers.LeakyReLU, layers.ELU}
)


def _of_unknown_shape(regularizer: Any) -> Any:
    return lambda weight: regularizer(_opaque(tf.convert_to_tensor(weight)))


def _call(layer: keras.layers.Layer) -> Any:
    """The `call` of a layer, which does not see the sizes of what it takes."""
    own = layer.call

    def call(inputs: Any, **settings: Any) -> Any:
        outputs = tf.identity(own(_opaque(inputs), **settings))
        outputs.set_shape(inputs.shape)
        return outputs

    return call


def _opaque(tensor: tf.Tensor) -> tf.Tensor:
    """The tensor, whose sizes a trace does not know."""
    return tf.raw_ops.PlaceholderWithDefault(input=tensor, shape=[None] * len(tensor.shape))


def _open(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers of the model whose widths may differ, if any."""
    optimizer = model.optimizer
    if type(optimizer) not in OPTIMIZERS or optimizer.gradient_accumulation_steps is not None:
        return []
    operations = _operations(model)
    if not operations or not all(
        type(operation) is layers.Dense or type(operation) in OTHERS for operation in operations
    ):
        return []
    if not all(_draws_alone(operation) for operation in operations if type(operation) in _DRAWING):
        return []
    closed = _at_the_end(model)
    return [
        operation
        for operation in operations
        if type(operation) is layers.Dense and id(operation) not in closed and operation.units > 1
    ]


def _draws_alone(layer: keras.layers.Layer) -> bool:
    """Whether a layer that draws random numbers stands where TensorFlow rewrites nothing together with it."""
    before = {type(parent.operation) for node in layer._inbound_nodes for parent in node.parent_nodes}
    after = {type(node.operation) for node in layer._outbound_nodes}
    return before <= _BEFORE_DRAWING and after <= {layers.Dense}


def _operations(model: keras.Model) -> Sequence[Any]:
    """The layers and operations of a model that is a graph of them; none of another one."""
    inner = model._functional if type(model) is keras.Sequential else model
    operations: Sequence[Any] = getattr(inner, "operations", ())
    return operations


def _sizes(model: keras.Model) -> tuple[int, ...]:
    """The sizes of every weight and of every tensor between layers; 0 for that of a batch."""
    shapes = [tuple(variable.shape) for variable in model.variables]
    for operation in _operations(model):
        for node in operation._inbound_nodes:
            shapes += [tuple(tensor.shape) for tensor in keras.tree.flatten(node.outputs)]
    return tuple(size or 0 for shape in shapes for size in shape)


def _at_the_end(model: keras.Model) -> set[int]:
    """The layers whose widths are those of the model's outputs, or part of them."""
    closed: set[int] = set()
    left = list(model.outputs)
    while left:
        history = left.pop()._keras_history
        layer = history.operation
        if id(layer) in closed:
            continue
        closed.add(id(layer))
        if type(layer) is not layers.Dense:
            for node in layer._inbound_nodes:  # every use of it, which closes more rather than less
                left += node.input_tensors
    return closed
