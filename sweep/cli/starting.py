"""How `sweep start` runs a study: its display while it trains, and what it says at the end."""

import dataclasses
import signal
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from sweep.cli.choices import choose
from sweep.cli.detaching import outliving_the_terminal
from sweep.cli.display import LiveDisplay, PlainDisplay
from sweep.cli.json_log import JsonDisplay, best_value, log_as_json
from sweep.cli.notifying import Notifier
from sweep.cli.output import confirm, console, on_terminal, say, show_grid
from sweep.cli.tables import constants_line, runs_grid
from sweep.control.preview import preview
from sweep.control.search import WiderSpace
from sweep.control.start import Outcome, start_file, start_here
from sweep.errors import SweepError
from sweep.options import OPTIONS, Settings, words
from sweep.read.commands import command
from sweep.read.findings import common_findings
from sweep.read.runs import best_run, finished, rank
from sweep.store import RunRecord, Store, StudyRecord, counts_of
from sweep.study import check_file, load
from sweep.words import counted, shown_path

SHOWN = 10  # runs of the closing table


def again(file: str, settings: Settings, trials: int | None = None) -> str:
    """The command that continues a study as it was started. What was to be tried first is in the study already.

    Args:
        trials: another total than the one it was started with.
    """
    repeated = dataclasses.replace(settings, trials=trials or settings.trials)
    names = [name for name, option in OPTIONS.items() if option.again != "never" and name != "storage"]
    said = [word for pair in words(repeated, names) for word in pair if word is not None]
    return command("start", shown_path(file), *said, storage=settings.storage)


def display_of(file: str, settings: Settings) -> LiveDisplay | PlainDisplay | JsonDisplay:
    """What shows a study while it trains."""
    if settings.log_format == "json":
        log_as_json()
        return JsonDisplay(file)
    if on_terminal():
        return LiveDisplay(console(), file, names=settings.names)
    return PlainDisplay(console(), file)


def run(file: str, settings: Settings) -> int:
    """Run a study file and print how it went; returns the exit status."""
    display = display_of(file, settings)
    check_file(file)
    chosen = choose(settings, lambda: preview(file))
    notifier = Notifier(settings.notify, display) if settings.notify is not None else None
    try:
        with outliving_the_terminal(), display:
            if settings.workers == 0:
                outcome = start_here(load(file), chosen, notifier or display)
            else:
                outcome = start_file(file, chosen, notifier or display)
    except KeyboardInterrupt:
        why = "stopped before the study was loaded; nothing was trained"
        if isinstance(display, JsonDisplay):
            display.closed("stopped", why)
        else:
            say(f"sweep: {why}")
        return 128 + signal.SIGINT
    except WiderSpace as error:
        if not (on_terminal() and sys.stdin.isatty()) or isinstance(display, JsonDisplay):
            return _failed(error, display, notifier)
        say(error.message)
        confirm("Continue with the wider range?", yes=False)
        return run(file, dataclasses.replace(settings, yes=True))
    except SweepError as error:
        return _failed(error, display, notifier)
    if isinstance(display, JsonDisplay):
        display.closed("finished" if outcome.stopped is None else "stopped", outcome.stopped, outcome)
    else:
        close(console(), outcome, file, settings)
    if notifier is not None:
        _notify_end(notifier, outcome)
    return 0 if outcome.signal is None else 128 + (signal.SIGINT if outcome.signal == signal.SIGINT else outcome.signal)


def _failed(error: SweepError, display: LiveDisplay | PlainDisplay | JsonDisplay, notifier: Notifier | None) -> int:
    """Tell everybody that the study failed; the exit status, unless the error is still to be printed."""
    if notifier is not None:
        notifier.notify("failed", str(error))
    if isinstance(display, JsonDisplay):
        display.closed("failed", str(error))
        return 2
    raise error


def close(screen: Console, outcome: Outcome, file: str, settings: Settings) -> None:
    """Print the best runs, what was pruned and what that spared, and where to look further."""
    name = outcome.opened.declaration.name
    if outcome.opened.writer is None:
        screen.print("nothing was trained", style="yellow")
        return
    store = Store(settings.storage)
    try:
        study = store.study(name)
        runs = store.runs(study.study_id)
    finally:
        store.close()
    _best_table(screen, study, runs, names=settings.names)
    for said in summary(study, runs, outcome):
        screen.print(said, markup=False, highlight=False, soft_wrap=True)
    screen.print()
    further = _further(study, outcome, file, settings)
    width = max(len(line) for line, _ in further)
    for line, what in further:
        screen.print(Text.assemble("  ", (line.ljust(width), "bold"), "   ", (what, "dim")), soft_wrap=True)


def _notify_end(notifier: Notifier, outcome: Outcome) -> None:
    runs, name = outcome.opened.ledger.runs(), outcome.opened.declaration.name
    done = finished(counts_of(runs))
    said = f"{name}: {done} of {counted(outcome.opened.budget, 'trial')}"
    if outcome.stopped is not None:
        notifier.notify("stopped", f"{said}, stopped by {outcome.stopped}")
        return
    best = best_value(outcome.opened.declaration.objectives, runs)
    notifier.notify("finished", f"{said}, the best value is {best:.5g}" if best is not None else said)


def _best_table(screen: Console, study: StudyRecord, runs: Sequence[RunRecord], *, names: bool) -> None:
    best = best_run(study, runs)
    shown = rank(study, runs)[:SHOWN] if len(study.declaration.objective) == 1 else list(runs)[-SHOWN:]
    if not shown:
        return
    screen.print()
    show_grid(runs_grid(study, shown, best=best, names=names))
    constant = constants_line(study, shown)
    if constant is not None and not names:
        screen.print(constant, style="dim", markup=False, highlight=False)
    screen.print()


def summary(study: StudyRecord, runs: Sequence[RunRecord], outcome: Outcome) -> list[str]:
    """What happened, in a few lines."""
    counts = counts_of(runs)
    done = finished(counts)
    total = study.declaration.trials
    lines = [
        f"{study.name}: {done} of {counted(total, 'trial')}: {counts['COMPLETE']} complete, {counts['PRUNED']} pruned, "
        f"{counts['FAIL']} failed"
    ]
    pruned = [run for run in runs if run.state == "PRUNED" and run.epochs]
    if pruned:
        spared = sum((run.epochs or 0) - run.epoch for run in pruned)
        planned = sum(run.epochs or 0 for run in runs if run.epochs)
        lines.append(f"pruning spared {spared} of {counted(planned, 'epoch')}, {spared / planned:.0%} of the training")
    lines += map(str, common_findings(runs))
    if counts["WAITING"]:
        were = "was" if counts["WAITING"] == 1 else "were"
        lines.append(f"{counts['WAITING']} that {were} running will be run again when the study goes on")
    if done >= total and outcome.stopped is None and not counts["WAITING"]:
        nothing_left = outcome.opened.search.exhausted
        lines.append("the study is finished" + (": its sampler has nothing left to try" if nothing_left else ""))
    elif outcome.stopped is not None:
        lines.append(f"stopped by {outcome.stopped}" if outcome.signal else f"stopped: {outcome.stopped}")
    return lines


def _further(study: StudyRecord, outcome: Outcome, file: str, settings: Settings) -> list[tuple[str, str]]:
    done = finished(counts_of(outcome.opened.ledger.runs()))
    total = study.declaration.trials
    first = (again(file, settings), "goes on") if done < total else (again(file, settings, 2 * total), "trains more")
    storage = settings.storage
    return [
        *([] if done >= total and outcome.opened.search.exhausted else [first]),
        (command("runs", study.name, storage=storage), "lists all runs"),
        (command("tensorboard", study.name, storage=storage), "shows them in TensorBoard"),
    ]
