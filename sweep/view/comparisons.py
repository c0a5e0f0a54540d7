"""Where runs differ: a run from the best one, several from each other, and two trainings of the same trial."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sweep.names import KeyTable, Value, format_value
from sweep.store import RunRecord, StudyRecord
from sweep.view import cells
from sweep.view.runs import Epochs, key_table, objective, objectives, trained_text, value_columns

ROUNDING = 1e-5
"""A relative difference that programs compiled otherwise make: within it a run counts as the same."""


@dataclass(frozen=True)
class Parameters:
    """The parameters of some runs, in the order of their names.

    Attributes:
        varying: parameter names whose values differ among the runs, with their keys.
        constant: the keys of those that have one value in all of them, with it (only if there are two runs or more).
    """

    varying: dict[str, str]
    constant: dict[str, Value]


def parameter_names(keys: KeyTable, runs: Sequence[Mapping[str, Value]]) -> list[str]:
    """The names of all parameters that runs have, in the order of run names; those without a key get one."""
    names = list(dict.fromkeys(name for params in runs for name in params))
    for name in names:
        keys.assign(name)
    return keys.order(names)


def split_parameters(keys: KeyTable, runs: Sequence[Mapping[str, Value]]) -> Parameters:
    """Which of the parameters of runs differ among them, and which are the same in all."""
    varying, constant = {}, {}
    for name in parameter_names(keys, runs):
        written = {format_value(params[name]) if name in params else None for params in runs}
        if len(written) == 1 and len(runs) > 1:
            constant[keys.key(name)] = runs[0][name]
        else:
            varying[name] = keys.key(name)
    return Parameters(varying, constant)


@dataclass(frozen=True)
class ParameterDifference:
    """A parameter of a run beside the best run's: texts, empty where it does not apply; `change` says by how much."""

    name: str
    key: str
    value: str
    best: str
    differs: bool
    change: str


@dataclass(frozen=True)
class ComparedLine:
    """A line of a comparison: a text for each run; the places of the extremes and the best."""

    label: str
    texts: list[str]
    lowest: int | None = None
    highest: int | None = None
    winner: int | None = None


@dataclass(frozen=True)
class RunComparison:
    """Several runs beside each other: parameters that differ, those that are the same in all, and how they did."""

    differing: list[ComparedLine]
    same: list[tuple[str, str]]
    outcomes: list[ComparedLine]


def differences(study: StudyRecord, run: RunRecord, best: RunRecord | None) -> list[ParameterDifference]:
    """A run's parameters, in the order of its name, and the best run's that it lacks."""
    others = best.params if best is not None and best.number != run.number else {}
    keys = key_table(study)
    found = []
    for name in _ordered(study, [run, *([best] if best else [])]):
        own, other = _text(run.params, name), _text(others, name)
        differs = bool(others) and own != other
        change = _change(run.params.get(name), others.get(name)) if differs else ""
        found.append(ParameterDifference(name, keys.assign(name), own, other, differs, change))
    return found


def compare_runs(
    study: StudyRecord, runs: Sequence[RunRecord], metrics: Mapping[int, Mapping[str, float]]
) -> RunComparison:
    """Runs beside each other; `metrics` has those of each run's last finished epoch."""
    differing, same = [], []
    for name in _ordered(study, runs):
        texts = [_text(run.params, name) for run in runs]
        if len(set(texts)) > 1:
            differing.append(_line(name, texts, [run.params.get(name) for run in runs]))
        else:
            same.append((name, texts[0]))
    names = list(dict.fromkeys(name for run in runs for name in metrics.get(run.number, {})))
    constraints = list(dict.fromkeys(name for run in runs for name in run.constraints))
    outcomes = [
        ComparedLine("state", [run.state.lower() for run in runs]),
        ComparedLine("epochs", [trained_text(run) for run in runs]),
        *_values(study, runs),
        _numbers(f"best {objective(study).name}", [run.best for run in runs]),
        *(_numbers(f"constraint {name}", [run.constraints.get(name) for run in runs]) for name in constraints),
        ComparedLine("best epoch", [str(run.best_epoch + 1) if run.best_epoch is not None else "" for run in runs]),
        *(_numbers(f"last {name}", [metrics.get(run.number, {}).get(name) for run in runs]) for name in names),
        ComparedLine("time", [cells.duration(run.duration) for run in runs]),
    ]
    return RunComparison(differing, same, outcomes)


def _values(study: StudyRecord, runs: Sequence[RunRecord]) -> list[ComparedLine]:
    """What `train` returned, a line for each objective; of a single one the winner is the best run."""
    lines = [_numbers(name, values) for name, values in value_columns(objectives(study), runs).items()]
    if len(lines) > 1:
        return lines
    ranked = objective(study).rank(runs)
    different = len({run.value for run in ranked}) > 1
    return [replace(lines[0], winner=runs.index(ranked[0]) if different else None)]


def _ordered(study: StudyRecord, runs: Sequence[RunRecord]) -> list[str]:
    """The runs' parameters as their names order them, the family first."""
    names = parameter_names(key_table(study), [run.params for run in runs])
    return sorted(names, key=lambda name: name != "family")


def _text(params: Mapping[str, Value], name: str) -> str:
    return cells.value(params[name]) if name in params else ""


def _change(own: Value, other: Value) -> str:
    """How a number differs from another: a factor where it is twice as large or more, else the difference."""
    numbers = [item for item in (own, other) if isinstance(item, int | float) and not isinstance(item, bool)]
    if len(numbers) < 2 or numbers[0] == numbers[1]:
        return ""
    mine, theirs = numbers
    if mine * theirs > 0 and max(abs(mine / theirs), abs(theirs / mine)) >= 2:
        return f"\N{MULTIPLICATION SIGN}{mine / theirs:.3g}" if abs(mine) > abs(theirs) else f"÷{theirs / mine:.3g}"
    difference = mine - theirs
    sign = "+" if difference > 0 else "\N{MINUS SIGN}"
    return sign + format_value(float(f"{abs(difference):.3g}")).removesuffix(".0")


def _line(label: str, texts: list[str], values: Sequence[Value]) -> ComparedLine:
    numbers = [item if isinstance(item, int | float) and not isinstance(item, bool) else None for item in values]
    return _extremes(label, texts, numbers)


def _numbers(label: str, values: Sequence[float | None]) -> ComparedLine:
    return _extremes(label, [cells.number(value) for value in values], values)


def _extremes(label: str, texts: list[str], values: Sequence[float | None]) -> ComparedLine:
    known = [(value, place) for place, value in enumerate(values) if value is not None and value == value]
    if len({value for value, _ in known}) < 2:
        return ComparedLine(label, texts)
    return ComparedLine(label, texts, min(known)[1], max(known)[1])


@dataclass(frozen=True)
class MetricDifference:
    """Where a metric is furthest apart; `apart` is relative to the greater of the two."""

    metric: str
    epoch: int
    then: float
    now: float
    apart: float


@dataclass(frozen=True)
class TrainingComparison:
    """Two trainings held against each other.

    Attributes:
        epochs: how many both have.
        missing: metrics that one of them lacks, or epochs that the second has not.
        differences: of each metric that is not equal to the last bit, the greatest first.
    """

    epochs: int
    missing: list[str]
    differences: list[MetricDifference]

    @property
    def same(self) -> bool:
        """Whether they are the same, up to rounding."""
        return not self.missing and all(difference.apart <= ROUNDING for difference in self.differences)


def compare_trainings(then: Epochs, now: Epochs) -> TrainingComparison:
    """Hold a training against an earlier one; epochs that only the later one has do not count."""
    missing = [f"epoch {epoch + 1}" for epoch in sorted(then.keys() - now.keys())[:1]]
    worst: dict[str, MetricDifference] = {}
    for epoch in sorted(then.keys() & now.keys()):
        missing += [name for name in sorted(then[epoch].keys() ^ now[epoch].keys()) if name not in missing]
        for name in then[epoch].keys() & now[epoch].keys():
            one, other = then[epoch][name], now[epoch][name]
            apart = _apart(one, other)
            if apart > 0 and (name not in worst or apart > worst[name].apart):
                worst[name] = MetricDifference(name, epoch, one, other, apart)
    differences = sorted(worst.values(), key=lambda difference: -difference.apart)
    return TrainingComparison(len(then.keys() & now.keys()), missing, differences)


def _apart(one: float, other: float) -> float:
    if one == other or (math.isnan(one) and math.isnan(other)):
        return 0.0
    if not (math.isfinite(one) and math.isfinite(other)):
        return math.inf
    return abs(one - other) / max(abs(one), abs(other))
