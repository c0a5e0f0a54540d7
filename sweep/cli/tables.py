"""Runs and studies as tables: what their columns are, and which of them matter most where the terminal is narrow."""

from collections.abc import Sequence
from dataclasses import dataclass

from sweep.cli.cells import number_cells, value_cells
from sweep.cli.grid import Column, Grid
from sweep.finding import mark
from sweep.names import Value, format_number, format_value
from sweep.store import RunRecord, StudyRecord
from sweep.view.durations import duration
from sweep.view.runs import key_table, objectives
from sweep.view.sorting import OF_RUN
from sweep.view.studies import Standing
from sweep.view.trainings import epochs_text

BEST_MARK = "★"
STATE_STYLES = {
    "COMPLETE": "green",
    "PRUNED": "yellow",
    "FAIL": "red",
    "RUNNING": "cyan",
    "WAITING": "dim",
    "running": "cyan",
    "finished": "green",
    "stopped": "yellow",
}


@dataclass(frozen=True)
class Parameters:
    """The parameters of some runs, in the order of their names.

    Attributes:
        varying: parameter names whose values differ among the runs, with their keys.
        constant: those that have one value in all of them (only if there are two runs or more).
    """

    varying: dict[str, str]
    constant: dict[str, Value]


def split_parameters(study: StudyRecord, runs: Sequence[RunRecord]) -> Parameters:
    """Which parameters vary among runs, and which are the same in all."""
    keys = key_table(study)
    names = dict.fromkeys(name for run in runs for name in run.params)
    for name in names:
        keys.assign(name)
    varying, constant = {}, {}
    for name in keys.order(names):
        written = {format_value(run.params[name]) if name in run.params else None for run in runs}
        if len(written) == 1 and len(runs) > 1:
            constant[keys.key(name)] = runs[0].params[name]
        else:
            varying[name] = keys.key(name)
    return Parameters(varying, constant)


def runs_grid(
    study: StudyRecord, runs: Sequence[RunRecord], *, best: RunRecord | None = None, names: bool = False
) -> Grid:
    """Runs as a table, parameters as columns by their keys, constant ones left out.

    Args:
        best: the run to mark.
        names: show run names instead of parameters.
    """
    is_best = [best is not None and run.number == best.number for run in runs]
    columns = [
        Column("", [BEST_MARK if marked else "" for marked in is_best], keep=90, style="bold green"),
        Column("run", [format_number(run.number) for run in runs]),
        Column("state", [run.state for run in runs], keep=98),
        Column("epoch", [_epoch(run) for run in runs], right=True, keep=60),
        *_value_columns(study, runs, names=names),
        Column("feasible", [_feasible(run) for run in runs], keep=75),
        Column("best", number_cells([run.best for run in runs]), keep=71),
        Column("last", number_cells([run.last for run in runs]), keep=70),
        Column("time", [duration(run.duration) for run in runs], right=True, keep=50),
    ]
    if names:  # a name ends with the number
        columns[1] = Column("name", [run.name or format_number(run.number) for run in runs], keep=101)
    else:
        columns += _parameter_columns(study, runs)
    # Of findings the kind, such as `overfitting`; the evidence is for `sweep show`.
    columns.append(Column("finding", [mark(run.findings) for run in runs], keep=56, shrink=12, style="magenta"))
    columns.append(Column("reason", [one_line(run.reason or "") for run in runs], keep=55, shrink=16))
    columns = [column for column in columns if any(column.cells) or not runs]
    states = {("state", place): STATE_STYLES.get(run.state, "") for place, run in enumerate(runs)}
    return Grid(columns, ["bold" if marked else "" for marked in is_best], states)


def _value_columns(study: StudyRecord, runs: Sequence[RunRecord], *, names: bool) -> list[Column]:
    """What `train` returned: headed `run.value` beside a parameter `value`, and by name with several objectives."""
    goals = objectives(study)
    if len(goals) > 1:
        returned = [[run.values[place] if run.values else None for run in runs] for place in range(len(goals))]
        return [
            Column(f"value.{goal.name}", number_cells(values)) for goal, values in zip(goals, returned, strict=True)
        ]
    taken = set() if names else set(split_parameters(study, runs).varying.values())
    return [Column(f"{OF_RUN}value" if "value" in taken else "value", number_cells([run.value for run in runs]))]


def _feasible(run: RunRecord) -> str:
    return "" if run.feasible is None else format_value(run.feasible)


def _parameter_columns(study: StudyRecord, runs: Sequence[RunRecord]) -> list[Column]:
    varying = split_parameters(study, runs).varying
    columns = []
    if "family" not in varying and len({run.family for run in runs}) > 1:
        columns.append(Column("family", [run.family or "" for run in runs], keep=95))
    for place, (name, key) in enumerate(sorted(varying.items(), key=lambda item: item[0] != "family")):
        values = [run.params.get(name) for run in runs]
        cells = value_cells(values, [name not in run.params for run in runs])
        columns.append(Column(key, cells, keep=max(61, 89 - place), style="cyan"))
    return columns


def constants_line(study: StudyRecord, runs: Sequence[RunRecord]) -> str | None:
    """The parameters that are the same in all runs, as a line; None if there are none."""
    constant = split_parameters(study, runs).constant
    return (
        "the same in all: " + " ".join(f"{key}={format_value(value)}" for key, value in constant.items())
        if (constant)
        else None
    )


def studies_grid(standings: Sequence[Standing], sizes: Sequence[str] = ()) -> Grid:
    """Studies as a table, with what their folders take on the disk where that is known."""
    counts = {state: [_count(standing.counts.get(state, 0)) for standing in standings] for state in STATE_STYLES}
    used = [f"{standing.finished}/{standing.study.declaration.trials}" for standing in standings]
    bests = [standing.best for standing in standings]
    goals = [", ".join(map(str, objectives(standing.study))) for standing in standings]
    columns = [
        Column("study", [standing.study.name for standing in standings], style="bold"),
        Column("state", [standing.state for standing in standings], keep=99),
        Column("trials", used, right=True, keep=98),
        Column("running", counts["RUNNING"], right=True, keep=70),
        Column("complete", counts["COMPLETE"], right=True, keep=60),
        Column("pruned", counts["PRUNED"], right=True, keep=60),
        Column("failed", counts["FAIL"], right=True, keep=65),
        Column(
            "best",
            [number_cells([best.value if best else None])[0] for best in bests],
            keep=90,
        ),
        Column("run", [format_number(best.number) if best else "" for best in bests], keep=80),
        Column("objective", goals, keep=75),
        Column("size", list(sizes), right=True, keep=45),
        Column("directory", [standing.study.directory for standing in standings], keep=40),
    ]
    states = {("state", place): STATE_STYLES[standing.state] for place, standing in enumerate(standings)}
    return Grid([column for column in columns if any(column.cells)], [], states)


def one_line(text: str) -> str:
    """A text with every run of white space as one blank."""
    return " ".join(text.split())


def _epoch(run: RunRecord) -> str:
    if run.state == "WAITING" and not run.epoch:
        return ""
    return epochs_text(run)


def _count(count: int) -> str:
    return str(count) if count else ""
