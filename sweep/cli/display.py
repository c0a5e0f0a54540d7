"""What `sweep start` shows while it runs: a live table on a terminal, one plain line per event elsewhere."""

import threading
import time
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sweep.control.progress import Opening
from sweep.names import format_number, format_value
from sweep.store import FINISHED, RunRecord, epochs_spent
from sweep.view.cells import duration, number_cells, sparkline, value_cells
from sweep.view.comparisons import split_parameters
from sweep.view.runs import best_of, epochs_text, named_values
from sweep.words import counted

if TYPE_CHECKING:
    from types import TracebackType

SPARK_WIDTH = 16
REFRESH_PER_SECOND = 4


class Scoreboard:
    """What is known of a running study: its running trials with their curves, counts of ends, the best. Thread-safe.

    The counts are those of the whole study, earlier starts included.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.study: Opening | None = None
        self.running: dict[int, RunRecord] = {}
        self.curves: dict[int, list[float]] = {}
        self.ends: Counter[str] = Counter()
        self.before = 0  # how many had ended when this start began
        self.epochs_before = 0
        self.best: RunRecord | None = None
        self.runs: dict[int, RunRecord] = {}  # all of the study, for its epochs
        self.seen: list[dict[str, Any]] = []
        self.began = time.monotonic()

    def opened(self, study: Opening) -> None:
        """The study is known."""
        with self.lock:
            self.study = study
            self.began = time.monotonic()
            self.ends = study.counts
            self.before = sum(self.ends.values())
            self.runs = {run.number: run for run in study.runs}
            self.epochs_before = self.epochs()
            for run in study.ended:
                self._is_best(run)

    def started(self, run: RunRecord) -> None:
        """A run begins."""
        with self.lock:
            self.running[run.number] = run
            self.curves[run.number] = []
            self.seen.append(run.params)

    def epoch(self, run: RunRecord) -> None:
        """A run has finished an epoch."""
        with self.lock:
            self.running[run.number] = run
            if _has_first_seed(run):
                self.runs[run.number] = run
            if run.last is not None:
                self.curves.setdefault(run.number, []).append(run.last)

    def ended(self, run: RunRecord) -> bool:
        """A run has ended; True if it is the best so far."""
        with self.lock:
            self.running.pop(run.number, None)
            self.curves.pop(run.number, None)
            self.runs[run.number] = run
            if run.state not in FINISHED:
                return False
            self.ends[run.state] += 1
            return self._is_best(run)

    def _is_best(self, run: RunRecord) -> bool:
        """Whether a run that has ended is better than those before it; then it is the best."""
        known = [run] if self.best is None else [self.best, run]
        if self.study is None or best_of(self.study.objectives, known) is not run:
            return False
        self.best = run
        return True

    def done(self) -> int:
        """How many trials of the study's total have ended, earlier starts included."""
        return sum(self.ends.values())

    def trials(self) -> int:
        """How many trials the study has in all; those that continue others may come on top of what it was to have."""
        return max(self.study.trials if self.study is not None else 0, self.done())

    def epochs(self) -> int:
        """How many epochs the study's trials have trained, earlier starts included."""
        return epochs_spent(list(self.runs.values()))

    def share(self) -> float:
        """How much of the study is done, of its trials or of its epochs, whichever is nearer to its end."""
        if self.study is None:
            return 0.0
        budget = self.study.budget_epochs
        return min(1.0, max(self.done() / self.study.trials, self.epochs() / budget if budget else 0.0))

    def seconds_left(self) -> float | None:
        """An estimate from the pace of this start; None until a trial has ended."""
        ended = self.done() - self.before
        if self.study is None or not ended:
            return None
        seconds, budget = time.monotonic() - self.began, self.study.budget_epochs
        left = seconds / ended * max(0, self.study.trials - self.done())
        trained = self.epochs() - self.epochs_before
        return min(left, seconds / trained * max(0, budget - self.epochs())) if budget and trained else left


class LiveDisplay:
    """The display on a terminal; a context manager, and a watcher of a coordinator."""

    def __init__(self, console: Console, file: str, *, names: bool) -> None:
        self._board = Scoreboard()
        self._file = file
        self._names = names
        self._live = Live(
            console=console, get_renderable=self._render, refresh_per_second=REFRESH_PER_SECOND, transient=True
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: "TracebackType | None"
    ) -> None:
        self._live.stop()

    def opened(self, study: Opening) -> None:
        self._board.opened(study)

    def started(self, run: RunRecord) -> None:
        self._board.started(run)

    def epoch(self, run: RunRecord, metrics: dict[str, float]) -> None:  # noqa: ARG002  # a Watcher's
        self._board.epoch(run)

    def ended(self, run: RunRecord) -> None:
        self._board.ended(run)

    def message(self, text: str) -> None:
        self._live.console.print(text, style="yellow", markup=False)

    def _render(self) -> RenderableType:
        board = self._board
        with board.lock:
            if board.study is None:
                return Text(f"loading {self._file} …", style="dim")
            parts: list[RenderableType] = [_headline(board, board.study), _bar(board)]
            if board.running:
                parts += [Text(), self._table(board, board.study)]
            if board.best is not None:
                parts += [Text(), self._best_line(board.best, board.study)]
            return Group(*parts)

    def _best_line(self, best: RunRecord, study: Opening) -> Text:
        """The best run so far with its value, its parameters as in the table's columns."""
        text = Text.assemble(("best  ", "dim"), (f"value {number_cells([best.value])[0]}", "bold green"))
        if self._names:
            return text.append(f"  {best.name}")
        text.append(f"  {format_number(best.number)}")
        for name in split_parameters(study.keys, self._board.seen).varying:
            if name in best.params:
                text.append(f"  {study.keys.key(name)} ", style="dim").append(
                    format_value(best.params[name]), style="cyan"
                )
        return text

    def _table(self, board: Scoreboard, study: Opening) -> Table:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold dim")
        runs = [board.running[number] for number in sorted(board.running)]
        metric = study.objectives[0].name
        shown = [] if self._names else list(split_parameters(study.keys, board.seen).varying)
        columns = {
            "run": [run.name or "" if self._names else _short_name(run) for run in runs],
            **{study.keys.key(name): _values(runs, name) for name in shown},
            "epoch": [epochs_text(run) for run in runs],
            metric: number_cells([run.last for run in runs]),
            "": [sparkline(board.curves[run.number], SPARK_WIDTH) for run in runs],
        }
        for header in columns:
            right = header in ("epoch", metric)
            table.add_column(header, no_wrap=True, justify="right" if right else "left", style="" if right else "cyan")
        for cells in zip(*columns.values(), strict=True):
            table.add_row(*(Text(cell) for cell in cells))
        return table


def _has_first_seed(run: RunRecord) -> bool:
    """Whether it is a trial's own run, rather than its training with another seed."""
    return run.name is None or run.name.endswith(format_number(run.number))


def _short_name(run: RunRecord) -> str:
    """`t0012`, or `t0012r2` with its second seed."""
    number = format_number(run.number)
    return number if _has_first_seed(run) else number + str(run.name).rpartition(number)[2]


def _result(run: RunRecord, study: Opening) -> str:
    """What a run came to: its values if it is COMPLETE, else the objective at its last epoch."""
    if run.values is not None:
        result = ", ".join(f"{name} {value:.5g}" for name, value in named_values(study.objectives, run).items())
        return f"{result} (infeasible)" if run.feasible is False else result
    return f"{study.objectives[0].name} {run.last:.5g}" if run.last is not None else ""


def _so_far(study: Opening) -> str:
    """How many trials of a study have ended, and how."""
    total = counted(study.trials, "trial")
    counts = study.counts
    if not counts:
        return f"0 of {total} done"
    states = (("COMPLETE", "complete"), ("PRUNED", "pruned"), ("FAIL", "failed"))
    return ", ".join(f"{counts[state]} {word}" for state, word in states if counts[state]) + f" of {total}"


def _values(runs: Sequence[RunRecord], name: str) -> list[str]:
    return value_cells([run.params.get(name) for run in runs], [name not in run.params for run in runs])


def _headline(board: Scoreboard, study: Opening) -> Text:
    ends = board.ends
    text = Text.assemble(
        (study.name, "bold"),
        f"  {board.done()} of {counted(board.trials(), 'trial')}  ",
        (f"{ends['COMPLETE']} complete", "green"),
        "  ",
        (f"{ends['PRUNED']} pruned", "yellow"),
        "  ",
        (f"{ends['FAIL']} failed", "red" if ends["FAIL"] else "dim"),
        f"  {_epochs(board, study)}",
    )
    paused = sum(run.state == "PAUSED" for run in board.runs.values())
    if paused:
        text.append(f"  {paused} paused", style="blue")
    left = board.seconds_left()
    if left is not None:
        text.append(f"  {duration(left)} left", style="dim")
    return text


def _epochs(board: Scoreboard, study: Opening) -> str:
    """How many epochs are spent, of how many if there is a budget."""
    spent, budget = board.epochs(), study.budget_epochs
    return counted(spent, "epoch") if budget is None else f"{spent} of {counted(budget, 'epoch')}"


def _bar(board: Scoreboard) -> ProgressBar:
    return ProgressBar(total=1.0, completed=board.share(), width=60, complete_style="green")


class PlainDisplay:
    """One line per event, for logs and pipes; a context manager, and a watcher of a coordinator.

    Args:
        epochs: print a line for each epoch too.
    """

    def __init__(self, console: Console, file: str, *, epochs: bool = False) -> None:
        self._board = Scoreboard()
        self._console = console
        self._file = file
        self._epochs = epochs

    def __enter__(self) -> Self:
        self._say(f"loading {self._file}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: "TracebackType | None"
    ) -> None: ...

    def opened(self, study: Opening) -> None:
        self._board.opened(study)
        self._say(f"study {study.name}: {_so_far(study)}, runs in {study.directory}")

    def started(self, run: RunRecord) -> None:
        self._board.started(run)
        self._say(f"{'continues' if run.rungs else 'started'} {run.name}")

    def epoch(self, run: RunRecord, metrics: dict[str, float]) -> None:
        self._board.epoch(run)
        if self._epochs:
            shown = "  ".join(f"{name} {value:.5g}" for name, value in metrics.items())
            self._say(f"{run.name} epoch {epochs_text(run)}  {shown}")

    def ended(self, run: RunRecord) -> None:
        best = self._board.ended(run)
        if run.state == "PAUSED":
            self._say(f"{run.name} {(run.why or 'asha: paused').partition(': ')[2]}")
            return
        state = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed", "WAITING": "queued again"}[run.state]
        study = self._board.study
        value = f" {_result(run, study)}" if study is not None and _result(run, study) else ""
        reason = f": {run.why}" if run.why else ""
        count = f" [{self._count(study)}]" if study is not None and run.state in FINISHED else ""
        self._say(
            f"{state} {run.name or format_number(run.number)} after {counted(run.epoch, 'epoch')}{value}"
            f"{' (best so far)' if best else ''}{reason}{count}"
        )

    def message(self, text: str) -> None:
        self._say(text)

    def _count(self, study: Opening) -> str:
        """How far the study is, in trials, and in epochs where these have a budget."""
        done = f"{self._board.done()}/{self._board.trials()}"
        return done if study.budget_epochs is None else f"{done}, {_epochs(self._board, study)}"

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


class QuietDisplay:
    """Warnings alone; a context manager, and a watcher of a coordinator."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: "TracebackType | None"
    ) -> None: ...

    def opened(self, study: Opening) -> None: ...

    def started(self, run: RunRecord) -> None: ...

    def epoch(self, run: RunRecord, metrics: dict[str, float]) -> None: ...

    def ended(self, run: RunRecord) -> None: ...

    def message(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)
