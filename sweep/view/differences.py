"""How two trainings of the same trial differ, epoch by epoch."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

Epochs = Mapping[int, Mapping[str, float]]

ROUNDING = 1e-5
"""A relative difference that programs compiled otherwise make: within it a run counts as the same."""


@dataclass(frozen=True)
class Difference:
    """Where a metric is furthest apart; `apart` is relative to the greater of the two."""

    metric: str
    epoch: int
    then: float
    now: float
    apart: float


@dataclass(frozen=True)
class Comparison:
    """Two trainings held against each other.

    Attributes:
        epochs: how many both have.
        missing: metrics that one of them lacks, or epochs that the second has not.
        differences: of each metric that is not equal to the last bit, the greatest first.
    """

    epochs: int
    missing: list[str]
    differences: list[Difference]

    @property
    def same(self) -> bool:
        """Whether they are the same, up to rounding."""
        return not self.missing and all(difference.apart <= ROUNDING for difference in self.differences)


def compare(then: Epochs, now: Epochs) -> Comparison:
    """Hold a training against an earlier one; epochs that only the later one has do not count."""
    missing = [f"epoch {epoch + 1}" for epoch in sorted(then.keys() - now.keys())[:1]]
    worst: dict[str, Difference] = {}
    for epoch in sorted(then.keys() & now.keys()):
        missing += [name for name in sorted(then[epoch].keys() ^ now[epoch].keys()) if name not in missing]
        for name in then[epoch].keys() & now[epoch].keys():
            one, other = then[epoch][name], now[epoch][name]
            apart = _apart(one, other)
            if apart > 0 and (name not in worst or apart > worst[name].apart):
                worst[name] = Difference(name, epoch, one, other, apart)
    differences = sorted(worst.values(), key=lambda difference: -difference.apart)
    return Comparison(len(then.keys() & now.keys()), missing, differences)


def _apart(one: float, other: float) -> float:
    if one == other or (math.isnan(one) and math.isnan(other)):
        return 0.0
    if not (math.isfinite(one) and math.isfinite(other)):
        return math.inf
    return abs(one - other) / max(abs(one), abs(other))
