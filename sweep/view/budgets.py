"""Runs that were to train for another number of epochs than most of their study: their values do not compare."""

from collections import Counter
from collections.abc import Iterable, Sequence

from sweep.names import format_number
from sweep.store import RunRecord
from sweep.words import listed

USUAL = 0.5
"""What part of the runs must have one budget for it to be the usual one; where epochs are a parameter, none is."""


def epoch_budget(run: RunRecord) -> int | None:
    """How many epochs a run was to train, of several trainings the first one; None where nobody said it."""
    return run.trainings[0].planned if len(run.trainings) > 1 else run.epochs


def usual_budget(runs: Iterable[RunRecord]) -> int | None:
    """The epoch budget that most runs of a study have, of two as frequent the larger; None where there is none."""
    counts = Counter(budget for run in runs if (budget := epoch_budget(run)) is not None)
    if not counts:
        return None
    budget, count = max(counts.items(), key=lambda item: (item[1], item[0]))
    return budget if count >= USUAL * counts.total() else None


def unusual(run: RunRecord, usual: int | None) -> bool:
    """Whether a run was to train for another number of epochs than most."""
    budget = epoch_budget(run)
    return usual is not None and budget is not None and budget != usual


def mixed_budgets(runs: Sequence[RunRecord], every: Iterable[RunRecord]) -> str | None:
    """That some runs do not compare with the rest of their study, as a sentence; None where all do.

    Args:
        runs: those that are shown.
        every: all of the study.
    """
    every = list(every)
    usual = usual_budget(every)
    budgets = {budget for run in runs if (budget := epoch_budget(run)) is not None}
    if usual is None:
        if len(budgets) < 2:
            return None
        return f"Their epoch budgets differ, from {min(budgets)} to {max(budgets)}: their values may not compare."
    others = [run for run in runs if unusual(run, usual)]
    if not others:
        return None
    names, theirs = [format_number(run.number) for run in others], sorted({epoch_budget(run) or 0 for run in others})
    what, its = ("was", "its value does") if len(others) == 1 else ("were", "their values do")
    epochs = f"{theirs[0]} to {theirs[-1]}" if len(theirs) > 1 else str(theirs[0])
    return f"{listed(names)} {what} to train {epochs} epochs and most runs {usual}: {its} not compare."
