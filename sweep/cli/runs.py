"""`sweep runs`: a study's runs."""

import difflib
from collections.abc import Sequence
from typing import Annotated

import typer

from sweep.cli import options
from sweep.cli.output import remark
from sweep.cli.tables import print_heading, print_json, print_runs
from sweep.cli.target import Target, find_target
from sweep.errors import SweepError
from sweep.finding import KINDS
from sweep.view.runs import best_run
from sweep.view.selection import Selected, parse_states
from sweep.words import counted

LIMIT = 40
"""Rows of a table, where no other limit is given."""

Sort = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        show_default=False,
        help="A metric (at its last epoch), a parameter (name or key), or one of value, best, last, feasible, number, "
        "name, state, epoch, duration, started, family; run.value where a parameter is called value. The value, best, "
        "last and the objective put the best run first. A - in front reverses the order.",
    ),
]
States = Annotated[
    list[str] | None,
    typer.Option(
        "--state",
        metavar="STATE",
        show_default=False,
        help="waiting, running, complete, pruned or fail; may be repeated.",
    ),
]
FindingOption = Annotated[
    str | None,
    typer.Option(
        "--finding",
        metavar="KIND",
        show_default=False,
        help="Runs with this finding, such as dead-relu; the same as --where \"finding = 'KIND'\".",
    ),
]
Limit = Annotated[
    int | None,
    typer.Option(
        "--limit",
        min=1,
        metavar="N",
        show_default=False,
        help=f"Show at most N runs; default: {LIMIT} in a table, all in JSON.",
    ),
]


def runs(
    study: options.StudyName = None,
    pattern: options.PatternArgument = None,
    filter: options.PatternOption = None,
    where: options.Where = None,
    sort: Sort = None,
    state: States = None,
    finding: FindingOption = None,
    limit: Limit = None,
    names: options.Names = False,
    fail_if_none: options.FailIfNone = False,
    json: options.Json = False,
    storage: options.Storage = options.DEFAULT_STORAGE,
    server: options.Server = None,
) -> None:
    """List a study's runs.

    Their value is what train returned; best and last are the objective at its best and its last epoch. They are
    listed by number or as sorted; without --sort, --limit keeps the latest. The pattern is a JavaScript
    regular expression as TensorBoard's Time Series tab uses it: it may match anywhere in the name, and ignores case.

    \b
    Example: sweep runs diabetes '^dnn' --sort value --state complete
             sweep runs diabetes --where "lr < 0.01 and val_mae < 0.6"
             sweep runs diabetes --finding dead-relu
    """
    states = parse_states(state or ())
    where = with_finding(where, finding)
    limit = limit or (None if json else LIMIT)
    with options.opened(options.place(storage, server)) as store:
        target = find_target(store, study, pattern, filter)
        found = target.select(store, states=states, where=where, sort=sort, limit=limit)
        if json:
            print_json(store, target.study, found.shown)
        elif not found.runs:
            remark(_nothing(target, found, state or ()))
        if not found.runs and fail_if_none:
            raise typer.Exit(options.NONE_MATCHED)
        if json or not found.runs:
            return
        every = found.runs if found.total == len(found.runs) else store.runs(target.study.study_id)
    print_heading(target.study, every)
    best = best_run(target.study, every)
    print_runs(target.study, found.shown, best, names=names, more=_more(found), every=every)


def with_finding(where: str | None, finding: str | None) -> str | None:
    """A condition that a run must have a finding as well.

    Raises:
        SweepError: there is no such finding; the error names the nearest.
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


def _more(found: Selected) -> str | None:
    more = len(found.runs) - len(found.shown)
    if more == 0:
        return None
    which = "further down" if found.selection.sort else "earlier ones"
    return f"{more} more, {which}: --limit {len(found.runs)} shows all, --filter and --state fewer"


def _nothing(target: Target, found: Selected, states: Sequence[str]) -> str:
    wanted = [f"matches {target.pattern!r}"] if target.pattern is not None else []
    wanted += [f"has {found.selection.where}"] if found.selection.where else []
    wanted += [f"is {' or '.join(states)}"] if states else []
    if not wanted:
        return f"{target.study.name} has no runs yet"
    return f"no run of {target.study.name} {' and '.join(wanted)}; it has {counted(found.total, 'run')}"
