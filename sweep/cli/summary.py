"""`sweep summary`: what has become of a study, to be read at once."""

from pathlib import Path
from typing import Annotated

import typer

from sweep.cli import options
from sweep.cli.output import print_whole, print_wrapped, show_json
from sweep.cli.target import named_study
from sweep.control.disk import size
from sweep.store.remote import RemoteStore
from sweep.view.runs import all_finite
from sweep.view.summary import Summary, as_object, ends_of, moment_of, paragraphs, summarize, tracebacks

_LABEL = 10


def summary(
    study: options.StudyName = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Leave out what ended earlier than this long ago: 90m, 12h.", show_default=False
        ),
    ] = None,
    json: options.Json = False,
    storage: options.Storage = options.DEFAULT_STORAGE,
    server: options.Server = None,
) -> None:
    """Say what has become of a study.

    What won and by how much, whether that is certain, what failed and why, what was pruned and paused, what it took,
    and what to do next.

    \b
    Example: sweep summary diabetes
             sweep summary diabetes --since 12h
    """
    from_then = None if since is None else moment_of(since)
    place = options.place(storage, server)
    with options.opened(place) as store:
        record = named_study(store, study)
        runs = store.runs(record.study_id)
        ends = ends_of(store, record) if from_then is not None else None
    disk = None if isinstance(store, RemoteStore) else size(Path(record.directory))
    made = summarize(record, runs, running=record.is_running, place=place, since=from_then, ends=ends, disk=disk)
    if json:
        show_json(all_finite(as_object(made)))
    else:
        print_summary(made)


def print_summary(made: Summary) -> None:
    """Print a summary: prose is wrapped, commands and tracebacks are cut nowhere."""
    for label, lines in paragraphs(made):
        name = label if len(label) <= _LABEL else ""
        if not name:
            print_whole(label, "bold")
        for place, line in enumerate(lines):
            print_wrapped(f"{name if place == 0 else '':<{_LABEL}} {line}", indent=_LABEL + 1)
        if label == "failed":
            for line in tracebacks(made):
                print_whole(f"{'':<{_LABEL}} {line}", "red")
    width = max((len(step.command) for step in made.steps), default=0)
    for place, step in enumerate(made.steps):
        print_whole(f"{'next' if place == 0 else '':<{_LABEL}} {step.command:<{width}}   {step.what}")
