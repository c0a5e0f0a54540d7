"""`sweep export`: a study written to a file or to standard output."""

import difflib
import os
import sys
from pathlib import Path

from sweep.cli.output import say
from sweep.cli.target import named_study
from sweep.errors import SweepError
from sweep.read.report import FORMATS, export
from sweep.store import Store
from sweep.words import counted


def export_study(store: Store, name: str | None, form: str, output: str | None) -> None:
    """Write every trial of a study.

    Raises:
        SweepError: the format is none there is, or the file cannot be written.
    """
    form = form.lower()
    if form not in FORMATS:
        near = difflib.get_close_matches(form, FORMATS, n=1)
        raise SweepError(
            f"No such format: {form}.", f"Did you mean {near[0]}?" if near else f"Choose from {', '.join(FORMATS)}."
        )
    study = named_study(store, name)
    if output is None or output == "-":
        export(store, study, form, sys.stdout)
        return
    path = Path(output)
    unfinished = path.with_name(f"{path.name}.unfinished")
    try:
        with unfinished.open("w", encoding="utf-8", newline="") as file:
            count = export(store, study, form, file)
        os.replace(unfinished, path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise SweepError(f"Cannot write {output}: {error.strerror}.") from None
    say(f"{counted(count, 'trial')} of {study.name} in {output}")
