"""What was found in many runs of a study, and what they have in common: `7 of 40 runs had dead-relu, all with ...`.

A parameter is named if a bound or a choice separates these runs from nearly all others.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sweep.finding import gravity
from sweep.names import Value, format_value
from sweep.store import RunRecord

ENOUGH = 3
"""Runs with a finding, and without it, before what they have in common says something."""

STRAY = 0.1
"""Others on the same side of a bound, as a share of the runs with the finding, that are let pass."""


@dataclass(frozen=True)
class Common:
    """A finding that some runs of a study have.

    Attributes:
        kind: of the finding.
        count, total: runs that have it, and runs that have finished an epoch.
        condition: what the runs with it have in common, as `--where` takes it; None if nothing was found.
    """

    kind: str
    count: int
    total: int
    condition: str | None

    def __str__(self) -> str:
        those = f", all with {self.condition}" if self.condition else ""
        return f"{self.count} of {self.total} runs had {self.kind}{those}"


def common_findings(runs: Sequence[RunRecord]) -> list[Common]:
    """What was found in a study's runs, the gravest first."""
    looked = [run for run in runs if run.epoch]
    by_kind: dict[str, set[int]] = {}
    for run in looked:
        for item in run.findings:
            by_kind.setdefault(item.kind, set()).add(run.number)
    found = []
    for kind in sorted(by_kind, key=gravity):
        having = [run for run in looked if run.number in by_kind[kind]]
        others = [run for run in looked if run.number not in by_kind[kind]]
        found.append(Common(kind, len(having), len(looked), _condition(having, others)))
    return found


def _condition(having: Sequence[RunRecord], others: Sequence[RunRecord]) -> str | None:
    """The condition that divides best, by its strays."""
    if min(len(having), len(others)) < ENOUGH:
        return None
    candidates = []
    for name in dict.fromkeys(name for run in having for name in run.params):
        if all(name in run.params for run in having):
            mine = [run.params[name] for run in having]
            theirs = [run.params[name] for run in others if name in run.params]
            candidates += [_choice(name, mine, theirs), *_bounds(name, mine, theirs)]
    strays, condition = min((found for found in candidates if found is not None), default=(None, None))
    return condition if strays is not None and strays <= STRAY * len(having) else None


def _choice(name: str, mine: Sequence[Value], theirs: Sequence[Value]) -> tuple[int, str] | None:
    """All have one value of a parameter; the strays are others which have it too."""
    if len(set(mine)) > 1 or all(value == mine[0] for value in theirs):
        return None
    text = f"'{mine[0]}'" if isinstance(mine[0], str) else format_value(mine[0])
    return sum(value == mine[0] for value in theirs), f"{name} = {text}"


def _bounds(name: str, mine: Sequence[Value], theirs: Sequence[Value]) -> list[tuple[int, str]]:
    """All lie above, or below, a bound; the strays are others which do too."""
    if not all(_is_number(value) for value in [*mine, *theirs]) or not theirs or len(set(mine)) == 1:
        return []
    inner, outer = [float(value or 0) for value in mine], [float(value or 0) for value in theirs]
    found = []
    for sign, turn in ((">", 1.0), ("<", -1.0)):
        edge = min(turn * value for value in inner)
        beyond = [turn * value for value in outer if turn * value < edge]
        if beyond:
            bound = turn * _between(max(beyond), edge)
            found.append((len(outer) - len(beyond), f"{name} {sign} {bound:g}"))
    return found


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value


def _between(low: float, high: float) -> float:
    """The shortest number that is at least `low` and less than `high`, near their middle."""
    middle = (low + high) / 2
    for digits in range(1, 17):
        short = float(f"{middle:.{digits}g}")
        if low <= short < high:
            return short
    return low
