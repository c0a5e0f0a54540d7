"""`sweep export`: a study written to a file or to standard output."""

import difflib
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from sweep.cli import options
from sweep.cli.output import on_terminal, say
from sweep.cli.target import named_study
from sweep.errors import SweepError
from sweep.store import Store
from sweep.view.export import FORMATS, write_study
from sweep.words import counted


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
    with options.opened(options.place(storage, server)) as store:
        export_study(store, study, format, output)


def export_study(store: Store, name: str | None, form: str, output: str | None) -> None:
    """Write every trial of a study.

    Raises:
        SweepError: there is no such format, or the file cannot be written.
    """
    form = form.lower()
    if form not in FORMATS:
        near = difflib.get_close_matches(form, FORMATS, n=1)
        raise SweepError(
            f"No such format: {form}.", f"Did you mean {near[0]}?" if near else f"Choose from {', '.join(FORMATS)}."
        )
    study = named_study(store, name)
    if output is None or output == "-":
        write_study(store, study, form, sys.stdout if on_terminal() else getattr(sys.stdout, "exact", sys.stdout))
        return
    path = Path(output)
    unfinished = path.with_name(f"{path.name}.unfinished")
    try:
        with unfinished.open("w", encoding="utf-8", newline="") as file:
            count = write_study(store, study, form, file)
        os.replace(unfinished, path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise SweepError(f"Cannot write {output}: {error.strerror}.") from None
    say(f"{counted(count, 'trial')} of {study.name} in {output}")
