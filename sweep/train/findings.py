"""Checks that tell a broken run: what was seen, and what to do. Few, and silent where they are not sure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

PATIENCE = 5  # epochs that a loss must stand still, or a gap grow, before it is said
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
        direction, objective: the study's.
    """
    return (
        _not_finite(weights) or _same_units(weights) or _stuck(history) or _exploding(history) or _overfitting(history)
    )


def _not_finite(weights: Mapping[str, Array]) -> Finding | None:
    for tag, array in weights.items():
        if not np.isfinite(_sample(array)).all():
            evidence = f"{tag} holds NaN or infinity"
            return Finding("broken weights", evidence, "lower the learning rate, or clip gradients")
    return None


def _same_units(weights: Mapping[str, Array]) -> Finding | None:
    """Every unit of a layer is the same, so that all learn the same: constant initial weights are never told apart."""
    same = [
        tag
        for tag, array in weights.items()
        if tag.rpartition("/")[2].startswith("kernel")
        and array.ndim == 2
        and min(array.shape) > 1
        and bool((array == array[:, :1]).all())
    ]
    if not same:
        return None
    more = f" and {len(same) - 1} more" if len(same) > 1 else ""
    units = weights[same[0]].shape[1]
    return Finding(
        "no symmetry breaking",
        f"all {units} units of {same[0]}{more} have the same weights",
        "initialise kernels at random, e.g. glorot_uniform",
    )


def _stuck(history: Mapping[str, Sequence[float]]) -> Finding | None:
    losses = list(history.get("loss", []))
    if len(losses) <= PATIENCE:
        return None
    last = losses[-PATIENCE - 1 :]
    if all(math.isfinite(loss) for loss in last) and max(last) == min(last):
        return Finding(
            "not learning",
            f"the loss has been {last[-1]:.5g} for {PATIENCE} epochs",
            "look at the learning rate, at dead activations and at the targets",
        )
    return None


def _exploding(history: Mapping[str, Sequence[float]]) -> Finding | None:
    losses = [loss for loss in history.get("loss", []) if math.isfinite(loss)]
    if len(losses) >= 2 and losses[0] > 0 and losses[-1] > 1e3 * min(losses) and losses[-1] > 10 * losses[0]:
        return Finding(
            "exploding loss",
            f"the loss is {losses[-1]:.3g}, and was {min(losses):.3g}",
            "lower the learning rate, or clip gradients",
        )
    return None


def _overfitting(history: Mapping[str, Sequence[float]]) -> Finding | None:
    """The gap of the two curves: `val_loss` has risen from its best for some epochs while `loss` went on falling."""
    losses, others = list(history.get("loss", [])), list(history.get("val_loss", []))
    if len(others) != len(losses) or len(losses) < 2 * PATIENCE or not all(map(math.isfinite, [*losses, *others])):
        return None
    best = min(range(len(others)), key=others.__getitem__)
    since = len(others) - 1 - best
    recent = others[best + 1 :]
    if since < 2 * PATIENCE or losses[-1] >= losses[best] or min(recent[-PATIENCE:]) < others[best] * 1.05:
        return None
    return Finding(
        "overfitting",
        f"val_loss {others[-1]:.4g} against loss {losses[-1]:.4g}; its best was {others[best]:.4g} at epoch {best + 1}",
        "stop earlier, or use dropout, weight decay, a smaller model or more data",
    )


def _sample(array: Array) -> Array:
    flat = np.asarray(array).ravel()
    return flat[:: max(1, flat.size // SAMPLE)]
