"""One coordinator owns a running study: which trials begin, how they end, what stops them, whatever becomes of workers.

`sweep.control.desk` answers the workers' messages over it. `lock` guards what is here; Optuna samples outside of it, so
that a slow sampler delays nobody's verdict. `changed` wakes those who wait for a trial.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import optuna
from optuna.trial import TrialState

from sweep.control.ending import Endings, ran_out
from sweep.control.keeping import Keeping
from sweep.control.live import Fenced, Live
from sweep.control.opened import Opened
from sweep.control.opening import open_study
from sweep.control.progress import Silent, Watcher
from sweep.core.pruners import Verdict
from sweep.declaration import Declaration
from sweep.errors import StudyError, SweepError
from sweep.options import Settings
from sweep.snapshot import Snapshot
from sweep.store import RunRecord


class Coordinator:
    """Runs one study.

    Args:
        settings: where to keep it, and what the command line overrides.
        watcher: is told of everything.
        preview: suggest and name trials, but keep nothing.
    """

    def __init__(self, settings: Settings, watcher: Watcher | None = None, *, preview: bool = False) -> None:
        self.settings = settings
        self.watcher: Watcher = watcher if watcher is not None else Silent()
        self.preview = preview
        self.file: Path | None = None  # the study's, where workers load a copy of it
        self.error: SweepError | None = None
        self.crash: BaseException | None = None  # a fault of ours
        self.stopped: str | None = None  # why no new trial begins, if so
        self.requeues = False  # running trials are to end at their next epoch and be run again
        self.finished = threading.Event()  # set when nothing runs and nothing will
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self._turn = threading.Condition(self.lock)  # of those that could have a new trial, each to wake the next
        self.when_opened: Callable[[Opened], None] = lambda _opened: None  # called before any worker has a trial
        self.relieve: Callable[[str], str | None] = lambda _worker: None  # starts another in its place, and names it
        self.end_worker: Callable[[str], None] = lambda _worker: None  # with all that it started
        self._opened: Opened | None = None
        self._endings = Endings(settings.retries)
        self._keeping = Keeping(settings.keep)
        self._live: dict[int, Live] = {}
        self._again: deque[int] = deque()
        self.departed: set[str] = set()  # workers that are gone
        self._asking = 0  # workers whose new trial is being sampled
        self._deadline = math.inf  # by the monotonic clock

    @property
    def opened(self) -> Opened:
        """The study; only after a worker has declared it."""
        if self._opened is None:
            raise RuntimeError("no worker has declared the study yet")
        return self._opened

    @property
    def is_open(self) -> bool:
        """Whether a worker has declared the study, and it could be opened."""
        return self._opened is not None

    def open(self, declaration: Declaration, snapshot: Snapshot | None = None) -> None:
        """Open the study that a worker declares; the others must declare the same file.

        Args:
            declaration: the study.
            snapshot: of its file, which runs refer to.

        Raises:
            SweepError: the study cannot be, or the file has changed since the first worker read it.
        """
        with self.lock:
            if self._opened is not None:
                if declaration.hash != self.opened.declaration.hash:
                    raise StudyError("The study file changed while its study was running.", "Start the study again.")
                return
            self._opened = open_study(declaration.at(self.file), self.settings, preview=self.preview)
            self._opened.snapshot = snapshot
            self._again.extend(self._opened.unfinished)
            self._deadline = time.monotonic() + (self.opened.declaration.timeout or math.inf)
            self.watcher.opened(self._opened.opening())
            if snapshot is not None and snapshot.warning is not None:
                self.watcher.message(snapshot.warning)
            self.when_opened(self._opened)
            self._check_finished()

    # Which trials begin.

    def next_trial(self, worker: str) -> Live | None:
        """A trial for a worker, as soon as there is one; None when it is not needed any more."""
        with self.changed:
            while not self._may_begin():
                if not self._asking:
                    self._turn.notify()  # nobody else can have one either: let the next see it
                if self._over() or worker in self.departed:
                    self._check_finished()
                    return None
                (self._turn if self._asking else self.changed).wait(timeout=5.0)  # thousands may wait here
            if worker in self.departed:
                return None
            number = self._again.popleft() if self._again else None
            self._asking += 1
        try:
            trial = self.opened.search.ask() if number is None else self.opened.search.again(number)
            with self.changed:
                self._begin(trial, worker)
                return self._live.get(trial.number)
        finally:
            with self.lock:
                self._asking -= 1
                self._turn.notify()

    def _begin(self, trial: optuna.Trial, worker: str) -> None:
        """Give a trial to a worker; back into the queue with it if the worker is gone meanwhile."""
        ledger, number = self.opened.ledger, trial.number
        if worker in self.departed:
            self.opened.search.storage.wait(trial._trial_id)
            self._again.appendleft(number)
            self.changed.notify_all()
            return
        run = ledger.find(number) or RunRecord(number)
        self._live[number] = Live(trial, worker, run.duration or 0.0)
        run.state, run.worker, run.seed = "RUNNING", worker, self.opened.search.seed(number)
        run.started, run.duration, run.reason, run.constraints = run.started or time.time(), None, None, {}
        run.revives = self.opened.search.revives(trial)
        run.snapshot = self.opened.snapshot.hash if self.opened.snapshot is not None else None
        ledger.put(run)

    def _may_begin(self) -> bool:
        if time.monotonic() >= self._deadline and (self._again or self.left() > 0):
            self.stopped = self.stopped or f"its timeout of {self.opened.declaration.timeout:g} s is over"
        if self.stopped is not None:
            return False
        # One new trial is sampled at a time: samplers are not made for several threads.
        return bool(self._again) or (not self._asking and self.left() > 0)

    def _over(self) -> bool:
        """Whether a worker that asks now is not needed any more."""
        if self.stopped is not None:
            return True
        # A running trial may come back into the queue, so its worker's peers wait until the last one has ended.
        return not self._live and not self._asking and not self._again and self.left() <= 0

    def left(self) -> int:
        """How many new trials may still begin."""
        if self.opened.search.exhausted:
            return 0
        return self.opened.budget - self.opened.search.storage.begun()

    def _check_finished(self) -> None:
        with self.lock:
            if self._opened is not None and not self._live and not self._asking and self._over():
                self.finished.set()

    # How they end.

    def mine(self, worker: str, number: int) -> Live:
        """The live trial of a worker.

        Raises:
            Fenced: the worker has it no longer.
        """
        with self.lock:
            live = self._live.get(number)
            if live is None or live.worker != worker or live.ending:
                raise Fenced(f"trial {number} is no longer with worker {worker}")
            live.heard = time.monotonic()
            return live

    def take(self, live: Live) -> None:
        """Take a trial's end upon oneself.

        Raises:
            Fenced: somebody else does it, or has done it.
        """
        with self.lock:
            if live.ending or self._live.get(live.trial.number) is not live:
                raise Fenced(f"trial {live.trial.number} has its end already")
            live.ending = True

    def end(
        self,
        live: Live,
        state: str,
        values: list[float] | None = None,
        reason: str | None = None,
        traceback: str | None = None,
        verdict: Verdict | None = None,
    ) -> RunRecord:
        """End a trial; returns when its end is on the disk.

        Raises:
            Fenced: it has ended already.
        """
        self.take(live)
        opened = self.opened
        state, reason = self._endings.settle(state, values, reason, len(opened.declaration.objective))
        frozen = opened.search.tell(live.trial, TrialState[state], values, hopeless=ran_out(reason))
        with self.changed:
            run = opened.ledger.end(frozen, reason, traceback, seconds=live.seconds, verdict=verdict)
            del self._live[frozen.number]
            parameters_fault = self._endings.learn(opened.ledger, run, opened.search.teach)
            repeated = None if parameters_fault else self._endings.repeated(run)
            if repeated is not None:
                self.refuse(repeated)
            self.changed.notify_all()
        self._settled(run)
        return run

    def fail(self, live: Live, reason: str, traceback: str | None = None) -> RunRecord:
        """A trial has raised, which ends it unless it may be tried again, from its checkpoint.

        Raises:
            Fenced: it has ended already.
        """
        if self.stopped is None and self._endings.may_try_again(live.trial.number, reason):
            return self.requeue(live, f"tried again: {reason}")
        return self.end(live, "FAIL", reason=reason, traceback=traceback)

    def requeue(self, live: Live, reason: str | None) -> RunRecord:
        """Put a trial back into the queue; it will be run again under its name, from its checkpoint.

        Raises:
            Fenced: it has ended already.
        """
        self.take(live)
        number = live.trial.number
        with self.changed:
            self.opened.search.storage.wait(live.trial._trial_id)
            run = self.opened.ledger.wait(number, reason, live.seconds)
            del self._live[number]
            self._again.append(number)
            self.changed.notify_all()
        self._settled(run)
        return run

    def depart(self, worker: str) -> list[Live]:
        """A worker is gone and is given no trial any more; returns those that it left behind."""
        with self.changed:
            self.departed.add(worker)
            self.changed.notify_all()
            return [live for live in self._live.values() if live.worker == worker]

    def _settled(self, run: RunRecord) -> None:
        if self.error is None or self.opened.kept:  # of a study that is refused at once nothing is kept
            self.opened.keep()
        if self._keeping.count is not None:
            self._keeping.ended(self.opened.ledger.runs(), self.opened.declaration.objectives[0])
        self.watcher.ended(run)
        self._check_finished()

    # What stops them.

    def stop(self, why: str, *, requeue: bool) -> None:
        """Begin no new trial; `requeue`: end the running ones after their present epoch, to be run again."""
        with self.changed:
            self.stopped = self.stopped or why
            self.requeues = self.requeues or requeue
            self.changed.notify_all()
        if self._opened is None:  # no worker has loaded the study: nothing runs that could be waited for
            self.finished.set()
        self._check_finished()

    def refuse(self, error: SweepError) -> None:
        """The study cannot be, or go on: it ends with this error, and nothing running is lost."""
        with self.lock:
            self.error = self.error or error
        self.stop("refused", requeue=True)

    def raise_error(self) -> None:
        """Raise what ended the study, if it was an error: a fault of ours with its traceback, or the refusal."""
        if self.crash is not None:
            raise self.crash
        if self.error is not None:
            raise self.error

    def crashed(self, error: BaseException) -> None:
        """A fault of ours: the study ends, and the error is raised where it was started."""
        with self.lock:
            self.crash = self.crash or error
        self.refuse(SweepError(f"The coordinator failed: {type(error).__name__}: {error}"))
        self.finished.set()  # a trial whose end failed would be waited for

    def running(self) -> dict[int, Live]:
        """The trials that are with a worker, by number."""
        with self.lock:
            return dict(self._live)
