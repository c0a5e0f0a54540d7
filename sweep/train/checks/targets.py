"""What a model's loss asks of its outputs: which kind of problem it is, and what predicting a constant would cost."""

from dataclasses import dataclass
from typing import Any, Literal

import keras
import numpy as np

from sweep.train.checks.forward import sigmoid, softmax

Array = np.ndarray[Any, Any]

Kind = Literal["square", "absolute", "binary", "classes", "labels"]

SCALES = "rescaling"
"""In the place of an activation: the last layer brings a network's numbers to the scale of the targets."""

_KINDS: dict[str, Kind] = {
    "meansquarederror": "square",
    "meanabsoluteerror": "absolute",
    "huber": "absolute",
    "logcosh": "absolute",
    "binarycrossentropy": "binary",
    "categoricalcrossentropy": "classes",
    "sparsecategoricalcrossentropy": "labels",
}
_WITHOUT = {"Softmax": "softmax", "ReLU": "relu", "Rescaling": SCALES, "Normalization": SCALES}
"""What layers without an activation do to their inputs."""

_SMALLEST = 1e-7  # of a probability, as `keras.config.epsilon()`


@dataclass(frozen=True)
class Problem:
    """What a single output is trained for.

    Attributes:
        kind: `labels` are whole numbers, `classes` one-hot or shares, `binary` numbers from 0 to 1 each by itself.
        logits: whether the loss expects scores instead of probabilities.
        activation: the name of the last layer's; `linear` where it has none, `SCALES` where it brings outputs to scale.
        units: how many numbers the output has.
    """

    kind: Kind
    logits: bool
    activation: str
    units: int

    @property
    def is_regression(self) -> bool:
        """Whether targets are quantities."""
        return self.kind in ("square", "absolute")

    def pairs(self, outputs: Any, targets: Any) -> tuple[Array, Array] | None:
        """Outputs, as probabilities where they are such, and targets as two arrays of equal shape `[n, units]`."""
        given = np.asarray(outputs, np.float64)
        given = given.reshape(-1, given.shape[-1]) if given.ndim > 1 else given[:, np.newaxis]
        wanted = np.asarray(targets)
        if self.kind == "labels":
            labels = wanted.reshape(-1).astype(np.int64)
            if len(labels) != len(given) or labels.size == 0 or not 0 <= labels.min() <= labels.max() < self.units:
                return None
            wanted = np.eye(self.units)[labels]
        if wanted.size != given.size:
            return None
        if self.logits and self.activation not in ("softmax", "sigmoid"):  # of which Keras takes what went in
            given = sigmoid(given) if self.kind == "binary" else softmax(given)
        return given, wanted.reshape(given.shape).astype(np.float64)

    def cost(self, outputs: Array, targets: Array) -> float:
        """The loss of outputs as `pairs` gives them, without weights and regularisation."""
        if self.kind == "square":
            return float(np.mean((outputs - targets) ** 2))
        if self.kind == "absolute":
            return float(np.mean(np.abs(outputs - targets)))
        outputs = np.clip(outputs, _SMALLEST, 1 - _SMALLEST)
        costs = -targets * np.log(outputs)
        if self.kind == "binary":
            return float(np.mean(costs - (1 - targets) * np.log(1 - outputs)))
        return float(np.mean(costs.sum(axis=1)))

    def constant_cost(self, targets: Array) -> float:
        """The least loss of one output for all rows: the mean's, the median's, or that of the shares of the classes."""
        middle = np.median(targets, axis=0) if self.kind == "absolute" else targets.mean(axis=0)
        return self.cost(np.broadcast_to(middle, targets.shape), targets)

    @property
    def constant(self) -> str:
        """What the best constant is called."""
        if self.is_regression:
            return "the targets' median" if self.kind == "absolute" else "the targets' mean"
        return "the shares of the classes"


def problem_of(model: keras.Model) -> Problem | None:
    """What a compiled model with one output and a loss of Keras is trained for; None for every other."""
    loss = getattr(model, "loss", None)
    if loss is None or isinstance(loss, dict | list | tuple) or not model.built:
        return None
    try:
        found = keras.losses.get(loss)
        outputs = model.outputs
    except (AttributeError, ValueError, TypeError):  # a subclassed model, or a loss of the user's
        return None
    name = getattr(found, "__name__", type(found).__name__).replace("_", "").lower()
    if name not in _KINDS or len(outputs) != 1 or outputs[0].shape[-1] is None:
        return None
    logits = bool(getattr(found, "_fn_kwargs", {}).get("from_logits", False))
    return Problem(_KINDS[name], logits, _last_activation(model), int(outputs[0].shape[-1]))


def _last_activation(model: keras.Model) -> str:
    layer = model.outputs[0]._keras_history.operation
    if isinstance(layer, keras.Model):
        return _last_activation(layer)
    named = getattr(layer, "activation", None)
    if named is None:
        return _WITHOUT.get(type(layer).__name__, "linear")
    return str(getattr(named, "__name__", "unknown"))
