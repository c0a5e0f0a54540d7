"""Checks that tell a broken run: what was seen, and what to do. Few, and silent where they are not sure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

PATIENCE = 5  # epochs that a loss must stand still, or a gap grow, before it is said
GAP = 0.05  # of the best val_loss: what it must have risen by
NEGLIGIBLE = 1e-4  # of the first val_loss: a rise that is none
ROUNDING = 1e-3  # of a kernel's largest weight: what equal units may differ by
SAMPLE = 4096  # numbers of a large array that are looked at


@dataclass(frozen=True)
class Finding:
    """One diagnosis of a run: its kind, the evidence in numbers, the remedy."""

    kind: str
    evidence: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.evidence}; {self.remedy}"


def diagnose(
    history: Mapping[str, Sequence[float]], weights: Mapping[str, Array], *, direction: str, objective: str
) -> Finding | None:
    """The gravest thing that is wrong with a run, or None.

    Args:
        history: metrics by epoch.
        weights: the model's weights by tag, after the last epoch.
        direction, objective: the study's; a run that still gets better by them is not called overfitting.
    """
    return (
        _not_finite(weights)
        or _same_units(weights)
        or _stuck(history)
        or _exploding(history)
        or _overfitting(history, direction, objective)
    )


def _not_finite(weights: Mapping[str, Array]) -> Finding | None:
    for tag, array in weights.items():
        if not np.isfinite(_sample(array)).all():
            evidence = f"{tag} holds NaN or infinity"
            return Finding("broken weights", evidence, "lower the learning rate, or clip gradients")
    return None


def _same_units(weights: Mapping[str, Array]) -> Finding | None:
    """Every unit of a layer is the same, so that all learn the same: constant initial weights are never told apart."""
    same = [tag for tag, array in weights.items() if _is_one_unit(tag, array, weights)]
    if not same:
        return None
    more = f" and {len(same) - 1} more" if len(same) > 1 else ""
    units = weights[same[0]].shape[-1]
    return Finding(
        "no symmetry breaking",
        f"all {units} units of {same[0]}{more} have the same weights",
        "initialise kernels at random, e.g. glorot_uniform",
    )


def _is_one_unit(tag: str, kernel: Array, weights: Mapping[str, Array]) -> bool:
    """Whether a tag's array is a kernel whose columns are copies of one, with biases that do not tell them apart.

    A kernel of one row or one column is too small to tell.
    """
    layer, _, name = tag.rpartition("/")
    if not name.startswith("kernel") or kernel.ndim < 2 or kernel.shape[-1] < 2 or kernel.size <= kernel.shape[-1]:
        return False
    columns = kernel.reshape(-1, kernel.shape[-1])
    if not _are_alike(columns[:1]) or not _are_alike(columns):  # the first row settles it for nearly every kernel
        return False
    bias = weights.get(f"{layer}/{name.replace('kernel', 'bias', 1)}")
    return bias is None or bias.shape != columns.shape[1:] or _are_alike(bias[np.newaxis])


def _are_alike(columns: Array) -> bool:
    """Whether columns are equal but for rounding, by which equal units drift apart."""
    numbers = columns.astype(np.float32)
    return bool(np.ptp(numbers, axis=1).max() <= ROUNDING * np.abs(numbers).max())


def _stuck(history: Mapping[str, Sequence[float]]) -> Finding | None:
    """The loss is the same to the last digit; silent where it is 0, or a schedule has lowered the learning rate."""
    losses, rates = history.get("loss", []), history.get("learning_rate", [])
    last = losses[-PATIENCE - 1 :]
    is_same = len(last) > PATIENCE and math.isfinite(last[0]) and max(last) == min(last)
    if not is_same or last[0] == 0 or (rates and rates[-1] < rates[0]):
        return None
    return Finding(
        "not learning",
        f"the loss has been {last[-1]:.5g} for {PATIENCE} epochs",
        "look at the learning rate, at dead activations and at the targets",
    )


def _exploding(history: Mapping[str, Sequence[float]]) -> Finding | None:
    losses = [loss for loss in history.get("loss", []) if math.isfinite(loss)]
    if len(losses) >= 2 and min(losses) > 0 and losses[-1] > 1e3 * min(losses) and losses[-1] > 10 * losses[0]:
        return Finding(
            "exploding loss",
            f"the loss is {losses[-1]:.3g}, and was {min(losses):.3g}",
            "lower the learning rate, or clip gradients",
        )
    return None


def _overfitting(history: Mapping[str, Sequence[float]], direction: str, objective: str) -> Finding | None:
    """`val_loss` has stayed above its best for many epochs while `loss` fell, and the objective has had no better one.

    Silent where the objective, such as an accuracy, gets better all the same.
    """
    losses, others = history.get("loss", []), history.get("val_loss", [])
    if len(others) != len(losses) or len(losses) <= 2 * PATIENCE:
        return None
    if not all(map(math.isfinite, [*losses, *others])):
        return None
    best = others.index(min(others))
    since = len(others) - 1 - best
    margin = others[best] + max(GAP * abs(others[best]), NEGLIGIBLE * abs(others[0]))
    if since < 2 * PATIENCE or losses[-1] >= losses[best] or min(others[-PATIENCE:]) < margin:
        return None
    wanted = history.get(objective, [])
    goal = (max if direction == "maximize" else min)(wanted, default=math.nan)
    if goal in wanted[-2 * PATIENCE :]:
        return None
    return Finding(
        "overfitting",
        f"val_loss {others[-1]:.4g} against loss {losses[-1]:.4g}; its best was {others[best]:.4g} at epoch {best + 1}",
        "stop earlier, or use dropout, weight decay, a smaller model or more data",
    )


def _sample(array: Array) -> Array:
    flat = np.asarray(array).ravel()
    return flat[:: max(1, flat.size // SAMPLE)]
