"""The names that a model's logs will have, known before its first epoch."""

from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary, ref

import keras
import numpy as np
import tensorflow as tf

from sweep.train.steps import trace

_known: WeakKeyDictionary[Any, tuple[Any, list[str], list[str]]] = WeakKeyDictionary()


def flatten(logs: Mapping[str, Any]) -> dict[str, Any]:
    """Logs whose values may be dicts of logs again as one dict sorted by name, the way `fit` flattens them."""
    flat: dict[str, Any] = {}
    for name, value in sorted(logs.items()):
        flat.update(flatten(value) if isinstance(value, Mapping) else {name: value})
    return flat


def metric_names(model: keras.Model, has_validation: bool) -> list[str]:
    """Names of the logs that each epoch of `model` has, such as `["loss", "mae", "val_loss", "val_mae"]`,
    sorted.

    They are known from `Callback.on_train_begin` on, in a training by `compiled.fit`. The list is empty where
    nobody can know them before the first batch has run: a generator, a model that runs eagerly, a distributed
    one. Names that callbacks add, such as `learning_rate`, are not in it.

    Args:
        model: a compiled model.
        has_validation: whether the epochs will be validated.
    """
    made, training, testing = _known.get(model, (None, [], []))
    if made is None or made() is None or made() is not model.train_function:
        training = testing = _of_built(model)
    return sorted([*training, *(f"val_{name}" for name in testing if has_validation)])


def remember(model: keras.Model, training: list[str], testing: list[str]) -> None:
    """Notes the names of the logs of `train_step` and `test_step`, until the model is compiled again."""
    model.make_train_function()  # compile() drops it, so that it tells one compilation from the next
    _known[model] = (ref(model.train_function), training, testing)


def foresee(model: keras.Model, x: Any, y: Any, sample_weight: Any) -> None:
    """Remembers the names for a training that Keras' `fit` will run, where the data say what a batch looks
    like.

    Builds the model, its loss and its metrics by tracing, as the first batch would.
    """
    if model.run_eagerly or tf.config.functions_run_eagerly() or tf.distribute.has_strategy():
        return
    if model.distribute_strategy.num_replicas_in_sync != 1:
        return
    batch = _batch_spec(x, y, sample_weight)
    if batch is None:
        return
    try:
        testing = _names(model.test_step, batch)
        own = type(model).train_step is not keras.Model.train_step or type(model).test_step is not keras.Model.test_step
        training = _names(model.train_step, batch) if own else testing
    except Exception:  # whatever it is, fit meets it next and says it better
        return
    remember(model, training, testing)


def _of_built(model: keras.Model) -> list[str]:
    if model.optimizer is None or not model.optimizer.built:
        return []
    try:
        return sorted(flatten(model.get_metrics_result()))
    except ValueError:  # metrics that are not built
        return []


def _names(step: Any, batch: Any) -> list[str]:
    return sorted(flatten(trace(step, batch).structured_outputs))


def _batch_spec(x: Any, y: Any, sample_weight: Any) -> Any:
    if isinstance(x, tf.data.Dataset):
        return x.element_spec
    if isinstance(x, keras.utils.PyDataset):
        return keras.tree.lists_to_tuples(keras.tree.map_structure(_spec, x[0]))
    packed = keras.tree.lists_to_tuples(keras.utils.pack_x_y_sample_weight(x, y, sample_weight))
    if not all(isinstance(leaf, (np.ndarray, tf.Tensor)) for leaf in keras.tree.flatten(packed)):
        return None
    return keras.tree.map_structure(_spec, packed)


def _spec(leaf: Any) -> tf.TensorSpec:
    kind = keras.backend.standardize_dtype(leaf.dtype)
    return tf.TensorSpec([None, *leaf.shape[1:]], keras.config.floatx() if keras.backend.is_float_dtype(kind) else kind)
