"""A study's runs as a table: its columns, which of them matter most on a narrow terminal, and the remarks around it."""

from collections import Counter
from collections.abc import Sequence

from sweep.cli.grid import Column, Grid
from sweep.cli.output import on_terminal, remark, remarks, show_grid, show_json
from sweep.finding import mark
from sweep.names import format_number, format_value
from sweep.quantities import OF_RUN
from sweep.store import RunRecord, Store, StudyRecord
from sweep.view.budgets import mixed_budgets, unusual, usual_budget
from sweep.view.cells import duration, number_cells, value_cells
from sweep.view.comparisons import split_parameters
from sweep.view.runs import epochs_text, key_table, objectives, run_object, value_columns
from sweep.words import one_line

BEST_MARK = "★"
STATE_STYLES = {
    "COMPLETE": "green",
    "PRUNED": "yellow",
    "FAIL": "red",
    "RUNNING": "cyan",
    "PAUSED": "blue",
    "WAITING": "dim",
    "running": "cyan",
    "finished": "green",
    "stopped": "yellow",
}
STATE_WORDS = {
    "COMPLETE": "complete",
    "PRUNED": "pruned",
    "FAIL": "failed",
    "RUNNING": "running",
    "PAUSED": "paused",
    "WAITING": "waiting",
}


def runs_grid(
    study: StudyRecord,
    runs: Sequence[RunRecord],
    *,
    best: RunRecord | None = None,
    names: bool = False,
    every: Sequence[RunRecord] = (),
) -> Grid:
    """Runs as a table, parameters as columns by their keys, constant ones left out.

    Args:
        best: the run to mark.
        names: show run names instead of parameters.
        every: all runs of the study, so that those with another epoch budget than most are marked.
    """
    usual = usual_budget(every)
    is_best = [best is not None and run.number == best.number for run in runs]
    columns = [
        Column("", [BEST_MARK if marked else "" for marked in is_best], keep=90, style="bold green"),
        Column("run", [format_number(run.number) for run in runs]),
        Column("state", [run.state for run in runs], keep=98),
        Column("epoch", [_epoch(run) for run in runs], right=True, keep=60),
        Column("budget", [f"≠ {usual}" if unusual(run, usual) else "" for run in runs], keep=96, style="yellow"),
        *_value_columns(study, runs, names=names),
        Column("feasible", [_feasible(run) for run in runs], keep=75),
        Column("mean", number_cells([run.mean for run in runs]), keep=97),
        Column("sd", number_cells([run.sd for run in runs]), keep=74),
        Column("n", ["" if run.n is None else str(run.n) for run in runs], right=True, keep=73),
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
    columns.append(Column("reason", [one_line(run.why or "") for run in runs], keep=55, shrink=16))
    columns = [column for column in columns if any(column.cells) or not runs]
    states = {("state", place): STATE_STYLES.get(run.state, "") for place, run in enumerate(runs)}
    return Grid(columns, ["bold" if marked else "" for marked in is_best], states)


def _value_columns(study: StudyRecord, runs: Sequence[RunRecord], *, names: bool) -> list[Column]:
    """What `train` returned: headed `run.value` beside a parameter `value`, and by name with several objectives."""
    taken = set() if names else set(split_parameters(key_table(study), [run.params for run in runs]).varying.values())
    return [
        Column(f"{OF_RUN}value" if name == "value" and name in taken else name, number_cells(values))
        for name, values in value_columns(objectives(study), runs).items()
    ]


def _feasible(run: RunRecord) -> str:
    return "" if run.feasible is None else format_value(run.feasible)


def _parameter_columns(study: StudyRecord, runs: Sequence[RunRecord]) -> list[Column]:
    varying = split_parameters(key_table(study), [run.params for run in runs]).varying
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
    constant = split_parameters(key_table(study), [run.params for run in runs]).constant
    if not constant:
        return None
    return "the same in all: " + " ".join(f"{key}={format_value(value)}" for key, value in constant.items())


def _epoch(run: RunRecord) -> str:
    if run.state == "WAITING" and not run.epoch:
        return ""
    return epochs_text(run)


def print_heading(study: StudyRecord, runs: Sequence[RunRecord]) -> None:
    """How far the study is, above the table on a terminal only: piped text is the table alone."""
    if on_terminal():
        counts = Counter(run.state for run in runs)
        parts = [f"{counts[state]} {word}" for state, word in STATE_WORDS.items() if counts[state]]
        goal = ", ".join(map(str, objectives(study)))
        remark(f"{study.name}, {goal}: {', '.join(parts)} of {study.declaration.trials}", style="bold")


def print_runs(
    study: StudyRecord,
    runs: Sequence[RunRecord],
    best: RunRecord | None,
    *,
    names: bool,
    more: str | None,
    every: Sequence[RunRecord],
) -> None:
    """Print a table of runs; below it the parameters that all share, the columns left out, runs that do not compare
    with the others, and `more`.

    Args:
        every: all runs of the study.
    """
    left_out = show_grid(runs_grid(study, runs, best=best, names=names, every=every))
    shared = None if names else constants_line(study, runs)
    remarks([shared, *no_room(left_out), mixed_budgets(runs, every), more])


def print_json(store: Store, study: StudyRecord, runs: Sequence[RunRecord]) -> None:
    """Print runs as JSON, each with the metrics of its last finished epoch."""
    metrics = store.last_metrics(study.study_id)
    show_json([run_object(study, run, metrics.get(run.number, {})) for run in runs])


def no_room(headers: Sequence[str]) -> list[str]:
    """A remark about the columns that a narrow terminal has no room for, if there are any."""
    if not headers:
        return []
    return [f"no room for {', '.join(headers)}: widen the terminal, or add --json"]
