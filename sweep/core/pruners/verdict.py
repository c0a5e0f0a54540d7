"""Why a pruner stopped a run, as numbers; the text is made when somebody reads it."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Verdict:
    """Why a pruner stopped a run.

    Attributes:
        rule: the pruner's name, such as `median`.
        objective: the metric it judged.
        value: the metric's value that lost. `median` and `percentile` judge the best value so far, `patient` the best
            of its last epochs, the others the value of the last epoch.
        epoch_index: the epoch after which the run was judged, counted from 0 within the training that pruners see.
        threshold: what `value` was compared with; None if the rule had nothing to compare it with.
        rivals: how many other runs are behind the threshold; None if the rule looks at no other run.
        details: what else the rule's sentence needs, as JSON can hold it; `because` is the verdict of a rule within
            this one.
    """

    rule: str
    objective: str
    value: float
    epoch_index: int
    threshold: float | None = None
    rivals: int | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def figures(self) -> tuple[str, str]:
        """Value and threshold to as many digits as it takes to tell them apart; without a threshold the second is
        empty."""
        if self.threshold is None:
            return f"{self.value:.4g}", ""
        return two_figures(self.value, self.threshold)

    @property
    def side(self) -> str:
        """On which side of the threshold the value is."""
        return "below" if self.threshold is not None and self.value < self.threshold else "above"

    def as_dict(self) -> dict[str, Any]:
        """The verdict as JSON can hold it, apart from infinite numbers."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Verdict":
        """The inverse of `as_dict`."""
        return cls(**values)


def two_figures(one: float, other: float) -> tuple[str, str]:
    """Two different numbers to 3 significant digits, or to as many as it takes to tell them apart."""
    for digits in range(3, 18):
        texts = _figure(one, digits), _figure(other, digits)
        if (float(texts[0]) < float(texts[1])) == (one < other) and float(texts[0]) != float(texts[1]):
            return texts
    return repr(one), repr(other)


def _figure(value: float, digits: int) -> str:
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    exponent = math.floor(math.log10(abs(value)))
    if -5 < exponent < 15:
        return f"{value:.{max(digits - 1 - exponent, 0)}f}"
    return f"{value:.{digits - 1}e}"
