"""Lists of runs and studies as a person sees them: a heading, a table, what was left out and how to see it."""

import difflib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sweep.cli.cells import shown_size
from sweep.cli.grid import Grid
from sweep.cli.output import on_terminal, remark, remarks, show_grid, show_json
from sweep.cli.read import LIMIT
from sweep.cli.tables import constants_line, runs_grid, studies_grid
from sweep.cli.target import Target, find_target, named_study
from sweep.control.disk import size
from sweep.errors import SweepError
from sweep.finding import KINDS
from sweep.names import format_number
from sweep.read.commands import command
from sweep.read.report import run_object, study_object
from sweep.read.runs import Selection, best_run, objectives, parse_states, rank, select_runs
from sweep.read.studies import standings
from sweep.store import RunRecord, Store, StudyRecord
from sweep.words import counted

STATE_WORDS = {
    "COMPLETE": "complete",
    "PRUNED": "pruned",
    "FAIL": "failed",
    "RUNNING": "running",
    "WAITING": "waiting",
}


@dataclass(frozen=True)
class Request:
    """The options of `sweep runs`."""

    sort: str | None = None
    states: tuple[str, ...] = ()
    limit: int | None = None
    names: bool = False
    json: bool = False
    where: str | None = None


def with_finding(where: str | None, finding: str | None) -> str | None:
    """A condition that a run must have a finding as well.

    Raises:
        SweepError: there is no such finding; the nearest one is given.
    """
    if finding is None:
        return where
    if finding not in KINDS:
        near = difflib.get_close_matches(finding, KINDS, n=1, cutoff=0.4)
        raise SweepError(
            f"No such finding: {finding}.", f"Did you mean {near[0]}?" if near else f"Choose from {', '.join(KINDS)}."
        )
    has = f"finding = '{finding}'"
    return f"({where}) and {has}" if where else has


def list_runs(store: Store, first: str | None, second: str | None, option: str | None, request: Request) -> None:
    """Print the runs asked for."""
    states = parse_states(request.states)
    target = find_target(store, first, second, option)
    selection = select_runs(
        store, target.study, pattern=target.compiled(), states=states, sort=request.sort, where=request.where
    )
    limit = request.limit or (None if request.json else LIMIT)
    shown = _limited(selection.runs, limit, latest=request.sort is None)
    if request.json:
        _print_json(store, target.study, shown)
        return
    if not shown:
        remark(_nothing(target, selection, request))
        return
    every = selection.runs if selection.total == len(selection.runs) else store.runs(target.study.study_id)
    _heading(target.study, every)
    grid = runs_grid(target.study, shown, best=best_run(target.study, every), names=request.names)
    _print_runs(target.study, shown, grid, names=request.names, more=_more(selection, shown, request))


def list_best(store: Store, name: str | None, count: int, *, names: bool, as_json: bool, storage: str) -> None:
    """Print a study's best runs."""
    study = named_study(store, name)
    every = store.runs(study.study_id)
    ranked = rank(study, every)[:count]
    if as_json:
        _print_json(store, study, ranked)
        return
    if not ranked:
        remark(f"No run of {study.name} is COMPLETE{_and_feasible(every)} yet.")
        return
    _heading(study, every)
    grid = runs_grid(study, ranked, best=ranked[0], names=names)
    first = f"{ranked[0].name}: {command('show', study.name, format_number(ranked[0].number), storage=storage)}"
    _print_runs(study, ranked, grid, names=names, more=first)


def _and_feasible(runs: Sequence[RunRecord]) -> str:
    return " and feasible" if any(run.constraints for run in runs) else ""


def list_studies(store: Store, *, here: bool, as_json: bool) -> None:
    """Print the studies of a database; `here`: their folders are on this machine."""
    found = standings(store, store.studies())
    if as_json:
        show_json([study_object(standing) for standing in found])
    elif found:
        taken = [size(Path(standing.study.directory)) if here else 0 for standing in found]
        sizes = [shown_size(count) if count else "" for count in taken]
        remarks(_left_out(show_grid(studies_grid(found, sizes))))
    else:
        remark("no studies yet; start one with `sweep start FILE`")


def _limited(runs: Sequence[RunRecord], limit: int | None, *, latest: bool) -> list[RunRecord]:
    if limit is None:
        return list(runs)
    return list(runs[-limit:] if latest else runs[:limit])


def _print_json(store: Store, study: StudyRecord, runs: Sequence[RunRecord]) -> None:
    metrics = store.last_metrics(study.study_id)
    show_json([run_object(study, run, metrics.get(run.number, {})) for run in runs])


def _print_runs(study: StudyRecord, runs: Sequence[RunRecord], grid: Grid, *, names: bool, more: str | None) -> None:
    left_out = show_grid(grid)
    remarks([None if names else constants_line(study, runs), *_left_out(left_out), more])


def _heading(study: StudyRecord, runs: Sequence[RunRecord]) -> None:
    """How the study stands, above the table on a terminal only: piped text is the table alone."""
    if on_terminal():
        counts = Counter(run.state for run in runs)
        parts = [f"{counts[state]} {word}" for state, word in STATE_WORDS.items() if counts[state]]
        goal = ", ".join(map(str, objectives(study)))
        remark(f"{study.name}, {goal}: {', '.join(parts)} of {study.declaration.trials}", style="bold")


def _more(selection: Selection, shown: Sequence[RunRecord], request: Request) -> str | None:
    more = len(selection.runs) - len(shown)
    if more == 0:
        return None
    which = "earlier ones" if request.sort is None else "further down"
    return f"{more} more, {which}: --limit {len(selection.runs)} shows all, --filter and --state fewer"


def _nothing(target: Target, selection: Selection, request: Request) -> str:
    wanted = [f"matches {target.pattern!r}"] if target.pattern is not None else []
    wanted += [f"has {request.where}"] if request.where else []
    wanted += [f"is {' or '.join(request.states)}"] if request.states else []
    if not wanted:
        return f"{target.study.name} has no runs yet"
    return f"no run of {target.study.name} {' and '.join(wanted)}; it has {counted(selection.total, 'run')}"


def _left_out(headers: Sequence[str]) -> list[str]:
    if not headers:
        return []
    return [f"no room for {', '.join(headers)}: widen the terminal, or add --json"]
