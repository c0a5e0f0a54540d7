"""What a whole study will take in time and on the disk, from what two short trials have shown."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from sweep.core.pruners.asha import Asha, complete_of, rungs_for
from sweep.core.pruners.rungs import first_rung
from sweep.declaration import Declaration
from sweep.specs import pruner_rule


@dataclass(frozen=True)
class Measured:
    """What was measured; times are seconds of one worker, sizes bytes.

    Attributes:
        load: until the study file was loaded and open.
        epoch: an epoch that is not the first of its training; None where no epochs were seen.
        first: what the first epoch of each training takes more, while the model is built and traced.
        other: what a trial takes beside its epochs; the whole trial where no epochs were seen.
        memory: of a worker and what it started, at most; None where it could not be read.
        run_bytes: of a finished run's folder without what each epoch adds; `epoch_bytes`: what each epoch adds.
        checkpoint_bytes: of a paused run's checkpoint; 0 without one.
    """

    load: float
    epoch: float | None = None
    first: float = 0.0
    other: float = 0.0
    memory: int | None = None
    run_bytes: int = 0
    epoch_bytes: int = 0
    checkpoint_bytes: int = 0


@dataclass(frozen=True)
class Estimate:
    """What a whole study will take; without `likely` values nobody can say how much its pruner spares.

    Attributes:
        trials: how many it has; `workers`: how many train at once.
        trainings: the epochs of each training of a trial; empty where its epochs are not known.
        pruner: its pruner's spec.
        most_epochs, most_seconds, most_bytes: where every trial trains to its end.
        likely_epochs, likely_seconds, likely_bytes: with the runs that its pruner pauses; None where it pauses none.
    """

    trials: int
    workers: int
    pruner: str
    trainings: Sequence[int] = field(default_factory=list)
    most_epochs: int | None = None
    most_seconds: float = 0.0
    most_bytes: int = 0
    likely_epochs: int | None = None
    likely_seconds: float | None = None
    likely_bytes: int | None = None


def estimate(
    declaration: Declaration, measured: Measured, trainings: Sequence[int], *, workers: int, pausable: bool
) -> Estimate:
    """What a study will take.

    Args:
        declaration: with what a start would be given.
        trainings: the epochs of each training of a trial; empty where it reports none.
        workers: how many train at once.
        pausable: whether its runs can be paused.
    """
    trials, pruner, budget = declaration.trials, declaration.pruner, declaration.budget_epochs
    if not trainings or measured.epoch is None:
        seconds = _wall(declaration, measured, trials * measured.other, workers)
        return Estimate(trials, workers, pruner, most_seconds=seconds, most_bytes=trials * measured.run_bytes)
    seeds = declaration.seeds
    each = sum(trainings) * seeds
    most = trials * each if budget is None else min(trials * each, budget)
    likely = _with_pauses(declaration, trainings, pausable=pausable)
    complete, likely_epochs = (None, None) if likely is None else likely
    if likely_epochs is not None and budget is not None:
        likely_epochs = min(likely_epochs, budget)

    def seconds_of(epochs: int) -> float:
        begun = trials if budget is None else min(trials, budget)
        beside = measured.first * len(trainings) + measured.other
        again = (seeds - 1) * (begun if epochs == most else complete or 0)
        return _wall(declaration, measured, epochs * (measured.epoch or 0.0) + (begun + again) * beside, workers)

    def bytes_of(epochs: int, paused: int) -> int:
        return trials * measured.run_bytes + epochs * measured.epoch_bytes + paused * measured.checkpoint_bytes

    return Estimate(
        trials,
        workers,
        pruner,
        list(trainings),
        most,
        seconds_of(most),
        bytes_of(most, 0),
        likely_epochs,
        None if likely_epochs is None else seconds_of(likely_epochs),
        None if likely_epochs is None else bytes_of(likely_epochs, trials - (complete or 0)),
    )


def _wall(declaration: Declaration, measured: Measured, seconds: float, workers: int) -> float:
    """How long work of so many seconds takes several workers."""
    whole = measured.load + seconds / max(1, min(workers, declaration.trials))
    return whole if declaration.timeout is None else min(whole, declaration.timeout)


def _with_pauses(declaration: Declaration, trainings: Sequence[int], *, pausable: bool) -> tuple[int, int] | None:
    """How many runs are COMPLETE and how many epochs are trained, at least; None where the pruner is no `asha`.

    Of the runs that reach a rung one in `reduction_factor` continues, and as many as are to be COMPLETE in any case.
    """
    rule = pruner_rule(declaration.pruner)
    first, *later = trainings
    if not isinstance(rule, Asha):
        return None
    known = rule.rungs if rule.rungs is not None else rungs_for(first, rule.reduction_factor)
    rungs = [rung for rung in known if rung < first and (pausable or rung >= first_rung(first))]
    if not rungs:
        return None
    trials = declaration.trials
    complete = min(trials, complete_of(trials, pausable=pausable))
    epochs, before, runs = 0, 0, trials
    for passed, rung in enumerate(rungs, start=1):
        epochs += runs * (rung - before)
        before, runs = rung, max(complete, math.floor(trials / rule.reduction_factor**passed))
    others = (declaration.seeds - 1) * sum(trainings)
    return complete, epochs + runs * (first - before) + complete * (sum(later) + others)
