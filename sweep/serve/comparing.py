"""Where runs differ: a run from the best one, and several from each other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sweep.names import Value, format_value
from sweep.serve import cells
from sweep.store import RunRecord, StudyRecord
from sweep.view.runs import key_table, objective, objectives
from sweep.view.trainings import trained_text


@dataclass(frozen=True)
class Difference:
    """A parameter of a run beside the best run's: texts, empty where it does not apply; `change` says by how much."""

    name: str
    key: str
    value: str
    best: str
    differs: bool
    change: str


@dataclass(frozen=True)
class Line:
    """A line of a comparison: a text for each run; the places of the extremes and the best."""

    label: str
    texts: list[str]
    lowest: int | None = None
    highest: int | None = None
    winner: int | None = None


@dataclass(frozen=True)
class Comparison:
    """Several runs beside each other: parameters that differ, those that are the same in all, and how they did."""

    differing: list[Line]
    same: list[tuple[str, str]]
    outcomes: list[Line]


def differences(study: StudyRecord, run: RunRecord, best: RunRecord | None) -> list[Difference]:
    """A run's parameters, in the order of its name, and the best run's that it lacks."""
    others = best.params if best is not None and best.number != run.number else {}
    keys = key_table(study)
    found = []
    for name in _ordered(study, [run, *([best] if best else [])]):
        own, other = _text(run.params, name), _text(others, name)
        differs = bool(others) and own != other
        change = _change(run.params.get(name), others.get(name)) if differs else ""
        found.append(Difference(name, keys.assign(name), own, other, differs, change))
    return found


def comparison(study: StudyRecord, runs: Sequence[RunRecord], metrics: Mapping[int, Mapping[str, float]]) -> Comparison:
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
        Line("state", [run.state.lower() for run in runs]),
        Line("epochs", [trained_text(run) for run in runs]),
        *_values(study, runs),
        _numbers(f"best {objective(study).name}", [run.best for run in runs]),
        *(_numbers(f"constraint {name}", [run.constraints.get(name) for run in runs]) for name in constraints),
        Line("best epoch", [str(run.best_epoch + 1) if run.best_epoch is not None else "" for run in runs]),
        *(_numbers(f"last {name}", [metrics.get(run.number, {}).get(name) for run in runs]) for name in names),
        Line("time", [cells.duration(run.duration) for run in runs]),
    ]
    return Comparison(differing, same, outcomes)


def _values(study: StudyRecord, runs: Sequence[RunRecord]) -> list[Line]:
    """What `train` returned, a line for each objective; of a single one the winner is the best run."""
    goals = objectives(study)
    if len(goals) > 1:
        return [
            _numbers(f"value.{goal.name}", [run.values[place] if run.values else None for run in runs])
            for place, goal in enumerate(goals)
        ]
    line = _numbers("value", [run.value for run in runs])
    ranked = objective(study).rank(runs)
    different = len({run.value for run in ranked}) > 1
    return [replace(line, winner=runs.index(ranked[0]) if different else None)]


def _ordered(study: StudyRecord, runs: Sequence[RunRecord]) -> list[str]:
    """The runs' parameters as their names order them, the family first."""
    keys = key_table(study)
    names = list(dict.fromkeys(name for run in runs for name in run.params))
    for name in names:
        keys.assign(name)
    return sorted(keys.order(names), key=lambda name: name != "family")


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


def _line(label: str, texts: list[str], values: Sequence[Value]) -> Line:
    numbers = [item if isinstance(item, int | float) and not isinstance(item, bool) else None for item in values]
    return _extremes(label, texts, numbers)


def _numbers(label: str, values: Sequence[float | None]) -> Line:
    return _extremes(label, [cells.number(value) for value in values], values)


def _extremes(label: str, texts: list[str], values: Sequence[float | None]) -> Line:
    known = [(value, place) for place, value in enumerate(values) if value is not None and value == value]
    if len({value for value, _ in known}) < 2:
        return Line(label, texts)
    return Line(label, texts, min(known)[1], max(known)[1])
