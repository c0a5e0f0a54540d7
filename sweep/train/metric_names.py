"""The names that a model's logs have: known before its first epoch, and the same for each model of a trial."""

import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import chain, count
from typing import Any
from weakref import WeakKeyDictionary, ref

import keras
import numpy as np
import tensorflow as tf

from sweep.train.graphs import is_automatic
from sweep.train.steps import trace

_NUMBERED = re.compile(r"(.+)_([0-9]+)")

_known: WeakKeyDictionary[Any, tuple[Any, list[str], list[str] | None]] = WeakKeyDictionary()


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
    training: list[str]
    testing: list[str] | None
    made, training, testing = _known.get(model, (None, [], []))
    if made is None or made() is None or made() is not model.train_function:
        training = testing = _of_built(model)
    if has_validation and testing is None:
        return []
    return sorted([*training, *(f"val_{name}" for name in (testing or ()) if has_validation)])


def remember(model: keras.Model, training: list[str], testing: list[str] | None) -> None:
    """Notes the names of the logs of `train_step` and `test_step`, until the model is compiled again.

    A model without a `call` of its own cannot be tested, as is usual for a GAN: `testing` is None.
    """
    model.make_train_function()  # compile() drops it, so that it tells one compilation from the next
    _known[model] = (ref(model.train_function), training, testing)


def foresee(model: keras.Model, x: Any, y: Any, sample_weight: Any) -> None:
    """Remembers the names for a training that Keras' `fit` will run, where the data say what a batch looks
    like.

    Builds the model, its loss and its metrics by tracing, as the first batch would. No data are loaded.
    """
    if model.run_eagerly or tf.config.functions_run_eagerly() or tf.distribute.has_strategy():
        return
    if model.distribute_strategy.num_replicas_in_sync != 1:
        return
    batch = _batch_spec(x, y, sample_weight)
    if batch is not None:
        foresee_batch(model, batch)


def foresee_batch(model: keras.Model, batch: Any) -> None:
    """Remembers the names for a training by batches that look like this one, of arrays or `tf.TensorSpec`s."""
    try:
        specs = keras.tree.map_structure(_spec, keras.tree.lists_to_tuples(batch))
    except (AttributeError, TypeError, ValueError):  # not of arrays
        return
    testing = _names(model.test_step, specs)
    training = _names(model.train_step, specs) if _has_own_steps(model) else testing
    if training is not None:
        remember(model, training, testing)


def _has_own_steps(model: keras.Model) -> bool:
    kind = type(model)
    return kind.train_step is not keras.Model.train_step or kind.test_step is not keras.Model.test_step


def _of_built(model: keras.Model) -> list[str]:
    optimizer = getattr(model, "optimizer", None)  # which a `compile` of the user's need not set
    if optimizer is None or not optimizer.built or _has_own_steps(model):
        return []
    try:
        return sorted(flatten(model.get_metrics_result()))
    except ValueError:  # metrics that are not built
        return []


def _names(step: Any, batch: Any) -> list[str] | None:
    """The names of a step's logs; None where it cannot be traced: whatever it is, `fit` meets it next and says it
    better."""
    try:
        return sorted(flatten(trace(step, batch).structured_outputs))
    except Exception:
        return None


def _batch_spec(x: Any, y: Any, sample_weight: Any) -> Any:
    if isinstance(x, tf.data.Dataset):
        return x.element_spec
    packed = keras.tree.lists_to_tuples(keras.utils.pack_x_y_sample_weight(x, y, sample_weight))
    if not all(isinstance(leaf, (np.ndarray, tf.Tensor)) for leaf in keras.tree.flatten(packed)):
        return None
    return packed


def _spec(leaf: Any) -> Any:
    if leaf is None or isinstance(leaf, tf.TypeSpec):
        return leaf
    kind = keras.backend.standardize_dtype(leaf.dtype)
    return tf.TensorSpec([None, *leaf.shape[1:]], keras.config.floatx() if keras.backend.is_float_dtype(kind) else kind)


def canonical(model: keras.Model, names: Iterable[str], keep: Collection[str] = ()) -> dict[str, str]:
    """The names that logs have in every training of a trial, by the names that Keras gave them.

    Keras numbers what a user left unnamed by process: `metrics=[AUC()]` is `auc` in a trial's first model and `auc_1`
    in its second, and the loss of an unnamed output `dense_3_loss`. Here both are counted by model. Names that a user
    gave stay, and so does a name whose own would be another metric's.

    Args:
        model: the one that is trained, after its first batch or once its names are known.
        names: of its logs, with or without `val_`.
        keep: names that stay whatever they are, such as the objective that a study declares.

    Returns:
        Each of `names`, in their order, and what it is called.
    """
    metrics = _counted(_metrics(model))
    outputs = {"": "", **{f"{name}_": f"{own}_" for name, own in _output_names(model).items()}}
    known = {
        f"{output}{weighted}{metric}": f"{own_output}{weighted}{own_metric}"
        for output, own_output in outputs.items()
        for metric, own_metric in {"loss": "loss", **metrics}.items()
        for weighted in ("", "weighted_")
    }
    given = list(names)
    found: dict[str, str] = {}
    for name in given:
        side = "val_" if name.startswith("val_") and name not in known else ""
        own = side + known.get(name.removeprefix(side), name.removeprefix(side))
        found[name] = name if name in keep else own
    taken = Counter(found.values())
    return {name: name if taken[own] > 1 else own for name, own in found.items()}


def _metrics(model: keras.Model) -> Iterator[keras.Metric]:
    """A model's metrics, those of `compile` one by one."""
    for metric in model.metrics:
        inner = getattr(metric, "metrics", None)
        yield from inner if isinstance(inner, list) else [metric]


def _output_names(model: keras.Model) -> dict[str, str]:
    """What the outputs of a functional model are called, by their names; none for another model."""
    if not isinstance(getattr(model, "outputs", None), list) or not model.outputs:
        return {}
    parts = {id(part): part for part in (*model._flatten_layers(), *getattr(model, "operations", ()))}
    own = _counted(parts.values())
    return {name: own.get(name, name) for name in getattr(model, "output_names", None) or ()}


def _counted(things: Iterable[Any]) -> dict[str, str]:
    """Names that Keras made of a class and a count, counted from 0 again in the same order; others as they are."""
    by_name = {thing.name: thing for thing in things}
    numbered: dict[str, list[tuple[int, str]]] = {}
    for name, thing in by_name.items():
        stem, number = _split(name)
        if is_automatic(thing) and number < _handed_out(stem):
            numbered.setdefault(stem, []).append((number, name))
    given = by_name.keys() - {name for ones in numbered.values() for _, name in ones}
    found = {name: name for name in given}
    for stem, ones in numbered.items():
        free = (own for own in chain([stem], (f"{stem}_{number}" for number in count(1))) if own not in given)
        found.update({name: own for (_, name), own in zip(sorted(ones), free, strict=False)})
    return found


def _split(name: str) -> tuple[str, int]:
    match = _NUMBERED.fullmatch(name)
    return (match[1], int(match[2])) if match else (name, 0)


def _handed_out(stem: str) -> float:
    """How many names of a stem Keras has made: one whose number is higher was given by a user."""
    try:
        from keras.src.backend.common.global_state import get_global_attribute
    except ImportError:  # another Keras: every name that looks like one of these is one
        return math.inf
    made: int = get_global_attribute("object_name_uids", {}).get(stem, 0)
    return made
