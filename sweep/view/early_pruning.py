"""Whether a study's pruner stops so many runs so early that it may have stopped the best: `16 of 24 runs were pruned at
epoch 1, all but one of the cnn runs among them`.

At the first epochs the order of runs says little about their order at the end: the rank correlation with the last
epoch was 0.57 after epoch 1 and 0.71 after epoch 3 in six banks of learning curves.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence

from sweep.store import FINISHED, RunRecord

FEWEST_RUNS = 8
"""Of fewer runs nothing is said."""

SHARE = 0.5
"""What part of the finished runs must have been pruned at one epoch."""

EARLY = 0.1
"""What part of its epochs a run has had at most where it was pruned early; the first epoch always is early."""

FEWEST_OF_FAMILY = 3
"""A family with fewer runs is not named."""


def early_pruning(runs: Sequence[RunRecord]) -> str | None:
    """What is said of a pruner that stops most runs early; None if it does not.

    Runs that pause are not stopped, and those that a person or a finding has stopped were not stopped by the pruner.
    """
    ended = [run for run in runs if run.state in FINISHED and not run.added]
    early = [run for run in ended if _is_early(run)]
    if len(ended) < FEWEST_RUNS or not early:
        return None
    (epoch, count), *_ = Counter(run.epoch for run in early).most_common(1)
    if count < SHARE * len(ended):
        return None
    stopped = {run.number for run in early if run.epoch == epoch}
    said = f"{count} of {len(ended)} runs were pruned at epoch {epoch}"
    families = _families(ended, stopped)
    return f"{said}, {' and '.join(families)} among them" if families else said


def _is_early(run: RunRecord) -> bool:
    if run.state != "PRUNED" or run.verdict is None or run.verdict.rule == "asha" or not run.epochs:
        return False
    return run.epoch < run.epochs and run.epoch <= max(1.0, EARLY * run.epochs)


def _families(ended: Sequence[RunRecord], stopped: set[int]) -> list[str]:
    """The families of which at most one run got further; none where all are of one family."""
    by_family: dict[str, list[RunRecord]] = defaultdict(list)
    for run in ended:
        by_family[run.family or ""].append(run)
    if len(by_family) < 2:
        return []
    found = []
    for family, members in sorted(by_family.items()):
        further = sum(run.number not in stopped for run in members)
        if family and len(members) >= FEWEST_OF_FAMILY and further <= 1:
            found.append(f"all {'but one ' if further else ''}of the {family} runs")
    return found
