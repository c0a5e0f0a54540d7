"""Starting a study: its loop, its workers, and what Ctrl-C and SIGTERM mean."""

import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType

from sweep.control.executors import Executor
from sweep.control.executors.local import Local
from sweep.control.executors.ray import OnRay
from sweep.control.gpus import choose
from sweep.control.hands import short_turns
from sweep.control.loop import Adapt, Loop
from sweep.control.open_study import OpenStudy, check_writable, continuing
from sweep.control.progress import Watcher
from sweep.control.search import Search
from sweep.core.events import Signal, Troubled
from sweep.declaration import Declaration
from sweep.options import Settings
from sweep.store import RunRecord
from sweep.store.database import has_schema, parse_url
from sweep.study_file import BaseStudy, check_file

IN_PROCESS = "here"  # the name of the worker that is this process


@dataclass(frozen=True)
class Outcome:
    """How a start ended.

    Attributes:
        declaration: the study, with what the start options say instead.
        opened: Optuna's part of it.
        runs: every run, by number.
        stopped: why it ended before it was finished, if so.
        spent: the limit other than `trials` that it has reached, if so.
        signal: the signal that stopped it, if one did.
        url: the database's; None for a study of which nothing was kept.
    """

    declaration: Declaration
    opened: OpenStudy
    runs: list[RunRecord]
    stopped: str | None
    signal: int | None
    url: str | None
    spent: str | None = None

    @property
    def budget(self) -> int:
        """How many trials the study is to have in all."""
        return self.declaration.trials

    @property
    def exhausted(self) -> bool:
        """Whether the sampler has nothing more to propose."""
        return self.opened.search.exhausted

    @property
    def ended(self) -> str | None:
        """Why the study has ended before it had all its trials, although nothing stopped it."""
        if self.stopped is not None:
            return None
        return self.spent or ("its sampler has nothing left to try" if self.exhausted else None)


def start_file(
    file: str,
    settings: Settings,
    watcher: Watcher | None = None,
    make_search: Callable[..., Search] = Search,
    *,
    adapt: Adapt = lambda declaration: declaration,
    slots: int | None = None,
    at_once: bool = False,
) -> Outcome:
    """Run the study of a study file in worker processes, until it is finished or stopped.

    Args:
        make_search: makes what proposes the trials.
        adapt: changes what the study file declares, before the settings do.
        slots: among how many workers each is to share this machine, where it has fewer here.
        at_once: the first Ctrl-C ends it as otherwise the second one does.

    Raises:
        SweepError: the file, the study, an option or the database is not as it must be.
    """
    path = check_file(file)
    _check(settings)
    if settings.cluster is not None:  # which has to see the log directory before a worker says the study's name
        settings = continuing(settings, settings.name or path.stem)
    begun = running(Loop(settings, watcher, file=path, make_search=make_search, adapt=adapt))
    with begun as loop, _signals(loop, at_once=at_once) as received:
        executor = _executor(loop, str(path), slots)
        try:
            loop.use(executor)
            _wait(loop)
        finally:
            executor.close()
    return _outcome(loop, received)


def _executor(loop: Loop, file: str, slots: int | None) -> Executor:
    """Where the workers of a study file are to run."""
    settings = loop.study.settings
    if settings.cluster is not None:
        return OnRay(file, loop.address, loop.post, settings.logdir, settings.cluster)
    devices = choose(settings.gpus, lambda text: loop.post(Troubled(text)))
    return Local(file, loop.address, loop.post, devices, settings.per_gpu, loop.snapshot, slots)


def start_here(study: BaseStudy, settings: Settings, watcher: Watcher | None = None) -> Outcome:
    """Run a study in this process, which trains, one trial after the other; the coordinator has its threads.

    Raises:
        SweepError: the study, an option or the database is not as it must be.
    """
    _check(settings)
    with running(Loop(settings, watcher)) as loop, _signals(loop, interrupts=True) as received:
        with contextlib.suppress(KeyboardInterrupt):
            work_here(loop, study)
        loop.post(Signal("the end of its worker"))  # nothing, where the study is over
        _wait(loop)
    return _outcome(loop, received)


def work_here(loop: Loop, study: BaseStudy) -> None:
    """Train a study's trials in this process and thread; returns when there are no more."""
    from sweep.worker.process import work  # a tenth of a second that a start with worker processes need not pay

    ours, theirs = socket.socketpair()
    loop.adopt(theirs)
    with Connection(ours.detach()) as connection:
        work(connection, IN_PROCESS, lambda: study)


def _wait(loop: Loop) -> None:
    """Wait for the study's end.

    Raises:
        KeyboardInterrupt: Ctrl-C came twice, and the database does not answer: what was acknowledged is there.
    """
    if not loop.wait():
        raise KeyboardInterrupt("stopped while the database does not answer; what was acknowledged is in it")


def _check(settings: Settings) -> None:
    """Refuse what can be refused before a worker has loaded the study, which takes seconds."""
    if not has_schema(parse_url(settings.storage)) or settings.names_logdir:  # else a study may have its own
        check_writable(Path(settings.logdir))
    settings.check_specs()


@contextlib.contextmanager
def running(loop: Loop) -> Iterator[Loop]:
    """A loop that runs as long as the context lasts; what is left is written at the end."""
    with short_turns():
        loop.start()
        try:
            yield loop
        finally:
            loop.stop()


def _outcome(loop: Loop, received: list[int]) -> Outcome:
    loop.raise_error()
    study = loop.study
    if not study.is_open:
        raise KeyboardInterrupt("stopped before the study was loaded; nothing was trained")
    runs = [study.runs[number] for number in sorted(study.runs)]
    number = received[0] if received else None
    writer = loop.journal.writer if loop.journal is not None else None
    url = writer.store.url.render_as_string(hide_password=False) if writer is not None else None
    return Outcome(study.declaration, loop.opened, runs, study.stopped, number, url, study.spent)


@contextlib.contextmanager
def _signals(loop: Loop, *, interrupts: bool = False, at_once: bool = False) -> Iterator[list[int]]:
    """Ctrl-C or SIGTERM once: running trials end at their next epoch and are queued again; twice: at once.

    Args:
        interrupts: the second one raises in this thread, which trains.
        at_once: the first one is taken for two.
    """
    received: list[int] = []

    def handle(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        name = "Ctrl-C" if number == signal.SIGINT else "SIGTERM"
        loop.signal(name, len(received))
        if at_once and len(received) == 1:
            loop.signal(name, 2)
        if interrupts and len(received) > 1:
            _interrupt()

    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt() -> None:
    from sweep.worker.run import Interrupted

    raise Interrupted("Ctrl-C twice")
