"""What the rows show before any epoch: missing numbers, scales, targets that no output can reach, leaks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from sweep.finding import Finding
from sweep.train.checks.targets import Problem
from sweep.train.checks.weights import holds_missing
from sweep.train.data import is_array

Array = np.ndarray[Any, Any]

FAR = 30.0
"""Root mean square of a column from which on inputs are called unscaled; standardised ones have 1, pixels of 255 some
100. Y. LeCun, L. Bottou, G. Orr, K.-R. Müller, Efficient BackProp, 1998, 4.3: inputs should average 0 and have like
covariances."""

FAR_TARGETS = 100.0
"""The same for targets: with Adam's usual 0.001 a bias walks some 0.1 in a hundred batches."""

LEAK = 0.05
"""The share of validation rows found in the training rows from which on it is said."""

COMMON = 0.5
"""The share of training rows that are copies of others from which on copies say nothing: such data hold few values."""

ROWS = 4096  # of the training data, evenly taken, that scales are told by
VALIDATION_ROWS = 2048  # that are looked for in the training rows
COLUMNS = 128  # that rows are compared by
MOST_BYTES = 512 * 1024**2  # of larger data rows are not compared

_SCALERS = ("Normalization", "Rescaling", "LayerNormalization", "UnitNormalization", "Embedding", "TextVectorization")


@dataclass(frozen=True)
class Facts:
    """What was seen of the rows, whatever the model.

    Attributes:
        missing: whether inputs or targets hold NaN or infinity, and which.
        inputs: the largest root mean square of a column of inputs, None where they are not of floating point.
        targets: least, largest and root mean square of the targets; None where they are no numbers.
        leak: the share of validation rows that stand in the training rows, and of training rows that are copies.
    """

    missing: str | None
    inputs: float | None
    targets: tuple[float, float, float] | None
    leak: tuple[float, float, int] | None


def look(x: Any, y: Any, validation: Any) -> Facts:
    """The facts of arrays in memory; those of other data are None.

    Args:
        validation: inputs to validate with, of the structure of `x`, or None.
    """
    inputs, targets, others = _arrays(x), _arrays(y), _arrays(validation)
    sides = (("inputs", inputs), ("targets", targets))
    missing = next((name for name, arrays in sides if any(map(holds_missing, arrays))), None)
    scale = max((_scale(array) for array in inputs if array.dtype.kind == "f" or array.ndim > 2), default=None)
    return Facts(missing, scale, _range(targets), _leak(inputs, others) if others else None)


def findings(facts: Facts, model: keras.Model, problem: Problem | None) -> list[Finding]:
    """What the facts mean for a model."""
    found = []
    if facts.missing:
        remedy = "drop those rows, or fill them in, e.g. with the column's median"
        found.append(Finding("missing-data", f"the {facts.missing} hold NaN or infinity", remedy))
    is_scaled = any(type(layer).__name__ in _SCALERS for layer in model.layers[:3]) or _begins_with_batch_norm(model)
    if facts.inputs is not None and facts.inputs > FAR and not is_scaled:
        evidence = f"a column of the inputs has a root mean square of {facts.inputs:.3g}"
        remedy = "standardise inputs, e.g. by keras.layers.Normalization, or divide pixels by 255"
        found.append(Finding("unscaled-inputs", evidence, remedy, confidence="likely"))
    if problem is not None and facts.targets is not None:
        found += _about_targets(problem, *facts.targets)
    if facts.leak is not None and facts.leak[0] >= LEAK and facts.leak[1] < COMMON:
        share, copies, rows = facts.leak
        found.append(
            Finding(
                "data-leak",
                f"{share:.0%} of {rows} validation rows stand in the training rows, where {copies:.0%} are copies too",
                "drop copies before splitting, and split before augmenting",
            )
        )
    return found


def _begins_with_batch_norm(model: keras.Model) -> bool:
    layers = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    return bool(layers) and isinstance(layers[0], keras.layers.BatchNormalization)


def _about_targets(problem: Problem, least: float, most: float, size: float) -> list[Finding]:
    found = []
    if problem.is_regression and size > FAR_TARGETS and problem.activation == "linear":
        evidence = f"the targets' root mean square is {size:.3g}"
        remedy = "divide targets by their standard deviation, or end with keras.layers.Rescaling"
        found.append(Finding("unscaled-targets", evidence, remedy, confidence="likely"))
    unfit = _unfit(problem, least, most)
    return [*found, Finding("unfit-output", *unfit)] if unfit else found


def _unfit(problem: Problem, least: float, most: float) -> tuple[str, str] | None:
    """Why the outputs cannot be what the targets and the loss want, and what to do; None where they can."""
    units, activation = problem.units, problem.activation
    reach = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0), "relu": (0.0, np.inf), "softmax": (0.0, 1.0)}.get(activation)
    if activation == "softmax" and units == 1:
        return "a softmax of one unit is always 1", "use a sigmoid for one unit, or a unit for each class"
    if problem.kind == "labels":
        if least < 0 or most >= units:
            return f"labels go from {least:g} to {most:g}, for {units} units", "have a unit for each class, from 0 on"
    elif problem.is_regression:
        if reach is not None and (least < reach[0] or most > reach[1]):
            seen = f"targets go from {least:.4g} to {most:.4g}, beyond what {activation} can give"
            return seen, "use a linear last layer, or scale the targets"
    elif least < 0 or most > 1:
        seen = f"targets go from {least:.4g} to {most:.4g}, where the loss wants 0 to 1"
        return seen, "code classes as 0 and 1, or one-hot"
    if problem.is_regression:
        return None
    if problem.logits and activation in ("softmax", "sigmoid"):
        return f"the loss expects logits, and gets those of {activation}", "drop the activation, or from_logits"
    if not problem.logits and activation not in ("softmax", "sigmoid", "hard_sigmoid", "unknown"):
        seen = f"the loss expects probabilities, and gets the outputs of {activation}"
        return seen, "end with softmax or sigmoid, or give the loss from_logits=True"
    if problem.kind != "binary" and activation == "sigmoid" and units > 1:
        return "a sigmoid's outputs do not add up to 1 over the classes", "end with softmax"
    return None


def _arrays(data: Any) -> list[Array]:
    """The arrays of numbers in a structure of data; none where it holds something else."""
    found = []
    for leaf in keras.tree.flatten(data):
        if leaf is None:
            continue
        array = np.asarray(leaf) if is_array(leaf) else np.empty(0, object)
        if array.dtype.kind not in "fiub" or array.ndim == 0 or not array.size:
            return []
        found.append(array)
    return found


def _scale(array: Array) -> float:
    """The largest root mean square of a column; of images and sequences that of all numbers."""
    rows = array[:: max(1, len(array) // ROWS)].astype(np.float64)
    squares = np.square(rows, out=rows)
    means = squares.reshape(len(rows), -1).mean(axis=0) if array.ndim <= 2 else squares.mean(keepdims=True)
    return float(np.sqrt(np.nanmax(means))) if not np.isnan(means).all() else 0.0


def _range(targets: Sequence[Array]) -> tuple[float, float, float] | None:
    if len(targets) != 1:
        return None
    numbers = targets[0].astype(np.float64)
    return float(np.nanmin(numbers)), float(np.nanmax(numbers)), float(np.sqrt(np.nanmean(numbers**2)))


def _leak(train: Sequence[Array], validation: Sequence[Array]) -> tuple[float, float, int] | None:
    """The share of validation rows that stand in the training rows, of training rows that are copies; the rows seen."""
    if len(train) != len(validation) or sum(array.nbytes for array in train) > MOST_BYTES:
        return None
    if any(a.shape[1:] != b.shape[1:] for a, b in zip(train, validation, strict=True)):
        return None
    few = [
        array[:: max(1, len(array) // VALIDATION_ROWS)].astype(of.dtype)
        for array, of in zip(validation, train, strict=True)
    ]
    known, asked = _keys(train), _keys(few)
    sorted_keys = np.sort(known)
    copies = float(np.mean(np.diff(sorted_keys) == 0)) if len(known) > 1 else 0.0
    places = np.minimum(np.searchsorted(sorted_keys, asked), len(sorted_keys) - 1)
    return float(np.mean(sorted_keys[places] == asked)), copies, len(asked)


def _keys(arrays: Sequence[Array]) -> Array:
    """A number for each row, by the bits of at most `COLUMNS` of its numbers; equal for equal rows."""
    keys = np.zeros(len(arrays[0]), np.uint64)
    random = np.random.default_rng(0)
    for array in arrays:
        rows = array.reshape(len(array), -1)
        rows = np.ascontiguousarray(rows[:, :: max(1, rows.shape[1] // COLUMNS)])
        bits = rows.view(f"u{rows.itemsize}").astype(np.uint64)
        factors = random.integers(1, 2**63, bits.shape[1], dtype=np.uint64) * np.uint64(2) + np.uint64(1)
        bits ^= bits >> np.uint64(17)
        keys = keys * np.uint64(0x9E3779B97F4A7C15) + (bits * factors).sum(axis=1, dtype=np.uint64)
    return keys
