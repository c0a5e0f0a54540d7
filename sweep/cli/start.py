"""`sweep start`: train a study, here or at a service, with a display meanwhile and a summary at the end.

Its options are those of `sweep.options`.
"""

import dataclasses
import inspect
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperCommand

from sweep.cli import options as cli_options
from sweep.cli.detach import detach, outliving_the_terminal
from sweep.cli.display import LiveDisplay, PlainDisplay, QuietDisplay
from sweep.cli.json_log import JsonDisplay, log_as_json
from sweep.cli.notify import Notifier
from sweep.cli.options import parameter
from sweep.cli.output import confirm, console, on_terminal, print_whole, say, show_grid
from sweep.cli.parameters import choose
from sweep.cli.streams import print_if_possible
from sweep.cli.summary import print_summary
from sweep.cli.tables import constants_line, runs_grid
from sweep.commands import command
from sweep.control.disk import size
from sweep.control.open_study import continuing
from sweep.control.preview import preview
from sweep.control.search import WiderSpace
from sweep.control.start import Outcome, start_file, start_here
from sweep.errors import MachineFault, SweepError
from sweep.options import (
    OPTIONS,
    Settings,
    command_line,
    elsewhere,
    from_command_line,
    given,
    groups,
    present_flag,
    words,
)
from sweep.store import RunRecord, Store, StudyRecord, counts_of, epochs_spent
from sweep.store.remote import RemoteStore
from sweep.study_file import check_file, load
from sweep.view.runs import best_of, best_run, finished, rank
from sweep.view.summary import Summary, summarize, text
from sweep.words import counted, shown_path

WIDTH = 120  # columns that the help takes, where the terminal has them
SHOWN = 10  # runs of the closing table
POLL_SECONDS = 0.5  # between looks at a start at a service


class StartCommand(TyperCommand):
    """Lists the options under the headings of the table."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the argument and each group of options, with one column for all."""
        records = {param.name: param.get_help_record(ctx) or ("", "") for param in self.get_params(ctx)}
        sections = {"Arguments": ["file"]}
        sections |= {group: [parameter(each.flag) for each in of] for group, of in groups(command_line()).items()}
        sections["Help"] = ["help"]
        first = max(len(records[name][0]) for names in sections.values() for name in names)
        for heading, names in sections.items():
            with formatter.section(heading):
                formatter.write_dl([(records[name][0].ljust(first), records[name][1]) for name in names], first)


COMMAND = {
    "cls": StartCommand,
    "context_settings": {"max_content_width": WIDTH, "token_normalize_func": present_flag},
}
"""How typer makes the command."""


def start(context: typer.Context, file: str, **typed: Any) -> None:
    """Train a study, or continue it.

    Press Ctrl-C once to stop after the running epochs; when the study continues, so do the runs that were cut short.
    Press it twice to stop at once. With --server the service trains the study, and FILE is one of its folder.

    \b
    Examples:
      sweep start studies/diabetes.py --trials 50 --pruner 'median(n_startup_trials=5)'
      sweep start studies/diabetes.py --epochs 100 --set family=dnn --from diabetes:best:5
      sweep start studies/diabetes.py --on ray --address HOST:6379 --workers 64
      sweep start studies/diabetes.py --detach --notify 'mail -s "$SWEEP_MESSAGE" me@example.org </dev/null'
    """
    settings = from_command_line(cli_options.given(context, typed, command_line()))
    if settings.server is not None:
        _check_there(context)
        start_there(file, settings)
        return
    if settings.detach:
        check_file(file)
        name = settings.name or Path(file).stem
        detach(name, settings.storage, continuing(settings, name).logdir)
        return
    status = run(file, settings)
    if status:
        raise typer.Exit(status)


def _signature() -> inspect.Signature:
    """The signature that typer reads: the study file, and each option of the table."""
    file = Annotated[str, typer.Argument(metavar="FILE", help="The study file.", show_default=False)]
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    first = [
        inspect.Parameter("context", kind, annotation=typer.Context),
        inspect.Parameter("file", kind, annotation=file),
    ]
    return inspect.Signature(first + cli_options.parameters(command_line()))


start.__signature__ = _signature()  # type: ignore[attr-defined]


def _check_there(context: typer.Context) -> None:
    """Refuse options that were typed and that a service does not take; the environment is for other commands too."""
    for each in command_line():
        taken = "api" in each.ways or each is OPTIONS["server"]
        if not taken and cli_options.source(context, parameter(each.flag)) == "COMMANDLINE":
            raise elsewhere(each, "cli")


def start_there(file: str, settings: Settings) -> None:
    """Start a study file at a service and wait until its first run has begun.

    Raises:
        SweepError: the service refuses, or the study does not start.
    """
    store = RemoteStore(str(settings.server))
    begun = store.ask("/api/starts", {"file": Path(file).name, **given(settings, "api")})
    say(f"{begun['file']} is being started at {store.server}")
    while begun["state"] == "starting":
        time.sleep(POLL_SECONDS)
        begun = store.ask(f"/api/starts/{begun['start']}")
    if begun["state"] == "failed":
        raise SweepError(f"{begun['file']} did not start: {begun['problem']}")
    look = command("runs", begun["study"], storage=store.server)
    print_whole(f"{begun['study']} is {begun['state']}; look at it with: {look}")


def again(file: str, settings: Settings, trials: int | None = None) -> str:
    """The command that continues a study as it was started. What was to be tried first is in the study already; what
    teaches its sampler is not.

    Args:
        trials: another total than the one it was started with.
    """
    taught = settings.taught_by
    repeated = dataclasses.replace(settings, trials=trials or settings.trials, best_of=taught)
    names = [name for name, option in OPTIONS.items() if option.again != "never" and name != "storage"]
    names += ["best_of"] if taught else []
    said = [word for pair in words(repeated, names) for word in pair if word is not None]
    return command("start", shown_path(file), *said, storage=settings.storage)


Display = LiveDisplay | PlainDisplay | QuietDisplay | JsonDisplay


def display_of(file: str, settings: Settings) -> Display:
    """What shows a study while it trains.

    Raises:
        SweepError: it is to be both quiet and verbose.
    """
    if settings.quiet and settings.verbose:
        raise SweepError("--quiet and --verbose contradict each other.")
    if settings.log_format == "json":
        log_as_json()
        return JsonDisplay(file)
    if settings.quiet:
        return QuietDisplay(console())
    if on_terminal() and not settings.verbose:
        return LiveDisplay(console(), file, names=settings.names)
    return PlainDisplay(console(), file, epochs=settings.verbose)


def run(file: str, settings: Settings) -> int:
    """Run a study file and print how it went; returns the exit status, which does not depend on what can be printed."""
    print_if_possible()
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
    except KeyboardInterrupt as interrupt:
        why = str(interrupt) or "stopped before the study was loaded; nothing was trained"
        if isinstance(display, JsonDisplay):
            display.closed("stopped", why)
        else:
            say(f"sweep: {why}")
        return 128 + signal.SIGINT
    except WiderSpace as error:
        if not (on_terminal() and sys.stdin.isatty()) or isinstance(display, JsonDisplay):
            return _failed(error, display, notifier, file, settings)
        say(error.message)
        confirm("Continue with the wider range?", yes=False)
        return run(file, dataclasses.replace(settings, yes=True))
    except SweepError as error:
        if isinstance(error, MachineFault):
            error = error.continued_by(again(file, settings))
        return _failed(error, display, notifier, file, settings)
    if isinstance(display, JsonDisplay):
        display.closed("finished" if outcome.stopped is None else "stopped", outcome.stopped or outcome.ended, outcome)
    if not (settings.quiet or isinstance(display, JsonDisplay)):
        found = close(console(), outcome, file, settings)
    else:
        found = summary(outcome, file, settings)[-1] if notifier is not None and outcome.url is not None else None
    if notifier is not None:
        _notify_end(notifier, outcome, found)
    return 0 if outcome.signal is None else 128 + (signal.SIGINT if outcome.signal == signal.SIGINT else outcome.signal)


def _failed(error: SweepError, display: Display, notifier: Notifier | None, file: str, settings: Settings) -> int:
    """Tell everybody that the study failed; the exit status, unless the error is still to be printed."""
    if notifier is not None:
        notifier.notify("failed", str(error), _text_of_failed(notifier.study, file, settings))
    if isinstance(display, JsonDisplay):
        display.closed("failed", str(error))
        return 2
    raise error


def close(screen: Console, outcome: Outcome, file: str, settings: Settings) -> Summary | None:
    """Print the best runs and what has become of the study; returns that, None where nothing was trained."""
    if outcome.url is None:
        screen.print("nothing was trained", style="yellow")
        return None
    study, runs, found = summary(outcome, file, settings)
    _best_table(screen, study, runs, names=settings.names)
    print_summary(found)
    return found


def summary(outcome: Outcome, file: str, settings: Settings) -> tuple[StudyRecord, list[RunRecord], Summary]:
    """What has become of a study that has just ended, with its runs."""
    study, runs = _read(outcome.declaration.name, settings)
    made = summarize(
        study,
        runs,
        running=False,
        place=settings.storage,
        disk=size(Path(study.directory)),
        why=_why(study, runs, outcome),
        continues=again(file, settings),
        more=_more(study, outcome, file, settings),
    )
    return study, runs, made


def _read(name: str, settings: Settings) -> tuple[StudyRecord, list[RunRecord]]:
    """A study with its runs as the database has them.

    Raises:
        StoreError: it cannot be read, or has no such study.
    """
    store = Store(settings.storage)
    try:
        study = store.study(name)
        return study, store.runs(study.study_id)
    finally:
        store.close()


def _text_of_failed(name: str, file: str, settings: Settings) -> str:
    """What has become of a study that an error has ended, in short; empty where it is not in the database."""
    try:
        study, runs = _read(name, settings)
    except SweepError:
        return ""
    line = again(file, settings)
    return text(summarize(study, runs, running=False, place=settings.storage, continues=line))


def _why(study: StudyRecord, runs: Sequence[RunRecord], outcome: Outcome) -> str | None:
    """Why a study has ended, or was stopped."""
    counts = counts_of(runs)
    if outcome.stopped is not None:
        return f"stopped by {outcome.stopped}" if outcome.signal else f"stopped: {outcome.stopped}"
    if finished(counts) >= study.declaration.trials and not (counts["WAITING"] or counts["PAUSED"]):
        return "the study is finished" + (f": {outcome.ended}" if outcome.ended is not None else "")
    return None


def _more(study: StudyRecord, outcome: Outcome, file: str, settings: Settings) -> str:
    """The command that trains more than a finished study has; empty where nothing is left to try."""
    budget = outcome.declaration.budget_epochs
    if outcome.spent is not None and budget is not None and epochs_spent(outcome.runs) >= budget:
        return again(file, dataclasses.replace(settings, budget_epochs=2 * budget))
    return again(file, settings, 2 * study.declaration.trials) if outcome.ended is None else ""


def _notify_end(notifier: Notifier, outcome: Outcome, found: Summary | None) -> None:
    """Tell whoever is notified how the study has ended."""
    runs, name = outcome.runs, outcome.declaration.name
    done = finished(counts_of(runs))
    said = f"{name}: {done} of {counted(outcome.budget, 'trial')}"
    short = text(found) if found is not None else ""
    if outcome.stopped is not None:
        notifier.notify("stopped", f"{said}, stopped by {outcome.stopped}", short)
        return
    best = best_of(outcome.declaration.objectives, runs)
    reached = f"{said}, the best value is {best.value:.5g}" if best is not None else said
    notifier.notify("finished", f"{reached}: {outcome.ended}" if outcome.ended is not None else reached, short)


def _best_table(screen: Console, study: StudyRecord, runs: Sequence[RunRecord], *, names: bool) -> None:
    best = best_run(study, runs)
    shown = rank(study, runs)[:SHOWN] if len(study.declaration.objective) == 1 else list(runs)[-SHOWN:]
    if not shown:
        return
    screen.print()
    show_grid(runs_grid(study, shown, best=best, names=names, every=runs))
    constant = constants_line(study, shown)
    if constant is not None and not names:
        screen.print(constant, style="dim", markup=False, highlight=False)
    screen.print()
