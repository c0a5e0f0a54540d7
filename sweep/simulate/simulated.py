"""What several simulated studies found, and for how many epochs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from sweep.simulate.bank import Bank
from sweep.simulate.replay import Simulation

NEAR_SD = 0.1
"""So many standard deviations from the best, a run has found it."""

NEAR_RANGE = 0.01
"""The same as a share of the range between the median and the best."""


@dataclass(frozen=True)
class Simulated:
    """What the simulations of one sampler with one pruner found.

    Attributes:
        sampler, pruner: their specs.
        simulations: how many there were.
        budget_epochs: how many epochs each could spend.
        found_01sd: the share of them in which a COMPLETE run came within 0.1 standard deviations of the bank's best,
            the deviation being the interquartile range of all curves' bests / 1.349.
        epochs_01sd: the geometric mean of the epochs that were spent until that run ended; the budget where none did.
        found_1pct, epochs_1pct: the same for a run within 1 % of the range between the bank's median and its best.
        regret: the mean distance of the best COMPLETE run from the bank's best, in standard deviations, over the
            simulations that have a COMPLETE run; None if none has.
        spent, complete: the mean numbers of epochs that were spent and of COMPLETE runs.
        survived: the share of the simulations in which the run with the best curve of those that began is COMPLETE.
        empty: the share of the simulations without a COMPLETE run.
    """

    sampler: str
    pruner: str
    simulations: int
    budget_epochs: int
    found_01sd: float
    epochs_01sd: float
    found_1pct: float
    epochs_1pct: float
    regret: float | None
    spent: float
    complete: float
    survived: float
    empty: float

    def as_dict(self) -> dict[str, Any]:
        """As `sweep simulate --json` has it: all up to `regret`."""
        names = [item.name for item in fields(self)]
        return {name: getattr(self, name) for name in names[: names.index("regret") + 1]}


def summed_up(bank: Bank, sampler: str, pruner: str, simulations: Sequence[Simulation], budget: int) -> Simulated:
    """Sum up at least one simulation.

    Args:
        bank: whose curves were replayed.
        sampler, pruner: the specs.
        budget: how many epochs each simulation could spend, at least 1.
    """
    sd = [reached(bank, simulation, bank.within_sd(NEAR_SD)) for simulation in simulations]
    share = [reached(bank, simulation, bank.within_range(NEAR_RANGE)) for simulation in simulations]
    bests = [best_complete(bank, one) for one in simulations]
    regrets = [bank.regret(best) for best in bests if best is not None]
    return Simulated(
        sampler,
        pruner,
        len(simulations),
        budget,
        found_01sd=_share(sd),
        epochs_01sd=_geometric_mean(sd, budget),
        found_1pct=_share(share),
        epochs_1pct=_geometric_mean(share, budget),
        regret=math.fsum(regrets) / len(regrets) if regrets else None,
        spent=_mean([one.spent for one in simulations]),
        complete=_mean([sum(run.value is not None for run in one.runs) for one in simulations]),
        survived=_mean([_survived(bank, one) for one in simulations]),
        empty=_mean([best is None for best in bests]),
    )


def reached(bank: Bank, simulation: Simulation, target: float) -> int | None:
    """How many epochs a study had spent when a COMPLETE run first was as good as a target; None if none was."""
    good = (
        run.ended for run in simulation.runs if run.value is not None and not bank.objective.better(target, run.value)
    )
    return min(good, default=None)


def best_complete(bank: Bank, simulation: Simulation) -> float | None:
    """The value of the best COMPLETE run."""
    return bank.objective.best(run.value for run in simulation.runs)


def _survived(bank: Bank, simulation: Simulation) -> bool:
    """Whether the run with the best curve of those that began is COMPLETE."""
    promise = {run.number: bank.objective.best(run.curve.values) for run in simulation.runs}
    best = bank.objective.best(promise.values())
    return any(run.state == "COMPLETE" and promise[run.number] == best for run in simulation.runs)


def _mean(numbers: Sequence[float]) -> float:
    return math.fsum(numbers) / len(numbers)


def _share(epochs: Sequence[int | None]) -> float:
    return _mean([found is not None for found in epochs])


def _geometric_mean(epochs: Sequence[int | None], budget: int) -> float:
    """Of epochs until something was found, or of the budget."""
    return math.exp(_mean([math.log(budget if found is None else max(1, min(found, budget))) for found in epochs]))
