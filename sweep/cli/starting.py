"""How `sweep start` runs a study: its display while it trains, and what it says at the end."""

import dataclasses
import os
import signal
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from sweep.cli import on_ray
from sweep.cli.choices import choose
from sweep.cli.detaching import outliving_the_terminal
from sweep.cli.display import LiveDisplay, PlainDisplay
from sweep.cli.json_log import JsonDisplay, best_value, check_format, log_as_json
from sweep.cli.notifying import Notifier
from sweep.cli.output import console, on_terminal, say, show_grid
from sweep.cli.tables import constants_line, runs_grid
from sweep.control.opening import Settings
from sweep.control.start import Outcome, start_file, start_here
from sweep.errors import SweepError
from sweep.read.commands import DEFAULT_LOGDIR, command, shown_path
from sweep.read.findings import common_findings
from sweep.read.runs import best_run, finished, rank
from sweep.store import FINISHED, RunRecord, Store, StudyRecord
from sweep.study import check_file, load
from sweep.words import counted

SHOWN = 10  # runs of the closing table


@dataclasses.dataclass(frozen=True)
class CommandLine:
    """What the user said: the study file, the settings, and `--set` as it was typed."""

    file: str
    settings: Settings
    fixed: Sequence[str]

    def again(self, trials: int | None = None) -> str:
        """The command that goes on with the study as it was started; what was enqueued stands in it already."""
        given = self.settings if trials is None else dataclasses.replace(self.settings, trials=trials)
        words = ["start", shown_path(self.file)]
        for name in ("trials", "timeout", "epochs", "workers", "sampler", "pruner", "broken", "seed", "name"):
            value = getattr(given, name)
            if value is not None:
                words += [f"--{name}", f"{value:g}" if isinstance(value, float) else str(value)]
        if given.gpus is not None:
            words += ["--gpus", ",".join(given.gpus)]
        for name in ("per_gpu", "keep", "retries", "trial_timeout"):
            value = getattr(given, name)
            if value != getattr(Settings, name):
                words += [f"--{name.replace('_', '-')}", f"{value:g}" if isinstance(value, float) else str(value)]
        words += on_ray.words(given.cluster)
        for text in self.fixed:
            words += ["--set", text]
        if given.logdir != os.environ.get("SWEEP_LOGDIR", DEFAULT_LOGDIR):
            words += ["--logdir", given.logdir]
        return command(*words, storage=given.storage)


@dataclasses.dataclass(frozen=True)
class Showing:
    """How a study is shown while it trains.

    Attributes:
        names: run names instead of parameters.
        log_format: `text` or `json`.
        notify: a command for the shell at the end and where trials fail one after another.
    """

    names: bool = False
    log_format: str = "text"
    notify: str | None = None

    def display(self, file: str) -> LiveDisplay | PlainDisplay | JsonDisplay:
        """The display of a study file.

        Raises:
            SweepError: there is no such format.
        """
        check_format(self.log_format)
        if self.log_format == "json":
            log_as_json()
            return JsonDisplay(file)
        return (LiveDisplay if on_terminal() else PlainDisplay)(console(), file, names=self.names)


def run(
    file: str,
    settings: Settings,
    fixed: Sequence[str],
    enqueue: Sequence[str],
    best_of: Sequence[str],
    showing: Showing,
) -> int:
    """Run a study file and print how it went; returns the exit status."""
    display = showing.display(file)
    check_file(file)
    choices = choose(file, fixed, enqueue, best_of, storage=settings.storage)
    settings = dataclasses.replace(settings, fixed=choices.fixed, enqueue=choices.enqueue)
    notifier = Notifier(showing.notify, display) if showing.notify is not None else None
    try:
        with outliving_the_terminal(), display:
            if settings.workers == 0:
                outcome = start_here(load(file), settings, notifier or display)
            else:
                outcome = start_file(file, settings, notifier or display)
    except KeyboardInterrupt:
        why = "stopped before the study was loaded; nothing was trained"
        if isinstance(display, JsonDisplay):
            display.closed("stopped", why)
        else:
            say(f"sweep: {why}")
        return 128 + signal.SIGINT
    except SweepError as error:
        if notifier is not None:
            notifier.notify("failed", str(error))
        if isinstance(display, JsonDisplay):
            display.closed("failed", str(error))
            return 2
        raise
    if isinstance(display, JsonDisplay):
        display.closed("finished" if outcome.stopped is None else "stopped", outcome.stopped, outcome)
    else:
        close(console(), outcome, CommandLine(file, settings, fixed), names=showing.names)
    if notifier is not None:
        _notify_end(notifier, outcome)
    return 0 if outcome.signal is None else 128 + (signal.SIGINT if outcome.signal == signal.SIGINT else outcome.signal)


def close(screen: Console, outcome: Outcome, line: CommandLine, *, names: bool) -> None:
    """Print the best runs, what was pruned and what that spared, and where to look further."""
    name = outcome.opened.declaration.name
    if outcome.opened.writer is None:
        screen.print("nothing was trained", style="yellow")
        return
    store = Store(line.settings.storage)
    try:
        study = store.study(name)
        runs = store.runs(study.study_id)
    finally:
        store.close()
    _best_table(screen, study, runs, names=names)
    for said in summary(study, runs, outcome):
        screen.print(said, markup=False, highlight=False, soft_wrap=True)
    screen.print()
    further = _further(study, outcome, line)
    width = max(len(words) for words, _ in further)
    for words, what in further:
        screen.print(Text.assemble("  ", (words.ljust(width), "bold"), "   ", (what, "dim")), soft_wrap=True)


def _notify_end(notifier: Notifier, outcome: Outcome) -> None:
    runs, name = outcome.opened.ledger.runs(), outcome.opened.declaration.name
    done = sum(run.state in FINISHED for run in runs)
    said = f"{name}: {done} of {counted(outcome.opened.budget, 'trial')}"
    if outcome.stopped is not None:
        notifier.notify("stopped", f"{said}, stopped by {outcome.stopped}")
        return
    best = best_value(outcome.opened.declaration.objectives, runs)
    notifier.notify("finished", f"{said}, the best value is {best:.5g}" if best is not None else said)


def _best_table(screen: Console, study: StudyRecord, runs: Sequence[RunRecord], *, names: bool) -> None:
    best = best_run(study, runs)
    shown = rank(study, runs)[:SHOWN] if len(study.declaration["objective"]) == 1 else list(runs)[-SHOWN:]
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
    counts = {state: sum(run.state == state for run in runs) for state in ("COMPLETE", "PRUNED", "FAIL", "WAITING")}
    done = finished(counts)
    total = study.declaration["trials"]
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


def _further(study: StudyRecord, outcome: Outcome, line: CommandLine) -> list[tuple[str, str]]:
    done = sum(run.state in FINISHED for run in outcome.opened.ledger.runs())
    total = study.declaration["trials"]
    first = (line.again(), "goes on") if done < total else (line.again(trials=2 * total), "trains more")
    storage = line.settings.storage
    return [
        *([] if done >= total and outcome.opened.search.exhausted else [first]),
        (command("runs", study.name, storage=storage), "lists all runs"),
        (command("tensorboard", study.name, storage=storage), "shows them in TensorBoard"),
    ]
