"""What the losses by epoch show: explosions, swings, overfitting."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

from sweep.finding import Finding

PATIENCE = 5
"""Epochs that a gap must grow, or that count as the latest, before it is said."""

GAP = 0.05  # of the best val_loss: what it must have risen by
NEGLIGIBLE = 1e-4  # of the first val_loss: a rise that is none

EXPLOSION = 1e3
"""Times the least loss that an exploding one is."""

SWING = 1.5
"""Times the epoch before that a loss which jumps is; it swings where it does so in a third of the latest epochs."""

THROWN = 0.5
"""|change| / |kernel| of an epoch, in the middle layer, from which on weights are thrown about after the first one."""


def exploding(losses: Sequence[float]) -> list[Finding]:
    """The loss is a thousand times what it was."""
    finite = [loss for loss in losses if math.isfinite(loss)]
    if len(finite) < 2 or min(finite) <= 0 or finite[-1] <= EXPLOSION * min(finite) or finite[-1] <= 10 * finite[0]:
        return []
    evidence = f"the loss is {finite[-1]:.3g}, and was {min(finite):.3g}"
    return [Finding("exploding-loss", evidence, "lower the learning rate, or clip gradients")]


def too_fast(losses: Sequence[float], moves: Sequence[float], rate: float | None, worse: float | None) -> list[Finding]:
    """The learning rate is too high: the loss jumps or stays far above a constant's while weights are thrown about.

    L. Smith, Cyclical Learning Rates for Training Neural Networks, 2017, 3.3: past the largest useful rate, the loss
    becomes ragged or rises.

    Args:
        moves: of the kernels in this epoch, see `sweep.train.checks.weights.Moves`.
        rate: the learning rate, if there is one.
        worse: the loss as a multiple of the best constant's, if that is known.
    """
    if len(losses) < 2 or not moves or not all(map(math.isfinite, losses)):
        return []
    middle = sorted(moves)[len(moves) // 2]
    latest = losses[-2 * PATIENCE :]
    jumps = sum(after > SWING * before > 0 for before, after in pairwise(latest))
    swings = jumps >= max(1, (len(latest) - 1) / 3) and len(latest) >= 3
    is_far = worse is not None and worse > 3 and middle > THROWN
    if not (swings and middle > THROWN / 5) and not is_far:
        return []
    what = (
        f"the loss has jumped {jumps} times in {len(latest)} epochs" if swings else "the loss is far above a constant's"
    )
    at = f" at a learning rate of {rate:.3g}" if rate is not None else ""
    evidence = f"{what}, and kernels change by {middle:.2g} of their size in an epoch{at}"
    return [Finding("learning-rate-too-high", evidence, "lower the learning rate tenfold", confidence="likely")]


def overfitting(history: Mapping[str, Sequence[float]], direction: str, objective: str) -> list[Finding]:
    """`val_loss` has stayed above its best for many epochs while `loss` fell, and the objective has had no better one.

    Silent where the objective, such as an accuracy, gets better all the same. L. Prechelt, Early Stopping - But When?,
    1998: stop where the validation error has risen by a share of its least (there GL, the generalisation loss).
    """
    losses, others = history.get("loss", []), history.get("val_loss", [])
    if len(others) != len(losses) or len(losses) <= 2 * PATIENCE:
        return []
    if not all(map(math.isfinite, [*losses, *others])):
        return []
    best = others.index(min(others))
    since = len(others) - 1 - best
    margin = others[best] + max(GAP * abs(others[best]), NEGLIGIBLE * abs(others[0]))
    if others[-1] <= losses[-1]:
        return []
    if since < 2 * PATIENCE or losses[-1] >= losses[best] or min(others[-PATIENCE:]) < margin:
        return []
    wanted = history.get(objective, [])
    goal = (max if direction == "maximize" else min)(wanted, default=math.nan)
    if goal in wanted[-2 * PATIENCE :]:
        return []
    evidence = (
        f"val_loss {others[-1]:.4g} against loss {losses[-1]:.4g}; its best was {others[best]:.4g} at epoch {best + 1}"
    )
    remedy = "stop earlier, or use dropout, weight decay, a smaller model or more data"
    return [Finding("overfitting", evidence, remedy, since=best + 1, confidence="likely")]
