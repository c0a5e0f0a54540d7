"""When two models may run one program: a key over everything of a model that a trace bakes in.

A traced step holds Python numbers, names and functions as constants; only variables can be rebound. The key is
therefore made of the model's config (its topology) and of every attribute of its layers, loss, metrics and optimizer as
they are now, found by walking the objects rather than by trusting `get_config`: `exclude_from_weight_decay`, what was
set after construction and the statistics of an adapted Normalization are in no config. Variables enter as positions in
`variables`.

Numbers that may be inputs of a program (`scalar_inputs.py`) enter only by how they compare with 0 and 1, and widths
that may differ (`widths.py`) not at all; a `Key` holds both beside its digest.

Whatever the walk does not know, above all any class or function that is not Keras' own, makes the model `Unshareable`:
it gets a program of its own, which is always right. Left out are only attributes that no trace reads, listed below.
"""

import enum
import functools
import hashlib
import inspect
import json
import re
import sys
import types
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework.config import is_op_determinism_enabled  # there is no public way to ask

from sweep.train.data import Rows
from sweep.train.scalar_inputs import Number, allowed, numbers_of, replaced, weights_of_losses
from sweep.train.widths import Widths

_TRACKING = "_tracker _tracked _auto_config _lock build quantize _path _parent_path _build_shapes_dict _compile_config"
_GRAPH_OF_LAYERS = (  # which the config holds
    "_inbound_nodes _outbound_nodes _nodes _nodes_by_depth _operations_by_depth "
    "_inputs _outputs _inputs_struct _outputs_struct"
)
_CALLS = "_losses _loss_ids _called _call_signature"  # tensors of earlier calls, which the next call drops
_TRAINING = (
    "train_function test_function predict_function history stop_training stop_evaluating stop_predicting "
    "_initial_epoch _eval_epoch_iterator _compiled_trainable_state _distribution_strategy "
    "_trainable_variables_indices _exclude_from_weight_decay_cache"
)
_RANDOM = "_initial_seed backend"  # where a generator began: what it draws from now on is in its variable
_BOOKKEEPING = frozenset(" ".join((_TRACKING, _GRAPH_OF_LAYERS, _CALLS, _TRAINING, _RANDOM)).split())
_PLAIN = (type(None), bool, int, float, complex, str, bytes)


class Unshareable(Exception):
    """What about a model a key cannot tell."""


def variables(model: keras.Model) -> list[keras.Variable]:
    """Every variable that a step of the model can touch, in an order that models of one key share."""
    optimizer = [] if model.optimizer is None else model.optimizer.variables
    return [*model.variables, *optimizer, *model.metrics_variables]


def build(model: keras.Model, rows: Rows) -> None:
    """Builds layers, loss, metrics and optimizer by one row, in place of the trace of `train_step` that would.

    Raises:
        Unshareable: the model is not wholly Keras' own, so that its code must not run an extra time, or it does not
            take the row.
    """
    _described(model, _Walk(None), ())  # which refuses what is not Keras' own
    first = rows.layout.pack([tensor[:1] for tensor in rows.tensors])
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(first)
    try:
        if not all(layer.built for layer in _layers(model)):
            model(keras.tree.map_structure(lambda t: keras.KerasTensor((None, *t.shape[1:]), t.dtype.name), x))
        before = [(variable, tf.identity(variable.value)) for variable in model.non_trainable_variables]
        predicted = model(x, training=False)
        model.compute_loss(x, y, predicted, sample_weight, training=False)
        model.compute_metrics(x, y, predicted, sample_weight)
    except Exception as refusal:
        raise Unshareable("the model does not take a row of the data") from refusal
    for variable, value in before:  # some layers draw random numbers even where they do not train, LSTM for one
        variable.assign(value)
    model.reset_metrics()
    if model.optimizer is not None and not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)


@dataclass(frozen=True)
class Key:
    """What must be equal for two models to share a program, and the numbers and widths in which they may differ.

    Attributes:
        digest: equal for two models only where a trace of one does for the other what its own would, given its numbers
            and where their widths are the same.
        numbers: of the model, in an order that models of one digest share.
        widths: of layers of the model, in such an order too. `widths.py` tells whether one program does for two.
        sizes: all that follow from the widths (`Widths.sizes`).
    """

    digest: str
    numbers: tuple[Number, ...]
    widths: tuple[int, ...] = ()
    sizes: tuple[int, ...] = ()

    @property
    def whole(self) -> tuple[str, tuple[float, ...], tuple[int, ...]]:
        """All that a trace of the model depends on."""
        return self.digest, tuple(number.value for number in self.numbers), self.widths


def key(model: keras.Model) -> Key:
    """The key of a model, and the numbers that it leaves open.

    Raises:
        Unshareable: the model, or something in it, is not wholly Keras' own.
    """
    surroundings = [
        keras.config.floatx(),
        keras.config.epsilon(),
        keras.config.image_data_format(),
        keras.config.is_flash_attention_enabled(),
        tf.zeros(()).device,
        model.jit_compile,
    ]
    known = variables(model)
    walk = _Walk(known, Widths(model)) if allowed(model, known) else _Walk(known)
    described = _described(model, walk, known)
    values, sizes = ((), ()) if walk.widths is None else (walk.widths.values, walk.widths.sizes)
    with replaced(walk.numbers, [number.representative for number in walk.numbers]):
        if walk.widths is None or not values:
            topology = _topology(model)
        else:
            with walk.widths.hidden():
                topology = _without(_topology(model), "shape")  # of the tensors between layers
    text = json.dumps([surroundings, described, topology])
    return Key(hashlib.sha256(text.encode()).hexdigest(), tuple(walk.numbers), values, sizes)


def _described(model: keras.Model, walk: "_Walk", known: Sequence[keras.Variable]) -> Any:
    """The model as plain values."""
    if type(model) not in (keras.Model, keras.Sequential, type(_functional())):
        raise Unshareable(f"the model is a {type(model).__name__}")
    if any(getattr(layer, "stateful", False) for layer in _layers(model)):
        raise Unshareable("a layer keeps its state between batches")
    return [*(walk.describe(variable, "variable") for variable in known), walk.describe(model, "model")]


def suits_xla(model: keras.Model) -> bool:
    """Whether XLA may run what Keras would run as a graph.

    It may where all layers allow it and compute in the type that they store (XLA keeps more bits between two
    roundings), nothing asks for the reproducibility of `tf.config.experimental.enable_op_determinism`, and Keras itself
    uses XLA if there is a GPU.
    """
    layers = _layers(model)
    if is_op_determinism_enabled() or not all(layer.supports_jit for layer in layers):
        return False
    if any(layer.compute_dtype != layer.variable_dtype for layer in layers):
        return False
    return bool(model.jit_compile) or not tf.config.list_physical_devices("GPU")


def _layers(model: keras.Model) -> list[keras.layers.Layer]:
    return [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.Layer)]


@functools.cache
def _functional() -> keras.Model:
    inputs = keras.Input((1,))
    return keras.Model(inputs, inputs)


@functools.cache
def _compiled_loss() -> Any:
    model = _functional()
    model.compile(loss="mse")
    return type(model._compile_loss)


def _topology(model: keras.Model) -> Any:
    try:
        config = json.loads(json.dumps(keras.saving.serialize_keras_object(model)))
    except Exception as refusal:
        raise Unshareable("the model has no complete config") from refusal
    return _without(config, "compile_config", "build_config", "module")


def _without(config: Any, *names: str) -> Any:
    """The config without initializers, which a built model has done with, and without the given entries."""
    if isinstance(config, list):
        return [_without(entry, *names) for entry in config]
    if not isinstance(config, dict):
        return config
    left = {name: entry for name, entry in config.items() if name not in names and not name.endswith("_initializer")}
    return {name: _without(entry, *names) for name, entry in left.items()}


class _Walk:
    """Describes objects as nested lists of plain values, each object once.

    Args:
        known: the variables by position; None for a model that need not be built yet.
        widths: of the model, which are left open, as are the numbers that may be inputs; None to leave nothing open.

    Attributes:
        numbers: those that are left open, in the order in which they were found.
    """

    def __init__(self, known: list[keras.Variable] | None, widths: Widths | None = None) -> None:
        self.numbers: list[Number] = []
        self.widths = widths
        self._built = known is not None
        self._positions = {id(variable): position for position, variable in enumerate(known or ())}
        self._seen: dict[int, tuple[int, Any]] = {}  # holds the objects, or an id could come again

    def describe(self, value: Any, path: str) -> Any:
        if isinstance(value, keras.Variable):
            return self._variable(value, path)
        if isinstance(value, (*_PLAIN, np.generic, np.dtype, tf.DType, enum.Enum)):
            return [type(value).__name__, repr(value)]
        if isinstance(value, (np.ndarray, tf.Tensor)):
            return _array(value, path)
        if isinstance(value, type):
            return self._own(value, path)
        if isinstance(value, (types.FunctionType, types.BuiltinFunctionType)):
            return self._function(value, path)
        if id(value) in self._seen:
            return ["seen", self._seen[id(value)][0]]
        self._seen[id(value)] = (len(self._seen), value)
        return self._container(value, path)

    def _container(self, value: Any, path: str) -> Any:
        if isinstance(value, functools.partial):
            return ["partial", self.describe([value.func, value.args, value.keywords], path)]
        if isinstance(value, (list, tuple)):
            return ["list", *(self.describe(entry, f"{path}[{i}]") for i, entry in enumerate(value))]
        if isinstance(value, dict):
            return [
                "dict",
                *([repr(name), self.describe(value[name], f"{path}.{name}")] for name in _plain(value, path)),
            ]
        if isinstance(value, (set, frozenset)):
            return ["set", *map(repr, _plain(value, path))]
        if isinstance(value, keras.initializers.Initializer):
            return "initializer"
        if isinstance(value, re.Pattern):
            return ["pattern", repr(value.pattern), value.flags]
        if type(value).__module__.partition(".")[0] == "optree":
            return ["structure", str(value)]
        return self._object(value, path)

    def _object(self, value: Any, path: str) -> Any:
        own = self._own(type(value), path)
        if not hasattr(value, "__dict__"):
            raise Unshareable(f"{path} is a {type(value).__name__}")
        kept = {
            name: attribute
            for name, attribute in vars(value).items()
            if name not in _BOOKKEEPING and not name.startswith(("_self_", "_saved_model_"))
        }
        return [own, *([name, self._attribute(value, name, kept[name], path)] for name in sorted(kept))]

    def _attribute(self, owner: Any, name: str, value: Any, path: str) -> Any:
        if self.widths is None:
            return self.describe(value, f"{path}.{name}")
        if self.widths.holds(owner, name):
            return "a width"
        if self.widths.values and name == "axes" and type(owner) is keras.InputSpec:
            return ["sizes", *([axis, size == 1] for axis, size in sorted(value.items()))]
        if numbers := numbers_of(owner, name, value):
            return self._opened(numbers, value, f"{path}.{name}")
        if type(owner) is _compiled_loss() and owner.built:
            if name == "_user_loss_weights":
                return "the weights of the losses"  # which its flat losses have
            if name == "_flat_losses":
                return self._opened(weights_of_losses(value), value, f"{path}.{name}")
        return self.describe(value, f"{path}.{name}")

    def _opened(self, numbers: list[Number], value: Any, path: str) -> Any:
        """A value with numbers in it that are left open."""
        self.numbers += numbers
        kinds = [number.kind for number in numbers]
        if isinstance(value, (dict, list)):
            with replaced(numbers, [number.representative for number in numbers]):
                return ["open", kinds, self.describe(value, path)]
        return ["open", kinds]

    def _variable(self, value: keras.Variable, path: str) -> Any:
        if not self._built:
            return "variable"
        if id(value) not in self._positions:
            raise Unshareable(f"{path} is a variable of nobody")
        if id(value) in self._seen:
            return ["variable", self._positions[id(value)]]
        self._seen[id(value)] = (len(self._seen), value)
        shape = list(value.shape) if self.widths is None else self.widths.shape(value)
        baked_in = [value.path, shape, value.dtype, value.trainable, value._autocast, value.value.device]
        return ["variable", *baked_in, self.describe([value.regularizer, value.constraint], path)]

    def _own(self, kind: type, path: str) -> list[str]:
        if kind.__module__.partition(".")[0] != "keras" and kind not in _PLAIN:
            raise Unshareable(f"{path} is a {kind.__module__}.{kind.__qualname__}, not Keras' own")
        return [kind.__module__, kind.__qualname__]

    def _function(self, value: Any, path: str) -> list[str]:
        module, name = value.__module__ or "", str(value.__name__)
        if module.partition(".")[0] != "keras" or getattr(sys.modules.get(module), name, None) is not value:
            raise Unshareable(f"{path} is a function that is not Keras' own")
        return [module, name]


def _plain(names: Any, path: str) -> list[Any]:
    if not all(isinstance(name, _PLAIN) or (isinstance(name, tuple) and not _objects(name)) for name in names):
        raise Unshareable(f"{path} holds objects as keys")
    return sorted(names, key=repr)


def _objects(names: tuple[Any, ...]) -> bool:
    return not all(isinstance(name, _PLAIN) for name in names)


def _array(value: Any, path: str) -> list[str]:
    if not hasattr(value, "__array__") or inspect.isabstract(type(value)):
        raise Unshareable(f"{path} is a tensor without a value")
    array = np.asarray(value)
    return [str(array.dtype), str(array.shape), hashlib.sha256(array.tobytes()).hexdigest()]
