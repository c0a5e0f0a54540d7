"""The optimizers of a model: the one it was compiled with, and those that it or a part of it keeps for itself.

A GAN has one for its generator and one for its discriminator, mostly as attributes `g_optimizer` and `d_optimizer` that
its own `train_step` uses, while `model.optimizer` is one that Keras made by default and that nothing ever uses.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import keras

from sweep.tensorboard.event_files import LEARNING_RATE
from sweep.train.graphs import is_automatic

__all__ = ["LEARNING_RATE", "learning_rates", "optimizers"]


def optimizers(model: keras.Model) -> dict[str, keras.optimizers.Optimizer]:
    """Every optimizer of a model by where it is found, in an order that depends on nothing but the model's definition.

    `optimizer` is the one that the model was compiled with. Others are named after the attribute that holds them
    (`d_optimizer`, or `by_task.segmentation` in a dict, `pair.0` in a list), those of a nested model after that model
    too (`discriminator.optimizer`). An optimizer that is found twice has its first name alone, and one inside a
    `LossScaleOptimizer` comes with that, whose variables are both.

    Returns:
        The optimizers by name; they need not be built yet.
    """
    found: dict[str, keras.optimizers.Optimizer] = {}
    seen: set[int] = set()
    for name, optimizer in _within(model, "", set()):
        if id(optimizer) not in seen:
            seen.update((id(optimizer), id(getattr(optimizer, "inner_optimizer", optimizer))))
            found[name] = optimizer
    return found


def learning_rates(model: keras.Model) -> dict[str, float]:
    """The present learning rates of the optimizers that a model trains with, as metrics of an epoch.

    One is `learning_rate`; several are `learning_rate/d_optimizer`, `learning_rate/g_optimizer` and so on, by the names
    that `optimizers` gives. Keras' own `train_step` uses the model's optimizer alone. With a `train_step` of the user's
    those that the model holds as attributes count, and that it was compiled with or that nested models have count
    where they have made a step.

    Returns:
        Rates by the name of their metric; none for a model without an optimizer.
    """
    used = _used(model)
    if len(used) == 1:
        used = {LEARNING_RATE: next(iter(used.values()))}
    else:
        used = {f"{LEARNING_RATE}/{name}": optimizer for name, optimizer in used.items()}
    rates = {name: _rate(optimizer) for name, optimizer in used.items()}
    return {name: rate for name, rate in rates.items() if rate is not None}


def _used(model: keras.Model) -> dict[str, keras.optimizers.Optimizer]:
    own = getattr(model, "optimizer", None)
    if type(model).train_step is keras.Model.train_step and isinstance(own, keras.optimizers.Optimizer):
        return {"optimizer": own}
    found = optimizers(model)
    nested = {name for name in found if name.endswith(".optimizer")}
    used = {
        name: optimizer
        for name, optimizer in found.items()
        if (name != "optimizer" and name not in nested) or _has_stepped(optimizer)
    }
    if not used and "optimizer" in found:
        return {"optimizer": found["optimizer"]}
    return used


def _within(part: keras.Layer, path: str, above: set[int]) -> Iterator[tuple[str, keras.optimizers.Optimizer]]:
    """The optimizers of a model or layer and of those nested in it, each with its name."""
    if id(part) in above:
        return
    above.add(id(part))
    held = {name: value for name, value in vars(part).items() if _is_own(name, value)}
    named = {name: held[name] for name in sorted(held.keys() - {"optimizer"})}
    yield from _held({"optimizer": held.get("optimizer"), **named}, path, above)
    layers = part._flatten_layers(include_self=False, recursive=False)
    hidden = [layer for layer in layers if not isinstance(layer, keras.layers.InputLayer)]  # which building may add
    for place, layer in enumerate(hidden):
        name = f"layers.{place}" if is_automatic(layer) else layer.name  # a functional model has no attributes for them
        yield from _within(layer, f"{path}{name}.", above)


def _is_own(name: str, value: Any) -> bool:
    """Whether a user set an attribute: the private ones of Keras and TensorFlow hold layers, or everything again."""
    if not name.startswith("_"):
        return True
    items = value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else [value]
    return not name.startswith("_self_") and all(isinstance(item, keras.optimizers.Optimizer) for item in items)


def _held(value: Any, path: str, above: set[int]) -> Iterator[tuple[str, keras.optimizers.Optimizer]]:
    for name, item in value.items() if isinstance(value, Mapping) else enumerate(value):
        if isinstance(item, keras.optimizers.Optimizer):
            yield f"{path}{name}", item
        elif isinstance(item, keras.Layer):
            yield from _within(item, f"{path}{name}.", above)
        elif isinstance(item, (list, tuple, Mapping)) and id(item) not in above:
            above.add(id(item))
            yield from _held(item, f"{path}{name}.", above)


def _has_stepped(optimizer: keras.optimizers.Optimizer) -> bool:
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    iterations = getattr(inner, "_iterations", inner.iterations)  # not divided by `gradient_accumulation_steps`
    return bool(keras.ops.convert_to_numpy(iterations) > 0)


def _rate(optimizer: keras.optimizers.Optimizer) -> float | None:
    rate = getattr(optimizer, "learning_rate", None)
    if isinstance(rate, keras.Variable):
        rate = rate.value.value()  # of which `numpy` takes a tenth of the time that Keras takes for a variable
    return None if rate is None else float(keras.ops.convert_to_numpy(rate))
