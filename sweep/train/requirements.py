"""What a model, its callbacks and the arguments of `fit` must be for an epoch to run as one program."""

from typing import Any

import keras
import tensorflow as tf

from sweep.train.data import Unsuitable

_BATCH_HOOKS = (
    "on_batch_begin",
    "on_batch_end",
    "on_train_batch_begin",
    "on_train_batch_end",
    "on_test_batch_begin",
    "on_test_batch_end",
)
_EPOCH_WISE = (keras.callbacks.ModelCheckpoint, keras.callbacks.BackupAndRestore)
_OWN_LOOPS = ("fit", "evaluate", "make_train_function", "make_test_function")


def check_model(model: Any) -> None:
    """Refuses a model whose epochs only Keras' `fit` can run.

    Raises:
        Unsuitable: what about the model it is.
    """
    if keras.config.backend() != "tensorflow":
        raise Unsuitable(f"Keras runs on {keras.config.backend()}, not on TensorFlow")
    if not isinstance(model, keras.Model) or not model.compiled:
        raise Unsuitable("the model is not compiled")
    if model.run_eagerly or tf.config.functions_run_eagerly():
        raise Unsuitable("the model runs eagerly (run_eagerly)")
    if model.steps_per_execution != 1:
        raise Unsuitable(f"the model was compiled with steps_per_execution={model.steps_per_execution}")
    if tf.distribute.has_strategy() or model.distribute_strategy.num_replicas_in_sync != 1:
        raise Unsuitable("a distribution strategy spreads the model over devices")
    if keras.distribution.distribution() is not None:
        raise Unsuitable("a keras.distribution spreads the model over devices")
    if keras.config.max_epochs() or keras.config.max_steps_per_epoch():
        raise Unsuitable("keras.config caps epochs or steps")
    for name in _OWN_LOOPS:
        if getattr(type(model), name) is not getattr(keras.Model, name) or name in vars(model):
            raise Unsuitable(f"the model has a {name} of its own")


def check_callbacks(callbacks: Any) -> None:
    """Refuses callbacks that want to be called for each batch.

    Raises:
        Unsuitable: names the first of them.
    """
    for callback in listed(callbacks):
        if isinstance(callback, keras.callbacks.ProgbarLogger):
            continue  # shows the epoch when it ends
        for hook in _BATCH_HOOKS:
            if _acts_on(callback, hook):
                raise Unsuitable(f"the callback {type(callback).__name__} is called for each batch ({hook})")


def listed(callbacks: Any) -> list[keras.callbacks.Callback]:
    """The callbacks that `keras.Model.fit` is given: None, one, any nesting of lists and tuples, a `CallbackList`."""
    if callbacks is None:
        return []
    given = callbacks.callbacks if isinstance(callbacks, keras.callbacks.CallbackList) else callbacks
    return list(keras.tree.flatten(given))


def _acts_on(callback: Any, hook: str) -> bool:
    if hook in vars(callback):
        return True
    method = getattr(type(callback), hook, None)
    if method is None or method is getattr(keras.callbacks.Callback, hook):
        return False
    waits_for_epochs = getattr(callback, "save_freq", None) == "epoch"
    return not (waits_for_epochs and any(method is getattr(kind, hook) for kind in _EPOCH_WISE))
