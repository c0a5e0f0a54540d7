"""What a sample of rows shows when it goes through the network: dead units, outputs that ignore inputs, gradients."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from sweep.finding import Finding, Picture
from sweep.train.checks.forward import forward
from sweep.train.checks.targets import Problem
from sweep.train.checks.weights import layer_of, rounded
from sweep.train.data import count_rows, slice_rows

Array = np.ndarray[Any, Any]

ROWS = 256
"""Training rows that go through the network, evenly taken."""

CONSTANT = 1e-3
"""Spread of the outputs over the rows, as a share of the targets', below which a network ignores its inputs."""

DEAD_SHARE = 0.4
"""Share of a layer's units, dead on all rows, from which on it is said; Lu Lu et al., Dying ReLU and Initialization,
2019, call a network dead where it is a constant function, which is what `severe` asks for."""

VANISHED = 1e-4
"""Root mean square of the first kernel's gradient against the last one's, below which it has vanished; S. Hochreiter,
1991, and X. Glorot, Y. Bengio, Understanding the difficulty of training deep feedforward neural networks, 2010, 3.2."""

EXPLODED = 1e3
"""Root mean square of a kernel's gradient against the kernel's own, above which it has exploded; R. Pascanu,
T. Mikolov, Y. Bengio, On the difficulty of training recurrent neural networks, 2013, clip at norms of a few units."""


@dataclass(frozen=True)
class Signals:
    """What the sample gave.

    Attributes:
        dead: dead units and units of each ReLU by layer, with the activations of some rows.
        constant: whether all outputs are the same for all rows.
        spread: of the outputs over the rows as a share of the targets'; None where it is not known.
        cost, constant_cost: the loss on the sample, and the best constant's; None where they are not known.
    """

    dead: Mapping[str, tuple[int, int, Array]]
    constant: bool
    spread: float | None = None
    cost: float | None = None
    constant_cost: float | None = None

    @property
    def worse(self) -> float | None:
        """The loss as a multiple of the best constant's."""
        if self.cost is None or not self.constant_cost or not np.isfinite(self.cost):
            return None
        return self.cost / self.constant_cost


def sample(data: Any) -> Any:
    """At most `ROWS` rows of arrays in memory, evenly taken, as tensors; None for everything else."""
    count = count_rows(data)
    rows = slice_rows(data, slice(None, None, max(1, -(-count // ROWS)))) if count else None
    try:
        return None if rows is None else keras.tree.map_structure(tf.convert_to_tensor, rows)
    except (TypeError, ValueError):  # of objects
        return None


def look(model: keras.Model, weights: Mapping[str, Array], x: Any, y: Any, problem: Problem | None) -> Signals | None:
    """Send a sample through a model, as in inference; None where that cannot be.

    Args:
        weights: the model's by tag, in the order of `model.weights`.
        x, y: the sample, as tensors; `y` may be None.
    """
    by_variable = dict(zip(map(id, model.weights), weights.items(), strict=True))
    passed = forward(model, x, {variable: array for variable, (_, array) in by_variable.items()})
    if passed is None:
        return None
    dead = {}
    for layer, activations in passed.relus:
        units = activations.reshape(-1, activations.shape[-1])
        name = layer_of(by_variable[id(layer.weights[0])][0]) if layer.weights else layer.name
        dead[name] = (int((units.max(axis=0) == 0).sum()), units.shape[1], units[:8, :16])
    outputs = passed.output
    flat = outputs.reshape(len(outputs), -1)
    is_constant = len(flat) > 1 and bool((np.ptp(flat, axis=0) == 0).all())
    pair = problem.pairs(outputs, y) if problem is not None and y is not None else None
    if pair is None or problem is None or not np.isfinite(pair[0]).all():
        return Signals(dead, is_constant)
    given, wanted = pair
    wide = wanted.std(axis=0).mean()
    spread = float(given.std(axis=0).max() / wide) if wide > 0 else None
    return Signals(dead, is_constant, spread, problem.cost(given, wanted), problem.constant_cost(wanted))


def dead(signals: Signals) -> list[Finding]:
    """ReLUs of which many units, or all, are zero for every row; severe where the network's output is one constant."""
    whole = [name for name, (zero, units, _) in signals.dead.items() if zero == units]
    remedy = "lower the learning rate, begin with biases of 0 and he_uniform kernels, or use leaky_relu"
    found = []
    if whole:
        _, units, activations = signals.dead[whole[0]]
        evidence = f"all {units} units of {whole[0]} are zero for every row of a sample"
        severe = signals.constant
        found.append(Finding("dead-relu", evidence, remedy, whole[0], severe, picture=_picture(activations)))
    partly = {name: zero / units for name, (zero, units, _) in signals.dead.items() if zero < units}
    worst = max(partly, key=lambda name: partly[name], default=None)
    if worst is not None and partly[worst] >= DEAD_SHARE and not whole:
        zero, units, activations = signals.dead[worst]
        evidence = f"{zero} of {units} units of {worst} are zero for every row of a sample"
        found.append(Finding("dead-relu", evidence, remedy, worst, picture=_picture(activations)))
    return found


def _picture(activations: Array) -> Picture:
    healthy = np.maximum(np.random.default_rng(0).normal(size=activations.shape), 0)
    what = "activations, a column for each unit and a row for each row of data: as they are, and as of healthy units"
    return Picture(what, rounded(activations), rounded(healthy))


def gradient_findings(model: keras.Model, tags: Iterable[str], x: Any, y: Any) -> list[Finding]:
    """Gradients that vanish on their way to the first layer, or explode; computed where the loss does not fall."""
    try:
        sizes = _gradients(model, tags, x, y)
    except Exception:  # a check never ends a training
        return []
    if len(sizes) < 2 or not all(np.isfinite(gradient) for gradient, _ in sizes.values()):
        return []
    first, *_, last = sizes
    share = sizes[first][0] / max(sizes[last][0], 1e-30)
    found = []
    if share < VANISHED and sizes[last][0] > 0:
        evidence = f"the gradient of {first} is {share:.1g} of that of {last}"
        remedy = "use relu or gelu in place of sigmoid and tanh, fewer layers, skip connections or batch normalisation"
        found.append(Finding("vanishing-gradients", evidence, remedy, layer_of(first), confidence="likely"))
    worst = max(sizes, key=lambda tag: sizes[tag][0] / max(sizes[tag][1], 1e-30))
    ratio = sizes[worst][0] / max(sizes[worst][1], 1e-30)
    if ratio > EXPLODED and sizes[worst][1] > 0:
        evidence = f"the gradient of {worst} is {ratio:.1g} times the weights"
        remedy = "scale inputs and targets, clip gradients (clipnorm=1.0), and lower the learning rate"
        found.append(Finding("exploding-gradients", evidence, remedy, layer_of(worst), confidence="likely"))
    return found


def _gradients(model: keras.Model, tags: Iterable[str], x: Any, y: Any) -> dict[str, tuple[float, float]]:
    """Root mean squares of the gradient and of the values of each trainable kernel, in the order of the layers."""
    named = dict(zip(map(id, model.weights), tags, strict=True))
    kernels = [variable for variable in model.trainable_variables if "kernel" in variable.name]
    with tf.GradientTape() as tape:
        loss = model.compute_loss(x, y, model(x, training=False), training=False)
    gradients = tape.gradient(loss, [kernel.value for kernel in kernels])
    return {
        named[id(kernel)]: (_size(gradient), _size(kernel.value))
        for kernel, gradient in zip(kernels, gradients, strict=True)
        if gradient is not None
    }


def _size(values: Any) -> float:
    return float(np.sqrt(np.mean(np.square(np.asarray(tf.convert_to_tensor(values), np.float64)))))
