"""Starting a study: the coordinator, its workers, and what Ctrl-C and SIGTERM mean."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import Pipe
from pathlib import Path
from types import FrameType
from typing import Any

from sweep.control.coordinator import Coordinator
from sweep.control.executor import Ending, Executor, Place
from sweep.control.gpus import choose
from sweep.control.keeper import Keeper
from sweep.control.local import Local
from sweep.control.opened import Opened
from sweep.control.opening import check_writable
from sweep.control.progress import Watcher
from sweep.control.ray import OnRay
from sweep.control.recovery import Recovery
from sweep.control.server import Server
from sweep.errors import SweepError
from sweep.options import Settings
from sweep.store.database import has_schema, parse_url
from sweep.study import Study, check_file

IN_PROCESS = "here"  # the name of the worker that is this process
LEAVE_SECONDS = 10.0  # for workers that have nothing more to train to end by themselves
UNHEARD = 3  # so many workers in a row that die before they have loaded the study file, and the study is refused
UNHEARD_LATER = 12  # so many where others have loaded it before


@dataclass(frozen=True)
class Outcome:
    """How a start ended: `stopped` says why before the study was finished, and `signal` which one did it, if any."""

    opened: Opened
    stopped: str | None
    signal: int | None


@dataclass(frozen=True)
class Engaged:
    """A coordinator with all that serves it."""

    coordinator: Coordinator
    server: Server
    recovery: Recovery

    def when_ended(self) -> Callable[[str, Ending], bool]:
        """What an executor calls when a worker process has ended."""
        coordinator, server = self.coordinator, self.server
        unheard: list[str] = []  # since one was heard for the last time
        heard = 0

        def ended(worker: str, ending: Ending) -> bool:
            nonlocal heard
            coordinator.depart(worker)
            server.wait_served(worker, seconds=60.0)
            if server.heard > heard:
                heard = server.heard
                unheard.clear()
            if server.said_hello(worker):
                self.recovery.gone(worker, ending.how, killed=ending.killed)
            elif coordinator.error is None and not coordinator.finished.is_set():
                unheard.append(worker)
                most = UNHEARD_LATER if coordinator.is_open and ending.killed else UNHEARD
                if len(unheard) >= most or not (ending.killed or coordinator.is_open):
                    last = ending.output.strip().rpartition("\n")[2] or "nothing"
                    coordinator.refuse(
                        SweepError(
                            "A worker could not load the study file: it "
                            f"{'was ' if ending.killed else ''}{ending.how}, and last printed: {last}"
                        )
                    )
            return coordinator.error is None and coordinator.stopped is None and not coordinator.finished.is_set()

        return ended


def start_file(file: str, settings: Settings, watcher: Watcher | None = None) -> Outcome:
    """Run the study of a study file in worker processes, until it is finished or stopped.

    Raises:
        SweepError: the file, the study, an option or the database is not as it must be.
    """
    path = check_file(file)
    _check(settings)
    with running(Coordinator(settings, watcher)) as engaged:
        coordinator = engaged.coordinator
        coordinator.file = path
        place = _place(engaged, str(path))
        executor = Executor(place, settings.workers or place.most, engaged.when_ended())
        coordinator.when_opened = lambda opened: executor.resize(workers_for(opened, settings.workers or place.most))
        coordinator.relieve = executor.relieve
        coordinator.end_worker = executor.end_worker
        with _signals(coordinator, executor.kill) as received:
            executor.start()
            place.when_room = lambda: _use_room(engaged, executor, place)
            place.when_room()  # it may have changed since
            try:
                _wait(coordinator)
            finally:
                executor.close(LEAVE_SECONDS, busy=engaged.server.said_hello)
    return _outcome(coordinator, received)


def _place(engaged: Engaged, file: str) -> Place:
    """Where the workers of a study file are to run."""
    coordinator, address = engaged.coordinator, engaged.server.address
    settings, say = coordinator.settings, coordinator.watcher.message
    if settings.cluster is not None:
        return OnRay(file, address, settings.logdir, settings.cluster, say=say, refuse=coordinator.refuse)
    return Local(file, address, choose(settings.gpus, say), settings.per_gpu)


def _use_room(engaged: Engaged, executor: Executor, place: Place) -> None:
    """Have as many workers as there is room for by now, where nobody said how many there are to be."""
    coordinator = engaged.coordinator
    if coordinator.settings.workers is None:
        executor.grow(workers_for(coordinator.opened, place.most) if coordinator.is_open else place.most)


def _wait(coordinator: Coordinator) -> None:
    """Wait for the study's end, in steps, so that signals are handled."""
    while not coordinator.finished.wait(0.1):
        pass


def workers_for(opened: Opened, most: int) -> int:
    """How many workers a study wants and can use; `most` where it does not say."""
    unbegun = opened.budget - opened.search.storage.begun()
    return min(opened.declaration.workers or most, max(0, unbegun) + len(opened.unfinished))


def start_here(study: Study, settings: Settings, watcher: Watcher | None = None) -> Outcome:
    """Run a study in this process, which trains, one trial after the other; the coordinator has its threads.

    Raises:
        SweepError: the study, an option or the database is not as it must be.
    """
    _check(settings)
    with running(Coordinator(settings, watcher)) as engaged, _signals(engaged.coordinator, _interrupt) as received:
        try:
            work_here(engaged, study)
        except KeyboardInterrupt:
            engaged.coordinator.stop("Ctrl-C twice", requeue=True)
        finally:
            if engaged.coordinator.is_open:
                engaged.recovery.gone(IN_PROCESS, "interrupted", killed=True)
    return _outcome(engaged.coordinator, received)


def work_here(engaged: Engaged, study: Study) -> None:
    """Train a coordinator's trials in this process and thread; returns when there are no more. Loads TensorFlow."""
    from sweep.train.worker import work

    ours, theirs = Pipe()
    thread = threading.Thread(target=engaged.server.serve, args=(theirs,), name="in-process worker", daemon=True)
    thread.start()
    try:
        work(ours, IN_PROCESS, lambda: study)
    finally:
        ours.close()
        thread.join()


def _check(settings: Settings) -> None:
    """Refuse what can be refused before a worker has loaded the study, which takes seconds."""
    has_schema(parse_url(settings.storage))
    check_writable(Path(settings.logdir))
    settings.check_specs()


@contextlib.contextmanager
def running(coordinator: Coordinator) -> Iterator[Engaged]:
    """A coordinator with its server and keeper; what is left is written at the end."""
    server, recovery = Server(coordinator), Recovery(coordinator)
    keeper = Keeper(coordinator, recovery)
    server.start()
    keeper.start()
    try:
        yield Engaged(coordinator, server, recovery)
    finally:
        server.close()
        keeper.close()
        if coordinator.is_open:
            _close(coordinator)


def _close(coordinator: Coordinator) -> None:
    if coordinator.crash is None:
        coordinator.opened.close(refused=coordinator.error is not None)
        return
    with contextlib.suppress(Exception):  # it is the crash that is to be raised
        coordinator.opened.close(refused=False)


def _outcome(coordinator: Coordinator, received: list[int]) -> Outcome:
    coordinator.raise_error()
    if not coordinator.is_open:
        raise KeyboardInterrupt  # stopped before a worker had loaded the study
    return Outcome(coordinator.opened, coordinator.stopped, received[0] if received else None)


@contextlib.contextmanager
def _signals(coordinator: Coordinator, kill: Any) -> Iterator[list[int]]:
    """Ctrl-C or SIGTERM once: running trials end at their next epoch and are queued again; twice: at once."""
    received: list[int] = []

    def handle(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        if len(received) == 1:
            coordinator.watcher.message("stopping after the running epochs; Ctrl-C again stops at once")
            coordinator.stop("Ctrl-C" if number == signal.SIGINT else "SIGTERM", requeue=True)
        else:
            kill()

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
    from sweep.train.worker import Interrupted

    raise Interrupted("Ctrl-C twice")
