"""Commands that look: runs, show, best, watch, studies, export."""

from typing import Annotated

import typer

from sweep.cli import options

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
        help=f"At most so many runs; {LIMIT} in a table, all in JSON.",
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
    from sweep.cli.listing import Request, list_runs, with_finding

    with options.opened(options.place(storage, server)) as store:
        list_runs(
            store,
            study,
            pattern,
            filter,
            Request(sort, tuple(state or ()), limit, names, json, with_finding(where, finding)),
        )


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
    from sweep.cli.show import show_run

    with options.opened(options.place(storage, server)) as store:
        show_run(store, words, storage=options.place(storage, server), as_json=json)


def best(
    study: options.StudyName = None,
    count: Annotated[int, typer.Option("-n", "--count", min=1, metavar="N", help="How many runs.")] = 5,
    save: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Save the trained model of the best one, as FILE.keras.", show_default=False),
    ] = None,
    names: options.Names = False,
    json: options.Json = False,
    storage: options.Storage = options.DEFAULT_STORAGE,
    server: options.Server = None,
) -> None:
    """List a study's best runs.

    They are ranked by their value, which is what train returned. As with Optuna, a run that was pruned, failed or
    breaks a constraint is never the best.

    \b
    Example: sweep best diabetes -n 3
             sweep best diabetes --save model.keras
    """
    from sweep.cli.listing import list_best
    from sweep.cli.save import save_best
    from sweep.errors import SweepError

    if save is not None and server is not None:
        raise SweepError(
            "--save cannot be combined with --server, because it reads the run's directory.",
            "Run it on the machine that has the study's log directory.",
        )
    with options.opened(options.place(storage, server)) as store:
        if save is not None:
            save_best(store, study, save)
            return
        list_best(store, study, count, names=names, as_json=json, storage=options.place(storage, server))


def watch(
    study: options.StudyName = None,
    names: options.Names = False,
    storage: options.Storage = options.DEFAULT_STORAGE,
    server: options.Server = None,
) -> None:
    """Watch a running study.

    As `sweep start` shows it, from any terminal, until it ends. Ctrl-C leaves it running.

    \b
    Example: sweep watch diabetes
    """
    from sweep.cli.watching import watch_study

    with options.opened(options.place(storage, server)) as store:
        watch_study(store, study, names=names)


def studies(
    json: options.Json = False, storage: options.Storage = options.DEFAULT_STORAGE, server: options.Server = None
) -> None:
    """List studies and how they stand.

    A study is running while its coordinator lives, finished when its trials are used up, and stopped otherwise.

    \b
    Example: sweep studies --storage sqlite:///sweep.db
    """
    from sweep.cli.listing import list_studies

    with options.opened(options.place(storage, server)) as store:
        list_studies(store, here=server is None, as_json=json)


def export(
    study: options.StudyName = None,
    format: Annotated[str, typer.Option("--format", metavar="FORMAT", help="csv, json or jsonl.")] = "csv",
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="The file; standard output by default.", show_default=False
        ),
    ] = None,
    storage: options.Storage = options.DEFAULT_STORAGE,
    server: options.Server = None,
) -> None:
    """Write all trials as CSV or JSON.

    Every trial with its exact parameters and every metric of every epoch. csv has a line for each epoch of each trial,
    json a list of objects, jsonl an object a line. value is what train returned; best and last are the objective at
    its best and its last epoch. In JSON, NaN and infinity are null; in CSV nan, inf and -inf.

    \b
    Example: sweep export diabetes --format csv --output diabetes.csv
    """
    from sweep.cli.exporting import export_study

    with options.opened(options.place(storage, server)) as store:
        export_study(store, study, format, output)
