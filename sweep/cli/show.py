"""`sweep show`: one run whole, on one screen."""

import math
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from sweep.cli import options
from sweep.cli.grid import Column, Grid
from sweep.cli.output import on_terminal, print_whole, print_wrapped, say, show_grid, show_json
from sweep.cli.tables import STATE_STYLES
from sweep.cli.target import named_run
from sweep.commands import command, rerun_command, run_again
from sweep.names import format_number, format_value, short_number
from sweep.store import FINISHED, RunRecord, Store, StudyRecord
from sweep.view.cells import duration, moment, number, number_cells, sparkline
from sweep.view.comparisons import parameter_names
from sweep.view.repeats import said
from sweep.view.runs import (
    Epochs,
    best_run,
    finished,
    how_trained,
    key_table,
    named_values,
    objectives,
    trained_text,
    training_name,
    trial_object,
)
from sweep.words import labelled, one_line, shown_path

LAST_EPOCHS = 5
_LABEL = 12
_TO_COPY = ("directory", "TensorBoard", "again", "reproduce")


def show(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="[STUDY] RUN",
            help="The run: 17, t0017 or its full name; its study may be left out where it is clear.",
            show_default=False,
        ),
    ],
    json: options.Json = False,
    storage: options.Storage = options.DEFAULT_STORAGE,
    server: options.Server = None,
) -> None:
    """Show one run.

    What it trained with and how that differs from the best run, how it went and why it ended, and how to go on.

    \b
    Example: sweep show 17
             sweep show diabetes t0017
    """
    with options.opened(options.place(storage, server)) as store:
        show_run(store, words, storage=options.place(storage, server), as_json=json)


def show_run(store: Store, words: Sequence[str], *, storage: str, as_json: bool) -> None:
    """Print the run of `[STUDY] RUN`.

    Raises:
        SweepError: there are more words than that.
        StoreError: there is no such run, or one in each of several studies.
    """
    study, run = named_run(store, words)
    epochs = store.metrics(study.study_id, [run.number]).get(run.number, {})
    if len(words) == 1 and not on_terminal():
        say(f"study {study.name}")
    if as_json:
        show_json(trial_object(study, run, epochs))
        return
    every = store.runs(study.study_id)
    best = best_run(study, every)
    print_whole(run.name or f"{format_number(run.number)} (its name is fixed when training begins)", "bold")
    print_whole(_outcome(study, run), STATE_STYLES.get(run.state, ""))
    _fields(_findings(study, run, best))
    _fields(_history(run, every))
    _section("parameters", _parameters_grid(study, run, best))
    _section("trainings", _trainings_grid(run))
    _section("repeats", _repeats_grid(run))
    _section("metrics", _metrics_grid(epochs))
    _section("last epochs", _epochs_grid(run, epochs))
    print_whole("")
    _fields(_provenance(study, run, finished(store.counts(study.study_id)), storage))
    if run.traceback:
        print_whole("")
        print_whole(run.traceback.rstrip(), "red")


def _outcome(study: StudyRecord, run: RunRecord) -> str:
    spent = f" in {duration(run.duration)}" if run.duration is not None else ""
    return f"{study.name}, run {run.number}: {run.state} after {trained_text(run)}{spent}"


def _findings(study: StudyRecord, run: RunRecord, best: RunRecord | None) -> list[tuple[str, str | None]]:
    """How good the run was, and why it ended."""
    at = f" at epoch {run.best_epoch + 1}" if run.best_epoch is not None else ""
    numbers = [f"best {short_number(run.best)}{at}"] if run.epoch and run.best is not None else []
    numbers += [f"last {short_number(run.last)}"] if run.epoch and run.last is not None else []
    return [
        ("value", ", ".join(_values(study, run, best)) or None),
        ("fresh seeds" if run.fresh else "seeds", said(run.mean, run.sd, run.n or 0) if run.mean is not None else None),
        ("constraints", _constraints(run)),
        ("best run", _best(run, best)),
        (objectives(study)[0].name, ", ".join(numbers) or None),
        ("reason", run.why and one_line(run.why)),
        *labelled("finding", [one_line(str(found)) for found in run.findings]),
    ]


def _values(study: StudyRecord, run: RunRecord, best: RunRecord | None) -> list[str]:
    """What `train` returned, and what is special about it."""
    returned = named_values(objectives(study), run)
    values = [f"{name} {number(value)}" if len(returned) > 1 else number(value) for name, value in returned.items()]
    if run.feasible is False:
        values.append("infeasible")
    if best is not None and best.number == run.number:
        values.append("the best run of its study")
    return values


def _best(run: RunRecord, best: RunRecord | None) -> str | None:
    """Which run is the best, where it is another."""
    if best is None or best.value is None or best.number == run.number:
        return None
    return f"{format_number(best.number)} with value {short_number(best.value)}"


def _constraints(run: RunRecord) -> str | None:
    """Each constraint, and whether it is met."""
    shown = [
        f"{name} {short_number(value)}{'' if value <= 0 else ' (broken)'}" for name, value in run.constraints.items()
    ]
    return ", ".join(shown) or None


def _history(run: RunRecord, every: Sequence[RunRecord]) -> list[tuple[str, str | None]]:
    """What went before it and after it: the run it revives, the one that revives it, attempts that came to no end."""
    successor = next((other for other in every if other.revives == run.number), None)
    told = [f"{number}, {one_line(said)}" for number, said in enumerate(run.interruptions, start=1)]
    if told:
        told.append(
            f"{run.attempt + 1}, which {'is the present one' if run.state not in FINISHED else 'came to its end'}"
        )
    return [
        ("revives", f"{format_number(run.revives)}, from its checkpoint" if run.revives is not None else None),
        ("revived", f"by {format_number(successor.number)}, from its checkpoint" if successor is not None else None),
        *labelled("attempts", told),
    ]


def _parameters_grid(study: StudyRecord, run: RunRecord, best: RunRecord | None) -> Grid:
    """The parameters exactly, by name and key, and the best run's where they differ."""
    keys = key_table(study)
    names = parameter_names(keys, [run.params])
    columns = [
        Column("parameter", names),
        Column("key", [keys.key(name) for name in names], keep=50),
        Column("value", [format_value(run.params[name]) for name in names], style="cyan"),
    ]
    if best is not None and best.number != run.number:
        theirs = [format_value(best.params[name]) if name in best.params else "(not there)" for name in names]
        mine = [format_value(run.params[name]) for name in names]
        differing = ["the same" if one == other else other for one, other in zip(mine, theirs, strict=True)]
        columns.append(Column(f"best run {format_number(best.number)}", differing, keep=60, style="dim"))
    return Grid(columns)


def _trainings_grid(run: RunRecord) -> Grid:
    """The trainings of a trial that has several: what each returned, after how many epochs, and what pruners see."""
    shown = run.trainings if len(run.trainings) > 1 else []
    best = [str(item.best_epoch + 1) if item.best_epoch is not None else "" for item in shown]
    return Grid(
        [
            Column("training", [training_name(item) for item in shown], style="cyan"),
            Column("network", [item.architecture or "" for item in shown], keep=60),
            Column("epochs", [f"{item.epochs}/{item.planned}" for item in shown], right=True),
            Column("returned", number_cells([item.value for item in shown])),
            Column("best epoch", best, right=True, keep=70),
            Column("", ["seen by pruners" if item.judged else "" for item in shown], keep=50, style="dim"),
        ]
    )


def _repeats_grid(run: RunRecord) -> Grid:
    """The run's trainings with other seeds; of several that its value is the mean of, its own is the first."""
    shown = run.repeats
    return Grid(
        [
            Column("repeat", [str(one.repeat) for one in shown], right=True),
            Column("seed", [str(one.seed) for one in shown], right=True, keep=60),
            Column("state", [one.state for one in shown]),
            Column("epochs", [str(one.epoch) for one in shown], right=True, keep=60),
            Column("value", number_cells([one.value for one in shown])),
            Column("", [one_line(one.reason or "") for one in shown], keep=50, shrink=16),
        ]
    )


def _metrics_grid(epochs: Epochs) -> Grid:
    """Each metric's course: a sparkline, its first, smallest, largest and last value."""
    series = {
        name: [epochs[epoch][name] for epoch in sorted(epochs) if name in epochs[epoch]] for name in _names(epochs)
    }
    ends = {
        name: [values[0], _extreme(values, min), _extreme(values, max), values[-1]] for name, values in series.items()
    }
    cells = {name: [number(value) for value in values] for name, values in ends.items()}
    columns = [
        Column("metric", list(series), style="cyan"),
        Column("course", [sparkline(values, 24) for values in series.values()], keep=50),
    ]
    for place, header in enumerate(("first", "smallest", "largest", "last")):
        columns.append(Column(header, [cells[name][place] for name in series], right=True, keep=60 + place))
    return Grid(columns)


def _epochs_grid(run: RunRecord, epochs: Epochs) -> Grid:
    """The last epochs, counted from 1 as reasons count them, and the best one if it is not among them."""
    shown = sorted(epochs)[-LAST_EPOCHS:]
    if run.best_epoch is not None and run.best_epoch in epochs and run.best_epoch not in shown:
        shown = [run.best_epoch, *shown]
    columns = [Column("epoch", [str(epoch + 1) for epoch in shown], right=True)]
    for place, name in enumerate(_names(epochs)):
        columns.append(Column(name, number_cells([epochs[epoch].get(name) for epoch in shown]), keep=90 - place))
    columns.append(
        Column("", ["best" if epoch == run.best_epoch else "" for epoch in shown], keep=10, style="bold green")
    )
    return Grid(columns)


def _provenance(study: StudyRecord, run: RunRecord, used: int, storage: str) -> list[tuple[str, str | None]]:
    """Where the run is, how it came about, how to look further and how to train it again."""
    where = f" on worker {run.worker}" if run.worker else ""
    unpruned = study.declaration.leaves_unpruned(run.number)
    return [
        ("started", f"{moment(run.started)}{where}" if run.started is not None else None),
        ("unpruned", "drawn by --unpruned: the pruner leaves it alone" if unpruned else None),
        ("seed", str(run.seed) if run.seed is not None else None),
        *((name, one_line(said)) for name, said in how_trained(run)),
        ("directory", shown_path(run.directory) if run.directory else None),
        ("TensorBoard", command("tensorboard", study.name, f"-{format_number(run.number)}$", storage=storage)),
        ("again", run_again(study, run, used, storage=storage)),
        ("reproduce", rerun_command(study, run, storage=storage)),
    ]


def _names(epochs: Epochs) -> list[str]:
    return list(dict.fromkeys(name for values in epochs.values() for name in values))


def _extreme(values: Sequence[float], choose: Callable[[list[float]], float]) -> float | None:
    finite = [value for value in values if math.isfinite(value)]
    return choose(finite) if finite else None


def _section(heading: str, grid: Grid) -> None:
    """A table under its heading; nothing where it has no rows."""
    if grid.columns and grid.columns[0].cells:
        print_whole("")
        print_whole(heading, "dim")
        show_grid(grid)


def _fields(fields: Sequence[tuple[str, str | None]]) -> None:
    """Labels and texts below each other: prose is wrapped, what may be copied is cut nowhere."""
    for label, text in fields:
        if text and label in _TO_COPY:
            print_whole(f"{label:<{_LABEL}} {text}")
        elif text:
            print_wrapped(f"{label:<{_LABEL}} {text}", indent=_LABEL + 1)
