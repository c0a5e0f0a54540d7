"""What a study optimises, and the only place that compares two values."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, TypeVar

DIRECTIONS = ("minimize", "maximize")


class Ranked(Protocol):
    """What `Objective.rank` needs to know of a run."""

    number: int
    state: str

    @property
    def value(self) -> float | None:
        """What `train` returned; None unless it is COMPLETE."""

    @property
    def feasible(self) -> bool | None:
        """Whether it meets its constraints; None without any."""


Run = TypeVar("Run", bound=Ranked)


@dataclass(frozen=True)
class Objective:
    """One of a study's objectives.

    Attributes:
        name: the metric, such as `val_loss`.
        direction: `minimize` or `maximize`.
    """

    name: str
    direction: str = "minimize"

    def __str__(self) -> str:
        return f"{self.direction} {self.name}"

    @property
    def maximize(self) -> bool:
        """Whether a higher value is better."""
        return self.direction == "maximize"

    def better(self, value: float | None, than: float | None) -> bool:
        """Whether a value is strictly better than another; None and NaN are worse than every number."""
        if value is None or math.isnan(value):
            return False
        if than is None or math.isnan(than):
            return True
        return value > than if self.maximize else value < than

    def best(self, values: Iterable[float | None]) -> float | None:
        """The best of some values, the first of equal ones; None if there is no number among them."""
        numbers = [value for value in values if value is not None and value == value]
        return (max if self.maximize else min)(numbers, default=None)

    def rank(self, runs: Iterable[Run]) -> list[Run]:
        """The runs that may be called the best, best first: COMPLETE ones that are not infeasible, by their values.

        Equal values are ranked by number, and infinite ones like any other, as `optuna.Study.best_trial` does.
        """
        sign = -1.0 if self.maximize else 1.0
        valued = [(run.value, run) for run in runs if run.state == "COMPLETE" and run.feasible is not False]
        keyed = [(sign * value, run.number, run) for value, run in valued if value is not None and value == value]
        return [run for _, _, run in sorted(keyed, key=lambda item: item[:2])]
