"""`sweep try`: two short trials before a long run, of which nothing stays."""

import inspect
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from sweep.cli import options
from sweep.cli.output import print_whole, print_wrapped, say, show_json
from sweep.cli.parameters import choose
from sweep.commands import command
from sweep.control.estimate import Estimate
from sweep.control.preview import preview
from sweep.control.rehearsal import EPOCHS, Rehearsal, as_object, rehearse
from sweep.names import format_number
from sweep.options import OPTIONS, Settings, from_command_line, words
from sweep.store import RunRecord
from sweep.study_file import check_file
from sweep.view.cells import duration, number
from sweep.view.runs import all_finite, how_trained, named_values, trained_text
from sweep.words import counted, labelled, listed, one_line, shown_path, shown_size

NAMES = ("trials", "repeats", "timeout", "budget_epochs", "epochs", "pruner", "fixed", "workers", "gpus")
"""The options of a start that decide what is tried, or how much the whole study will take."""

_LABEL = 12


def try_(context: typer.Context, file: str, json: bool = False, **typed: Any) -> None:
    """Try a study file before a long run.

    Trains two trials for two epochs in a temporary folder: the first one pauses and continues from its checkpoint,
    and a model is saved and read back. Shows what an epoch takes, what was found, and what the whole study will take,
    started with the same options. Nothing of it stays. The exit status is 1 if something is broken. An objective that
    uses neither sweep.fit nor sweep.epochs says itself how long it trains.

    \b
    Example: sweep try studies/wine.py
             sweep try studies/wine.py --trials 200 --epochs 100 --workers 8
    """
    settings = from_command_line(options.given(context, typed, [OPTIONS[name] for name in NAMES]))
    check_file(file)
    found = rehearse(file, choose(settings, lambda: preview(file)), say)
    if json:
        show_json(all_finite(as_object(found)))
    else:
        show(found, file, settings)
    if found.broken:
        raise typer.Exit(1)


def _signature() -> inspect.Signature:
    """The signature that typer reads: the study file, and the options."""
    one, keyword = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
    argument = Annotated[str, typer.Argument(metavar="FILE", help="The study file.", show_default=False)]
    made = [inspect.Parameter("context", one, annotation=typer.Context)]
    made.append(inspect.Parameter("file", one, annotation=argument))
    made += options.parameters([OPTIONS[name] for name in NAMES])
    made.append(inspect.Parameter("json", keyword, default=False, annotation=options.Json))
    return inspect.Signature(made)


try_.__signature__ = _signature()  # type: ignore[attr-defined]


def show(found: Rehearsal, file: str, settings: Settings) -> None:
    """Print what was found, a fact a line."""
    for label, text in facts(found):
        print_wrapped(f"{label:<{_LABEL}} {text}", indent=_LABEL + 1)
    for one in found.broken:
        print_whole("")
        print_whole(f"BROKEN: {one.what}", "bold red")
        if one.traceback:
            print_whole(one.traceback.rstrip(), "red")
    print_whole("")
    if found.broken:
        print_whole("Nothing of this was kept. Mend it, and try again.")
        return
    start = [word for pair in words(settings, NAMES) for word in pair if word is not None]
    print_whole(
        f"Nothing of this was kept. To start the study: {command('start', shown_path(file), *start, storage=_usual())}"
    )


def _usual() -> str:
    return str(OPTIONS["storage"].usual)


def facts(found: Rehearsal) -> list[tuple[str, str]]:
    """What was found: labels, which are empty where a fact continues, and texts."""
    measured = found.measured
    lines = labelled("trial", [_trial(found, run) for run in found.runs])
    lines += _findings(found.runs)
    lines.append(("loading", f"{duration(measured.load)} until the study was loaded"))
    lines.append(("an epoch", _epoch(found)))
    lines += _compiled(found.runs)
    lines += [("pausing", _pausing(found)), ("saving", _saving(found))]
    if measured.memory is not None:
        lines.append(("memory", f"{shown_size(measured.memory)} for a worker, at most"))
    if measured.run_bytes:
        lines.append(("disk", _disk(found)))
    if any(run.state == "COMPLETE" for run in found.runs):
        lines += labelled("in all", _whole(found.estimate))
    return lines


def _trial(found: Rehearsal, run: RunRecord) -> str:
    values = named_values(found.declaration.objectives, run)
    value = ", ".join(f"{name} {number(value)}" for name, value in values.items())
    reason = f", {one_line(run.why)}" if run.why and run.state != "FAIL" else ""
    said = f"{run.name or format_number(run.number)}: {run.state} after {trained_text(run)}"
    return f"{said}{f', {value}' if value else ''}{reason}"


def _findings(runs: Sequence[RunRecord]) -> list[tuple[str, str]]:
    found = [f"{format_number(run.number)}: {one_line(str(finding))}" for run in runs for finding in run.findings]
    return labelled("finding", found or ["none"])


def _epoch(found: Rehearsal) -> str:
    measured = found.measured
    if measured.epoch is None:
        return f"not known; a trial takes {duration(measured.other)}" if measured.other else "not known"
    return f"{_short(measured.epoch)}; the first one of a training takes {_short(measured.first)} more"


def _short(seconds: float) -> str:
    """A duration that may be much less than a second."""
    return duration(seconds) if seconds >= 0.95 else f"{seconds * 1000:.3g}ms"


def _compiled(runs: Sequence[RunRecord]) -> list[tuple[str, str]]:
    """In which way epochs were trained: as one program each, or why not; the same way once."""
    ways: dict[str, list[str]] = {}
    for run in runs:
        for _, how in how_trained(run):
            ways.setdefault(one_line(how), []).append(format_number(run.number))
    several = len(ways) > 1
    texts = [f"{listed(list(dict.fromkeys(of)))}: {how}" if several else how for how, of in ways.items()]
    return labelled("trained", texts)


def _pausing(found: Rehearsal) -> str:
    if found.paused:
        taken = shown_size(found.measured.checkpoint_bytes)
        return f"runs can be paused: one paused after epoch 1 and continued from its checkpoint of {taken}"
    if found.unpausable is not None:
        return f"runs cannot be paused, since {found.unpausable}"
    return f"not tried, since no run came past its first epoch of {EPOCHS}"


def _saving(found: Rehearsal) -> str:
    saved = found.saved
    if saved is None:
        return "not tried, since no run has kept a model"
    checked = ", predicting what it did in the study" if saved.checked and saved.kind != ".npz" else ""
    notes = "".join(f" {one_line(note)}" for note in saved.notes)
    what = "model" if saved.kind != ".npz" else "state"
    return (
        f"the {what} of {saved.run} was saved as {saved.kind}, {shown_size(saved.size)}, and read back{checked}.{notes}"
    )


def _disk(found: Rehearsal) -> str:
    measured = found.measured
    epochs = sum(found.estimate.trainings)
    run = f"{shown_size(measured.run_bytes + epochs * measured.epoch_bytes)} for a run"
    return f"{run} of {counted(epochs, 'epoch')}, {shown_size(measured.epoch_bytes)} of it for each" if epochs else run


def _whole(whole: Estimate) -> list[str]:
    """What the whole study will take."""
    epochs = f" of {counted(sum(whole.trainings), 'epoch')}" if whole.trainings else ""
    lines = [f"{counted(whole.trials, 'trial')}{epochs} with {counted(whole.workers, 'worker')} on this machine:"]
    if whole.likely_seconds is not None and whole.likely_bytes is not None:
        lines[0] += f" about {duration(whole.likely_seconds)} and {shown_size(whole.likely_bytes)} of disk,"
        lines.append(
            f"with what {whole.pruner} pauses; {duration(whole.most_seconds)} if every trial trained to its end"
        )
    else:
        spared = " at most" if whole.pruner != "nop" and whole.trainings else ""
        lines[0] += f" about {duration(whole.most_seconds)} and {shown_size(whole.most_bytes)} of disk{spared}"
    return lines
