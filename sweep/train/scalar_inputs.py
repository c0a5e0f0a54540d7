"""Numbers of a model that are inputs of a program, not constants in it: dropout rates, L2 factors, betas and so on.

Models that differ only in such numbers share a program. While it is traced, each number is replaced by a `Scalar`, on
which Python computes as it would on the float: `1 - beta` is another `Scalar`, which remembers the expression. Where
one meets a tensor, it becomes a variable. Binding the program to another model evaluates the same expressions with that
model's numbers, in Python's double precision as Keras would, so that a shared program computes what the model's own
would, bit for bit.

A number is replaced only where it is listed here, for exactly that class. Whatever a trace does with a `Scalar` that is
not known to be safe (rounding it, comparing it with anything but 0 and 1, making it an attribute of an operation)
raises, and the model gets a program of its own.
"""

import functools
import math
import numbers
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers, losses, optimizers, regularizers

_OF_EVERY_OPTIMIZER = ("weight_decay", "clipnorm", "global_clipnorm", "clipvalue", "ema_momentum")
_BETAS = ("beta_1", "beta_2")

LISTED: Mapping[type, tuple[str, ...]] = {
    layers.Dropout: ("rate",),
    layers.SpatialDropout1D: ("rate",),
    layers.SpatialDropout2D: ("rate",),
    layers.SpatialDropout3D: ("rate",),
    layers.AlphaDropout: ("rate",),
    layers.GaussianNoise: ("stddev",),
    layers.BatchNormalization: ("momentum",),
    layers.ActivityRegularization: ("l1", "l2"),
    layers.SimpleRNNCell: ("dropout", "recurrent_dropout"),
    layers.GRUCell: ("dropout", "recurrent_dropout"),
    layers.LSTMCell: ("dropout", "recurrent_dropout"),
    regularizers.L1: ("l1",),
    regularizers.L2: ("l2",),
    regularizers.L1L2: ("l1", "l2"),
    losses.BinaryCrossentropy: ("label_smoothing",),
    losses.BinaryFocalCrossentropy: ("label_smoothing",),
    losses.CategoricalCrossentropy: ("label_smoothing",),
    losses.CategoricalFocalCrossentropy: ("label_smoothing",),
    optimizers.SGD: ("momentum", *_OF_EVERY_OPTIMIZER),
    optimizers.RMSprop: ("rho", "momentum", *_OF_EVERY_OPTIMIZER),
    optimizers.Adam: (*_BETAS, *_OF_EVERY_OPTIMIZER),
    optimizers.AdamW: (*_BETAS, *_OF_EVERY_OPTIMIZER),
    optimizers.Adamax: (*_BETAS, *_OF_EVERY_OPTIMIZER),
    optimizers.Nadam: (*_BETAS, *_OF_EVERY_OPTIMIZER),
    optimizers.Lamb: (*_BETAS, *_OF_EVERY_OPTIMIZER),
    optimizers.Lion: (*_BETAS, *_OF_EVERY_OPTIMIZER),
    optimizers.Adagrad: _OF_EVERY_OPTIMIZER,
    optimizers.Adadelta: ("rho", *_OF_EVERY_OPTIMIZER),
}
"""The attributes of Keras' own classes that may be inputs; each has a parity test in `test_scalar_inputs.py`."""

_LARGEST = float(np.finfo(np.float32).max)


class NotAnInput(TypeError):
    """What a trace does with a number asks for the number itself."""


@dataclass(frozen=True)
class Number:
    """A number of a model that may be an input.

    Attributes:
        value: the number.
        original: what the model holds, which may be a tensor.
        put: puts something else in its place.
    """

    value: float
    original: Any = field(repr=False)
    put: Callable[[Any], None] = field(repr=False)

    @property
    def kind(self) -> str:
        """What a trace may ask of the number itself, so that it is in a key: how it compares with 0 and 1."""
        return "between 0 and 1" if self.value < 1 else "above 1"

    @property
    def representative(self) -> float:
        """The number in the place of all that are of its kind."""
        return 0.5 if self.value < 1 else 2.0


def numbers_of(owner: Any, name: str, value: Any) -> list[Number]:
    """The numbers that an attribute of an object holds and that may be inputs; the object is of exactly Keras' class.

    Args:
        owner: any object.
        name: of the attribute.
        value: of the attribute.
    """
    if name in LISTED.get(type(owner), ()):
        return _number(vars(owner), name)
    if name == "_fn_kwargs" and type(value) is dict and "label_smoothing" in LISTED.get(type(owner), ()):
        return _number(value, "label_smoothing")
    return []


def weights_of_losses(flat_losses: Any) -> list[Number]:
    """The weights of the losses of a `CompileLoss`, which has them as named tuples in a list."""
    found = []
    for place, loss in enumerate(flat_losses):
        if _eligible(loss.loss_weights):
            found.append(Number(loss.loss_weights, loss, _putting_weight(flat_losses, place)))
    return found


def _putting_weight(flat_losses: Any, place: int) -> Callable[[Any], None]:
    def put(value: Any) -> None:
        known = flat_losses[place]
        flat_losses[place] = value if isinstance(value, type(known)) else known._replace(loss_weights=value)

    return put


def _number(holder: dict[str, Any], name: str) -> list[Number]:
    original = holder.get(name)
    value: Any = original
    if isinstance(value, tf.Tensor) and hasattr(value, "numpy") and value.shape == () and value.dtype == tf.float32:
        value = float(value)
    if not _eligible(value):
        return []
    return [Number(value, original, lambda other: holder.__setitem__(name, other))]


def _eligible(value: Any) -> bool:
    """Whether a number is one that a trace may leave open: 0 and 1 mostly say that something is left out."""
    return type(value) is float and math.isfinite(value) and 0 < value <= _LARGEST and value != 1


def allowed(model: keras.Model, variables: Sequence[keras.Variable]) -> bool:
    """Whether numbers of a model may be inputs: all of it must compute with 32 bits, to which they are then rounded."""
    kinds = {variable.dtype for variable in variables}
    kinds |= {layer.compute_dtype for layer in model._flatten_layers() if isinstance(layer, keras.layers.Layer)}
    return keras.config.floatx() == "float32" and all(kind == "float32" or "float" not in kind for kind in kinds)


@contextmanager
def replaced(held: Sequence[Number], values: Sequence[Any]) -> Iterator[None]:
    """Meanwhile a model holds other values in the place of its numbers."""
    try:
        for number, value in zip(held, values, strict=True):
            number.put(value)
        yield
    finally:
        for number in held:
            number.put(number.original)


class ScalarInputs:
    """The scalars that a program takes in the place of a model's numbers.

    Args:
        held: the numbers of the model that is traced.

    Attributes:
        cells: the variables that the program takes, in an order of its own.
    """

    def __init__(self, held: Sequence[Number]) -> None:
        self._held = held
        self._values = [number.value for number in held]
        self._places: dict[Any, int] = {}
        _kind_of_variables()  # before anything is traced
        self._read: dict[int, tuple[Any, dict[Any, tf.Tensor]]] = {}
        self.cells: list[tf.Variable] = []

    @contextmanager
    def traced(self) -> Iterator[None]:
        """While a program is traced, the model's numbers are scalars."""
        scalars = [Scalar(self, ("number", place), number.value) for place, number in enumerate(self._held)]
        try:
            with replaced(self._held, scalars):
                yield
        finally:
            self._held = ()  # they hold the model
            self._read.clear()

    @property
    def expressions(self) -> str:
        """What each cell is, in words."""
        return repr(list(self._places))

    def bound(self, values: Sequence[float]) -> list[tf.Variable]:
        """Variables like the cells, for the numbers of another model of the same key."""
        return [_cell(_evaluate(expression, values)) for expression in self._places]

    def tensor(self, expression: Any) -> tf.Tensor:
        """The value of an expression as a tensor of the graph that is being traced.

        Raises:
            NotAnInput: nothing is being traced.
        """
        if tf.executing_eagerly():
            raise NotAnInput("a number that is an input is used outside of a trace")
        graph = tf.compat.v1.get_default_graph()
        _, known = self._read.setdefault(id(graph), (graph, {}))
        if expression not in known:
            if expression not in self._places:
                self._places[expression] = len(self.cells)
                with tf.init_scope():
                    self.cells.append(_cell(_evaluate(expression, self._values)))
            known[expression] = self.cells[self._places[expression]].read_value()
        return known[expression]


class Scalar:
    """A number of a program's inputs, or what Python computes from such numbers.

    Args:
        inputs: what it is one of.
        expression: a tuple of an operation and its operands.
        value: the number, where it is one itself; None where it was computed.
    """

    __array_ufunc__ = None  # numbers of NumPy leave their arithmetic with it to this class
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, inputs: ScalarInputs, expression: Any, value: float | None = None) -> None:
        self._inputs = inputs
        self._expression = expression
        self._value = value

    def as_tensor(self, dtype: Any) -> tf.Tensor:
        """The tensor in its place.

        Raises:
            NotAnInput: it is to have another type than 32 bits of floating point.
        """
        if dtype is not None and tf.as_dtype(dtype) != tf.float32:
            raise NotAnInput(f"a number that is an input cannot be a {tf.as_dtype(dtype).name}")
        return self._inputs.tensor(self._expression)

    def _computed(self, operation: str, *operands: Any) -> Any:
        expressions = []
        for operand in operands:
            if isinstance(operand, Scalar):
                expressions.append(operand._expression)
            elif isinstance(operand, (int, float)) and not isinstance(operand, bool):
                expressions.append(("constant", type(operand).__name__, operand))
            else:
                return NotImplemented
        return Scalar(self._inputs, (operation, *expressions))

    def _compared(self, operation: Callable[[Any, Any], bool], other: Any) -> bool:
        """How it compares with 0 or 1, which is in the key.

        Raises:
            NotAnInput: it was computed, or is compared with something else.
        """
        if self._value is None or type(other) not in (int, float) or other not in (0, 1):
            raise NotAnInput("a number that is an input is compared")
        return operation(self._value, other)

    def __add__(self, other: Any) -> Any:
        return self._computed("add", self, other)

    def __radd__(self, other: Any) -> Any:
        return self._computed("add", other, self)

    def __sub__(self, other: Any) -> Any:
        return self._computed("sub", self, other)

    def __rsub__(self, other: Any) -> Any:
        return self._computed("sub", other, self)

    def __mul__(self, other: Any) -> Any:
        return self._computed("mul", self, other)

    def __rmul__(self, other: Any) -> Any:
        return self._computed("mul", other, self)

    def __truediv__(self, other: Any) -> Any:
        return self._computed("truediv", self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return self._computed("truediv", other, self)

    def __pow__(self, other: Any) -> Any:
        return self._computed("pow", self, other)

    def __rpow__(self, other: Any) -> Any:
        return self._computed("pow", other, self)

    def __neg__(self) -> Any:
        return self._computed("neg", self)

    def __lt__(self, other: Any) -> bool:
        return self._compared(operator.lt, other)

    def __le__(self, other: Any) -> bool:
        return self._compared(operator.le, other)

    def __gt__(self, other: Any) -> bool:
        return self._compared(operator.gt, other)

    def __ge__(self, other: Any) -> bool:
        return self._compared(operator.ge, other)

    def __eq__(self, other: object) -> bool:
        return self._compared(operator.eq, other)

    def __ne__(self, other: object) -> bool:
        return self._compared(operator.ne, other)

    def __bool__(self) -> bool:
        return self._compared(operator.ne, 0)

    def _itself(self, *_: Any, **__: Any) -> Any:
        raise NotAnInput("a number that is an input is asked for itself")

    __float__ = __int__ = __index__ = __complex__ = __round__ = __abs__ = __str__ = __format__ = _itself
    __array__ = __len__ = __iter__ = __getitem__ = __copy__ = __deepcopy__ = __reduce__ = _itself


def _tensor_of(scalar: Scalar, dtype: Any = None, name: str | None = None, as_ref: bool = False) -> tf.Tensor:  # noqa: ARG001  # TensorFlow's
    return scalar.as_tensor(dtype)


tf.register_tensor_conversion_function(Scalar, _tensor_of)
numbers.Real.register(Scalar)  # which TensorFlow asks of a dropout rate


def _cell(value: float) -> tf.Variable:
    """A variable of its kind's own class: TensorFlow traces a function twice in which `tf.Variable` makes one."""
    return _kind_of_variables()(np.float32(value), trainable=False)


@functools.cache
def _kind_of_variables() -> Any:
    with tf.init_scope():
        return type(tf.Variable(0.0))


def _evaluate(expression: Any, values: Sequence[float]) -> Any:
    """What Python computes by an expression, from so many numbers."""
    operation, *operands = expression
    if operation == "number":
        return values[operands[0]]
    if operation == "constant":
        return operands[1]
    return getattr(operator, operation)(*(_evaluate(operand, values) for operand in operands))
