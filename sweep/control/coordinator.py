"""One coordinator owns a running study: which trials begin, how they end, what stops them, whatever becomes of workers.

`sweep.control.desk` answers the workers' messages over it. `lock` guards what is here; Optuna samples outside of it, so
that a slow sampler delays nobody's verdict. `changed` wakes those who wait for a trial.
"""

import threading
import time
from collections import Counter, deque
from dataclasses import dataclass, field

import optuna
from optuna.trial import TrialState

from sweep.control.ending import Endings
from sweep.control.opening import Opened, Settings, open_study
from sweep.control.progress import Opening, Silent, Watcher
from sweep.control.writer import StudyWriter
from sweep.declaration import Declaration
from sweep.errors import StudyError, SweepError
from sweep.store import FINISHED, Command, RunRecord

ATTEMPTS = 3  # a trial that was with its worker when it was killed so many times is not tried again


@dataclass
class Live:
    """A trial with a worker."""

    trial: optuna.Trial
    worker: str
    began: float = field(default_factory=time.monotonic)
    named: bool = False
    condemned: str | None = None  # why it is to be pruned at its next epoch


class Fenced(Exception):
    """A worker speaks of a trial that it has no longer, and must let go of it."""


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
        self.error: SweepError | None = None
        self.stopped: str | None = None  # why no new trial begins, if so
        self.requeues = False  # running trials are to end at their next epoch and be run again
        self.finished = threading.Event()  # set when nothing runs and nothing will
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self._opened: Opened | None = None
        self._endings = Endings()
        self._live: dict[int, Live] = {}
        self._again: deque[int] = deque()
        self._kills: Counter[int] = Counter()
        self._asking = 0  # workers whose new trial is being sampled
        self._deadline: float | None = None

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

    @property
    def writer(self) -> StudyWriter | None:
        """What writes to the database, once there is something to keep."""
        return self._opened.writer if self._opened is not None else None

    def open(self, declaration: Declaration) -> None:
        """Open the study that a worker declares; the others must declare the same file.

        Raises:
            SweepError: the study cannot be, or the file has changed since the first worker read it.
        """
        with self.lock:
            if self._opened is not None:
                if declaration.hash != self.opened.declaration.hash:
                    raise StudyError("a study file stays as it is while its study runs", "another", "start it again")
                return
            self._opened = open_study(declaration, self.settings, preview=self.preview)
            self._again.extend(self._opened.unfinished)
            seconds = self.opened.declaration.timeout
            self._deadline = time.monotonic() + seconds if seconds else None
            self.watcher.opened(self._opening())
            self._check_finished()

    def _opening(self) -> Opening:
        opened, declaration = self.opened, self.opened.declaration
        return Opening(
            name=declaration.name,
            objective=declaration.objective[0],
            direction=declaration.direction[0],
            trials=opened.budget,
            finished=sum(run.state in FINISHED for run in opened.ledger.runs()),
            epochs=declaration.epochs,
            workers=declaration.workers,
            directory=opened.directory,
            keys=opened.search.keys,
        )

    # Which trials begin.

    def next_trial(self, worker: str) -> Live | None:
        """A trial for a worker, as soon as there is one; None when it is not needed any more."""
        with self.changed:
            while not self._may_begin():
                if self._over():
                    self._check_finished()
                    return None
                self.changed.wait(timeout=0.5)
            number = self._again.popleft() if self._again else None
            self._asking += 1
        try:
            search = self.opened.search
            trial = search.ask() if number is None else search.again(number)  # the sampler's time
            with self.changed:
                live = self._live[trial.number] = Live(trial, worker)
            return live
        finally:
            with self.changed:
                self._asking -= 1
                self.changed.notify_all()

    def _may_begin(self) -> bool:
        if self.stopped is not None or self._late():
            return False
        # One new trial is sampled at a time: samplers are not made for several threads.
        return bool(self._again) or (not self._asking and not self.opened.search.exhausted and self._left() > 0)

    def _over(self) -> bool:
        """Whether a worker that asks now is not needed any more."""
        if self.stopped is not None or self._late():
            return True
        # A running trial may come back into the queue, so its worker's peers wait until the last one has ended.
        nothing_runs = not self._live and not self._asking and not self._again
        return nothing_runs and (self.opened.search.exhausted or self._left() <= 0)

    def _late(self) -> bool:
        return self._deadline is not None and time.monotonic() >= self._deadline

    def _left(self) -> int:
        """How many new trials may still begin."""
        begun = sum(trial.state != TrialState.WAITING for trial in self.opened.search.trials())
        return self.opened.budget - begun

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
            if live is None or live.worker != worker:
                raise Fenced(f"trial {number} is no longer with worker {worker}")
            return live

    def end(
        self,
        live: Live,
        state: str,
        values: list[float] | None = None,
        reason: str | None = None,
        traceback: str | None = None,
    ) -> RunRecord:
        """End a trial; returns when its end is on the disk."""
        opened, number = self.opened, live.trial.number
        state, reason = self._endings.settle(state, values, reason, len(opened.declaration.objective))
        frozen = opened.search.tell(live.trial, TrialState[state], values)
        with self.changed:
            run = opened.ledger.run(number)
            reported = values if state == "COMPLETE" and values else [None]
            run = opened.ledger.update(
                number,
                state=state,
                reason=reason,
                traceback=traceback,
                params=dict(frozen.params),
                last=reported[0] if run.epoch == 0 else run.last,
                best=reported[0] if run.best is None else run.best,
                duration=time.monotonic() - live.began,
            )
            del self._live[number]
            repeated = self._endings.repeated(run)
            if repeated is not None:
                self.refuse(repeated)
            self.changed.notify_all()
        self._settled(run)
        return run

    def requeue(self, number: int, reason: str | None) -> RunRecord:
        """Forget a trial's epochs; it will be run again under its name."""
        opened = self.opened
        with self.changed:
            live = self._live.pop(number)
            opened.search.storage.restart(live.trial._trial_id)
            opened.ledger.restart(number)
            opened.attempts[number] = opened.attempts.get(number, 0) + 1
            run = opened.ledger.update(
                number, state="WAITING", epoch=0, last=None, best=None, best_epoch=None, finding=None, reason=reason
            )
            self._again.append(number)
            self.changed.notify_all()
        self._settled(run)
        return run

    def gone(self, worker: str, how: str, *, killed: bool) -> None:
        """A worker is gone; `killed` from outside rather than by what it ran. Its trial is run again, or has failed."""
        with self.lock:
            left = [live for live in self._live.values() if live.worker == worker]
        for live in left:
            number = live.trial.number
            if killed and self.stopped is None:
                self._kills[number] += 1
            if killed and self._kills[number] < ATTEMPTS:
                self.requeue(number, f"its worker was {how}")
                continue
            times = f" {ATTEMPTS} times" if killed else ""
            run = self.end(live, "FAIL", reason=f"its worker {'was ' if killed else ''}{how}{times}")
            self._endings.write(run)

    def drop(self, number: int, state: TrialState, values: list[float] | None) -> None:
        """A trial of ours was ended by somebody else in Optuna's tables; theirs stands, and its worker lets go."""
        with self.changed:
            live = self._live.pop(number, None)
            if live is None:
                return
            self.opened.search.tell(live.trial, state, values)
            reason = "ended by another process in Optuna's tables"
            run = self.opened.ledger.update(number, state=state.name, reason=reason)
            self.changed.notify_all()
        self._endings.write(run)
        self._settled(run)

    def _settled(self, run: RunRecord) -> None:
        self.opened.keep()
        self.watcher.ended(run)
        self._check_finished()

    # What stops them.

    def stop(self, why: str, *, requeue: bool) -> None:
        """Begin no new trial; `requeue`: end the running ones after their present epoch, to be run again."""
        with self.changed:
            self.stopped = self.stopped or why
            self.requeues = self.requeues or requeue
            self.changed.notify_all()
        self._check_finished()

    def refuse(self, error: SweepError) -> None:
        """The study cannot be, or go on: it ends with this error, and nothing running is lost."""
        with self.lock:
            self.error = self.error or error
        self.stop("refused", requeue=True)
        if self._opened is None:
            self.finished.set()

    def obey(self, command: Command) -> None:
        """Do what somebody asks through the store."""
        if command.verb == "stop":
            self.watcher.message(f"stopping after the running epochs: {command.reason}")
            self.stop(command.reason, requeue=True)
        elif command.verb == "prune" and command.number is not None:
            with self.lock:
                live = self._live.get(command.number)
                if live is not None:
                    live.condemned = command.reason

    def running(self) -> list[int]:
        """The numbers of the trials that are with a worker."""
        with self.lock:
            return list(self._live)
