"""The best run's parameters that lie at the edge of their domain, where something better may lie beyond it.

A number is at an edge where it lies within the outermost 2 % of its domain (of its logarithm, if that is how it is
searched); a choice among numbers where it is the smallest or largest of three or more. A domain is widened by a factor
of ten where it is logarithmic, else by half its width; nothing that is positive today is widened beyond zero.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sweep.names import Value, short_number
from sweep.store import RunRecord, StudyRecord

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

MARGIN = 0.02
ENOUGH = 8  # complete runs before the best one says something about the domain


@dataclass(frozen=True)
class Edge:
    """A parameter of the best run at the edge of its domain.

    Attributes:
        said: a sentence, such as `learning_rate 0.0981 is at the upper end of 0.0001 to 0.1`.
        change: the line for the study file that widens the domain.
    """

    parameter: str
    said: str
    change: str


def edges(study: StudyRecord, best: RunRecord | None, complete: int) -> list[Edge]:
    """What to widen in a study's search space.

    Args:
        best: its best run.
        complete: how many complete runs it has; fewer than 8 say nothing about the edges.
    """
    from optuna.distributions import json_to_distribution

    if best is None or complete < ENOUGH:
        return []
    found = []
    for name, value in best.params.items():
        texts = study.space.get(name)
        edge = _edge(name, value, json_to_distribution(texts[-1])) if texts else None
        if edge is not None:
            found.append(edge)
    return found


def _edge(name: str, value: Value, domain: "BaseDistribution") -> Edge | None:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if domain.single() or isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(domain, CategoricalDistribution):
        return _edge_of_choices(name, value, domain)
    if isinstance(domain, IntDistribution | FloatDistribution):
        return _edge_of_range(name, value, domain)
    return None


def _edge_of_range(name: str, value: float, domain: "IntDistribution | FloatDistribution") -> Edge | None:
    scale = math.log if domain.log else float
    low, high, at = scale(domain.low), scale(domain.high), scale(value)
    place = (at - low) / (high - low)
    if MARGIN < place < 1 - MARGIN:
        return None
    upper = place >= 0.5
    whole = isinstance(domain.low, int)
    wider = _widened(domain.low, domain.high, upper=upper, log=domain.log, whole=whole)
    if wider is None:
        return None
    suggest = "suggest_int" if whole else "suggest_float"
    options = (f", step={_text(domain.step)}" if domain.step not in (None, 1) else "") + (", log=True" * domain.log)
    change = f'trial.{suggest}("{name}", {_text(wider[0])}, {_text(wider[1])}{options})'
    span = f"{short_number(domain.low)} to {short_number(domain.high)}"
    return Edge(name, f"{name} {short_number(value)} is at the {'upper' if upper else 'lower'} end of {span}", change)


def _widened(low: float, high: float, *, upper: bool, log: bool, whole: bool) -> tuple[float, float] | None:
    """The wider range; None where zero or one ends it by nature."""
    if log:
        ends = (low, high * 10) if upper else (max(low / 10, 1) if whole else low / 10, high)
    else:
        by = (high - low) / 2
        ends = (low, high + by) if upper else (low - by, high)
        if low >= 0 and ends[0] < 0:
            ends = (0, high)
    if whole:
        ends = (math.floor(ends[0]), math.ceil(ends[1]))
        ends = (max(1, ends[0]), ends[1]) if low >= 1 else ends
    return ends if ends != (low, high) else None


def _edge_of_choices(name: str, value: float, domain: "CategoricalDistribution") -> Edge | None:
    numbers = [choice for choice in domain.choices if isinstance(choice, int | float) and not isinstance(choice, bool)]
    if len(numbers) != len(domain.choices) or len(numbers) < 3 or value not in (min(numbers), max(numbers)):
        return None
    ordered = sorted(numbers)
    upper = value == ordered[-1]
    another = _next(ordered if upper else ordered[::-1])
    if another is None:
        return None
    choices = [*ordered, another] if upper else [another, *ordered]
    change = f'trial.suggest_categorical("{name}", [{", ".join(map(_text, choices))}])'
    which = "largest" if upper else "smallest"
    shown = ", ".join(short_number(number) for number in ordered)
    return Edge(name, f"{name} {short_number(value)} is the {which} of {shown}", change)


def _next(ordered: Sequence[float]) -> float | None:
    """The number that goes on with a series by the ratio (else the difference) of its last two."""
    before, last = ordered[-2:]
    made: float = last * last / before if before > 0 and last > 0 else last + (last - before)
    if all(isinstance(number, int) for number in ordered):
        made = round(made)
        if min(ordered) > 0 and made < 1:
            return None
    return made if made not in ordered else None


def _text(number: float | None) -> str:
    return str(number) if isinstance(number, int) else f"{number:.6g}"
