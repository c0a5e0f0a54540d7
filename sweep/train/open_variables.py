"""Variables of Keras whose shape TensorFlow's runtime does not ask for, so that programs are made ready once.

Before a program runs for the first time, TensorFlow optimizes it for the shapes of the variables that it is bound to:
some 0.15 s for a network of six layers, and again for each other width. A variable that was made with an open shape has
none to ask for. To Python, and so to every trace, it shows the shape that it has.

The numbers are the same but for rounding in a few networks: TensorFlow turns a sum of many tensors into one operation,
and reorders products that broadcast, where it knows the shapes.
"""

import functools
import hashlib
import inspect
from typing import Any

import keras
import tensorflow as tf

_KNOWN = {"ab759c22f87fb300c93b8283ea280ff99a52fc483376bd43d1edc26b0080601d"}
"""SHA-256 of the source of Keras' `Variable._initialize` in the versions that do what `_initialize` does: 3.15."""

_OPEN = "_is_open"


def install() -> None:
    """From now on Keras makes such variables, where its way of making them is the one that is known here."""
    try:
        from keras.src.backend.tensorflow.core import Variable

        _handle_data()
        source = hashlib.sha256(inspect.getsource(Variable._initialize).encode()).hexdigest()
    except (ImportError, AttributeError, OSError):  # another Keras or TensorFlow: slower, but right
        return
    if source in _KNOWN:
        Variable._initialize = _initialize


def _initialize(self: Any, value: Any) -> None:
    """Keras' `Variable._initialize`, with an open shape where that is of use and changes nothing."""
    if isinstance(value, tf.Variable):
        self._value = value
        return
    self._value = _made(
        value,
        self._shape if _may_be_open(self) else None,
        dtype=self._dtype,
        trainable=self.trainable,
        name=self.name,
        aggregation=self._map_aggregation(self.aggregation),
        synchronization=self._map_synchronization(self.synchronization),
    )


def _may_be_open(variable: Any) -> bool:
    """Whether a variable is one of those that programs share.

    Not one of a strategy, of which there are several; nor one that is made in a trace, which reads it before its shape
    is shown; nor one of a model that computes with fewer bits, where other operations are fused without a shape, and
    round much.
    """
    single = variable._dtype == "float32" and keras.config.dtype_policy().compute_dtype == "float32"
    return single and not tf.distribute.has_strategy() and not tf.inside_function()


def copied(variable: Any) -> tf.Variable:
    """A variable of TensorFlow with the value of another one, and as open as that is.

    Args:
        variable: Keras' or TensorFlow's.
    """
    original = variable.value if isinstance(variable, keras.Variable) else variable
    value = tf.convert_to_tensor(original)
    return _made(value, value.shape if getattr(original, _OPEN, False) else None)


def _made(value: Any, shape: Any, **settings: Any) -> tf.Variable:
    """A variable, open where its shape is given."""
    if shape is None or len(shape) == 0:
        return tf.Variable(value, **settings)
    shape = tf.TensorShape(shape)
    made = tf.Variable(value, shape=tf.TensorShape([None] * shape.rank), **settings)
    made._shape = shape
    made.handle._handle_data = _handle_data()(shape, made.dtype)
    setattr(made, _OPEN, True)
    return made


@functools.cache
def _handle_data() -> Any:
    from tensorflow.python.ops.handle_data_util import create_handle_data

    return create_handle_data
