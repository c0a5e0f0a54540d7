"""`sweep best`: a study's best runs, and the best one's trained model as a file."""

from pathlib import Path
from typing import Annotated

import typer

from sweep.cli import options
from sweep.cli.output import print_whole, remark, say
from sweep.cli.tables import print_heading, print_json, print_runs
from sweep.cli.target import named_study
from sweep.commands import answer_of, command, python
from sweep.errors import SweepError
from sweep.names import format_number
from sweep.rundir import weights_files
from sweep.store import Store
from sweep.view.repeats import BEST, CONFIRMED, order_differs, ranked_runs
from sweep.view.runs import rank
from sweep.words import shown_path


def best(
    study: options.StudyName = None,
    count: Annotated[int, typer.Option("-n", "--count", min=1, metavar="N", help="How many runs.")] = 5,
    save: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Save the best one's model, as FILE.keras, or FILE.npz of sweep.epochs; FILE.json says what it is.",
            show_default=False,
        ),
    ] = None,
    names: options.Names = False,
    json: options.Json = False,
    storage: options.Storage = options.DEFAULT_STORAGE,
    server: options.Server = None,
) -> None:
    """List a study's best runs.

    They are ranked by their value, which is what train returned. As with Optuna, a run that was pruned, failed or
    breaks a constraint is never the best. STUDY:confirmed ranks the runs that sweep confirm has trained again by the
    means of their repeats.

    \b
    Example: sweep best diabetes -n 3
             sweep best diabetes --save model.keras
             sweep best diabetes:confirmed --save model.keras
    """
    if save is not None and server is not None:
        raise SweepError(
            "--save cannot be combined with --server, because it reads the run's directory.",
            "Run it on the machine that has the study's log directory.",
        )
    with options.opened(options.place(storage, server)) as store:
        name, which = _which(study)
        if save is not None:
            save_best(store, name, save, which)
            return
        record = named_study(store, name)
        every = store.runs(record.study_id)
        by_value = rank(record, every)
        ranked = (ranked_runs(record, every, which) if which == CONFIRMED else by_value)[:count]
        if json:
            print_json(store, record, ranked)
            return
    if not ranked:
        feasible = " and feasible" if any(run.constraints for run in every) else ""
        remark(f"No run of {record.name} is COMPLETE{feasible} yet.")
        return
    print_heading(record, every)
    look = command("show", record.name, format_number(ranked[0].number), storage=options.place(storage, server))
    print_runs(record, ranked, ranked[0], names=names, more=f"{ranked[0].name}: {look}", every=every)
    if which == BEST and (said := order_differs(record, every)) is not None:
        print_whole(said)


def _which(text: str | None) -> tuple[str | None, str]:
    """The study of `STUDY` or `STUDY:confirmed`, and by what its runs are ranked."""
    name, colon, which = (text or "").rpartition(":")
    if colon and which in (BEST, CONFIRMED):
        return name or None, which
    return text, BEST


def save_best(store: Store, name: str | None, file: str, which: str = BEST) -> None:
    """Save the model of a study's best run, in a process of its own: it loads Keras, and the study file where needed.

    Args:
        which: by what it is the best, see `ranked_runs`.

    Raises:
        SweepError: there is no complete run, it has kept no weights, or Keras cannot save the model so.
    """
    if not file.endswith((".keras", ".h5", ".npz")):
        raise SweepError(f"Keras saves a model as .keras or .h5, not as {file}.", hint="Try --save model.keras.")
    study = named_study(store, name)
    best = ranked_runs(study, store.runs(study.study_id), which)[0]
    if best.directory is None or not weights_files(Path(best.directory)):
        raise SweepError(
            f"No weights of the best run, {best.name}, are kept.",
            hint="Those of each run are unless `sweep start --keep` says otherwise.",
        )
    line = python("sweep.models", f"{study.name}:{best.number}", file)
    saved = answer_of(line, store.url.render_as_string(hide_password=False))
    is_model = not file.endswith(".npz")
    same = ", read back and predicting what it did in the study" if is_model and saved["checked"] else ""
    print_whole(
        f"{file} is the {'model' if is_model else 'state'} of {best.name}, after epoch {saved['epoch'] + 1}{same}"
    )
    print_whole(f"{shown_path(saved['record'])} says what it is of: its run, parameters, code and versions")
    for note in saved["notes"]:
        say(note)
