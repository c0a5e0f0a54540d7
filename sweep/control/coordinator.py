"""One coordinator owns a running study: asks and tells, names runs, gives verdicts, obeys commands, survives its workers.

Workers reach it through `sweep.control.server`; each message is one method here, called in the thread of that worker's
connection. `_lock` guards what follows; Optuna samples outside it, so that a slow sampler delays nobody's verdict.
"""

import threading
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.distributions import json_to_distribution
from optuna.trial import TrialState
from sweep.events import run_directory

from sweep.control.ending import Endings
from sweep.control.opening import Opened, Settings, open_study
from sweep.control.progress import Opening, Silent, Watcher
from sweep.control.pruning import Verdict
from sweep.control.writer import StudyWriter
from sweep.declaration import Declaration
from sweep.errors import StudyError, SweepError
from sweep.store import Command, RunRecord

ATTEMPTS = 3  # a trial that was with its worker when it was killed so many times is not tried again


@dataclass
class Live:
    """A trial with a worker."""

    trial: optuna.Trial
    worker: str
    began: float = field(default_factory=time.monotonic)
    named: bool = False
    condemned: str | None = None  # why it is to be pruned at its next epoch


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
        self._opened: Opened | None = None
        self._endings = Endings()
        self._live: dict[int, Live] = {}
        self._again: deque[int] = deque()
        self._kills: Counter[int] = Counter()
        self._asking = False
        self._deadline: float | None = None
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)

    @property
    def opened(self) -> Opened:
        """The study; only after a worker has declared it."""
        if self._opened is None:
            raise RuntimeError("no worker has declared the study yet")
        return self._opened

    # Messages of workers, in the order they come.

    def hello(self, worker: str, declaration: dict[str, Any]) -> dict[str, Any]:
        """A worker has loaded the study file and declares the study; the first one opens it."""
        with self._lock:
            if self._opened is None:
                self._opened = open_study(Declaration.from_dict(declaration), self.settings, preview=self.preview)
                self._again.extend(self._opened.unfinished)
                seconds = self.opened.declaration.timeout
                self._deadline = time.monotonic() + seconds if seconds else None
                self.watcher.opened(self._opening())
            elif declaration.get("hash") != self.opened.declaration.hash:
                raise StudyError("a study file stays as it is while its study runs", "another", "start the study again")
            if self._left() <= 0 and not self._live:
                self.finished.set()
            return {"log": self.opened.worker_log(worker), "preview": self.preview}

    def _opening(self) -> Opening:
        opened, declaration = self.opened, self.opened.declaration
        return Opening(
            declaration.name,
            declaration.objective[0],
            declaration.direction[0],
            opened.budget,
            sum(run.state in ("COMPLETE", "PRUNED", "FAIL") for run in opened.ledger.runs()),
            declaration.epochs,
            self.settings.workers or declaration.workers or 0,
            opened.directory,
        )

    def ask(self, worker: str) -> dict[str, Any]:
        """A trial to train, as soon as there is one; or the end."""
        while True:
            with self._changed:
                while not self._may_begin() and not self._over():
                    self._changed.wait(timeout=0.5)
                if self._over():
                    self._check_finished()
                    return {"end": True}
                trial, attempt = self._next()
            if trial is None:
                trial = self.opened.search.ask()  # the sampler's time; outside the lock
                with self._lock:
                    self._asking = False
            return self._begin(worker, trial, attempt)

    def _next(self) -> tuple[optuna.Trial | None, int]:
        """A trial that waits, or None and the place for a new one is taken."""
        if self._again:
            number = self._again.popleft()
            attempt = self.opened.attempts.get(number, 0)
            return self.opened.search.again(number), attempt
        self._asking = True
        return None, 0

    def _begin(self, worker: str, trial: optuna.Trial, attempt: int) -> dict[str, Any]:
        number = trial.number
        seed = self.opened.search.seed(number)
        with self._lock:
            self._live[number] = Live(trial, worker)
            run = self._run(number) or RunRecord(number)
            run.state, run.attempt, run.worker, run.seed = "RUNNING", attempt, worker, seed
            run.started, run.duration, run.reason = time.time(), None, None
            self.opened.ledger.put(run)
        return {
            "number": number,
            "seed": seed,
            "attempt": attempt,
            "epochs": self.opened.declaration.epochs,
            "force_epochs": self.settings.epochs is not None,
            "objective": self.opened.declaration.objective,
            "direction": self.opened.declaration.direction,
            "value": self.opened.declaration.value,
            "study": self.opened.declaration.name,
            "family": self.opened.declaration.name,
        }

    def suggest(self, worker: str, number: int, name: str, distribution: str) -> dict[str, Any]:
        """The value of a parameter."""
        live = self._mine(worker, number)
        if live.named:
            raise StudyError(
                "a parameter is suggested before sweep.fit begins, since the run is named after it",
                f"{name!r} afterwards",
            )
        return {"value": self.opened.search.suggest(live.trial, name, json_to_distribution(distribution))}

    def start(
        self, worker: str, number: int, family: str | None, architecture: str | None, epochs: int | None
    ) -> dict[str, Any]:
        """The run is named, and its directory known; the study is written for the first time with its first run."""
        live = self._mine(worker, number)
        opened = self.opened
        frozen = opened.search.frozen(live.trial)
        opened.search.check_complete(frozen.params)
        with self._lock:
            run = self._run(number) or RunRecord(number)
            family = family or opened.declaration.name
            name = run.name or opened.search.name(frozen, family, architecture)
            directory = run_directory(opened.logdir, opened.declaration.name, name)
            run = opened.ledger.update(
                number,
                name=name,
                directory=str(directory),
                family=family,
                architecture=architecture,
                params=dict(frozen.params),
                epochs=epochs,
            )
            live.named = True
        opened.keep()
        self.watcher.started(run)
        return {"name": name, "directory": str(directory), "text": opened.text(run)}

    def epoch(
        self, worker: str, number: int, epoch: int, metrics: dict[str, float], finding: str | None
    ) -> dict[str, Any]:
        """A run has finished an epoch (counted from 0); the verdict is whether it goes on."""
        live = self._mine(worker, number)
        objective = self.opened.declaration.objective
        value = metrics[objective[0]]
        verdict = Verdict(False)
        if len(objective) == 1:
            self.opened.search.report(live.trial, epoch, value)
            finite = all(_finite(metrics.get(name)) for name in ("loss", "val_loss"))
            frozen = self.opened.search.frozen(live.trial)
            verdict = self.opened.search.pruning.verdict(frozen, epoch, value, finite)
        with self._lock:
            self.opened.ledger.epoch(number, epoch, metrics)
            run = self._measure(number, epoch, value, finding)
        self.watcher.epoch(run, metrics)
        return self._verdict(live, verdict)

    def report(self, worker: str, number: int, step: int, value: float) -> dict[str, Any]:
        """An objective of plain Optuna reports a value; it may ask for the verdict."""
        live = self._mine(worker, number)
        self.opened.search.report(live.trial, step, value)
        with self._lock:
            self.opened.ledger.epoch(number, step, {self.opened.declaration.objective[0]: value})
            run = self._measure(number, step, value, None)
        self.watcher.epoch(run, {self.opened.declaration.objective[0]: value})
        return {}

    def should_prune(self, worker: str, number: int) -> dict[str, Any]:
        """The verdict on the last value that an objective of plain Optuna reported."""
        live = self._mine(worker, number)
        frozen = self.opened.search.frozen(live.trial)
        step = frozen.last_step
        if step is None:
            return self._verdict(live, Verdict(False))
        value = frozen.intermediate_values[step]
        return self._verdict(live, self.opened.search.pruning.verdict(frozen, step, value))

    def attribute(self, worker: str, number: int, kind: str, key: str, value: Any) -> dict[str, Any]:
        """A trial's user attribute, system attribute or constraint."""
        trial = self._mine(worker, number).trial
        storage = self.opened.search.storage
        if kind == "constraint":
            trial.set_constraint(key, value)
        elif kind == "user":
            storage.set_trial_user_attr(trial._trial_id, key, value)
        else:
            storage.set_trial_system_attr(trial._trial_id, key, value)
        return {}

    def end(
        self,
        worker: str,
        number: int,
        state: str,
        values: list[float] | None = None,
        reason: str | None = None,
        traceback: str | None = None,
        finding: str | None = None,
    ) -> dict[str, Any]:
        """A trial has ended in its worker; answered when its end is on the disk."""
        live = self._mine(worker, number)
        if state == "WAITING":
            run = self._requeue(number, reason)
        else:
            run = self._end(live, state, values, reason, traceback)
        return {"state": run.state, "reason": run.reason}

    # Ends.

    def _end(
        self, live: Live, state: str, values: list[float] | None, reason: str | None, traceback: str | None
    ) -> RunRecord:
        opened, number = self.opened, live.trial.number
        state, reason = self._endings.settle(state, values, reason, len(opened.declaration.objective))
        frozen = opened.search.tell(live.trial, TrialState[state], values)
        with self._changed:
            run = self._run(number) or RunRecord(number)
            last = values[0] if values and run.epoch == 0 else run.last
            best = run.best if run.best is not None else (frozen.values[0] if state == "COMPLETE" else None)
            run = opened.ledger.update(
                number,
                state=state,
                reason=reason,
                traceback=traceback,
                params=dict(frozen.params),
                last=last,
                best=best,
                duration=time.monotonic() - live.began,
            )
            del self._live[number]
            repeated = self._endings.repeated(run)
            if repeated and self.error is None:
                self.error = repeated
                self.stop("the same failure again and again", requeue=True)
            self._changed.notify_all()
        opened.keep()
        self.watcher.ended(run)
        self._check_finished()
        return run

    def _requeue(self, number: int, reason: str | None) -> RunRecord:
        """A trial's epochs are forgotten, and it will be run again under its name."""
        opened = self.opened
        with self._changed:
            live = self._live.pop(number)
            opened.search.storage.restart(live.trial._trial_id)
            opened.ledger.restart(number)
            opened.attempts[number] = opened.attempts.get(number, 0) + 1
            run = opened.ledger.update(
                number, state="WAITING", epoch=0, last=None, best=None, best_epoch=None, finding=None, reason=reason
            )
            self._again.append(number)
            self._changed.notify_all()
        opened.keep()
        self.watcher.ended(run)
        self._check_finished()
        return run

    def gone(self, worker: str, how: str, *, killed: bool) -> None:
        """A worker is gone; `killed` from outside rather than by what it ran. Its trial is run again, or has failed."""
        with self._lock:
            left = [live for live in self._live.values() if live.worker == worker]
        for live in left:
            number = live.trial.number
            self._kills[number] += killed and self.stopped is None
            if killed and self._kills[number] < ATTEMPTS:
                self._requeue(number, f"its worker was {how}")
                continue
            times = f" {ATTEMPTS} times" if killed else ""
            run = self._end(live, "FAIL", None, f"its worker {'was ' if killed else ''}{how}{times}", None)
            self._endings.write(run)

    # Control.

    def stop(self, why: str, *, requeue: bool) -> None:
        """Begin no new trial; `requeue`: end the running ones after their present epoch, to be run again."""
        with self._changed:
            self.stopped = self.stopped or why
            self.requeues = self.requeues or requeue
            self._changed.notify_all()
        self._check_finished()

    def refuse(self, error: SweepError) -> None:
        """The study cannot be: it ends with this error, and nothing running is lost."""
        with self._lock:
            self.error = self.error or error
        self.stop("refused", requeue=True)
        if self._opened is None:
            self.finished.set()

    def obey(self, command: Command) -> None:
        """Do what somebody asks through the store."""
        if command.verb == "stop":
            self.watcher.message(f"stopping after the running epochs: {command.reason}")
            self.stop(command.reason, requeue=True)
        elif command.verb == "prune":
            with self._lock:
                live = self._live.get(command.number if command.number is not None else -1)
                if live is not None:
                    live.condemned = command.reason

    def running(self) -> list[int]:
        """The numbers of the trials that are with a worker."""
        with self._lock:
            return list(self._live)

    def drop(self, number: int) -> None:
        """A trial of ours was ended by somebody else in Optuna's tables; theirs stands, and its worker stops."""
        with self._changed:
            live = self._live.pop(number, None)
            if live is None:
                return
            frozen = self.opened.search.tell(live.trial, TrialState.FAIL, None)
            reason = "ended by another process in Optuna's tables"
            run = self.opened.ledger.update(number, state=frozen.state.name, reason=reason)
            self._changed.notify_all()
        self.watcher.ended(run)
        self._check_finished()

    # State.

    @property
    def writer(self) -> StudyWriter | None:
        """What writes to the database, once there is something to keep."""
        return self._opened.writer if self._opened is not None else None

    def _mine(self, worker: str, number: int) -> Live:
        """The live trial of a worker; a late message about a trial that it has no longer is refused."""
        with self._lock:
            live = self._live.get(number)
            if live is None or live.worker != worker:
                raise Fenced(f"trial {number} is no longer with worker {worker}")
            return live

    def _run(self, number: int) -> RunRecord | None:
        return self.opened.ledger.find(number)

    def _measure(self, number: int, epoch: int, value: float, finding: str | None) -> RunRecord:
        run = self.opened.ledger.run(number)
        better = _finite(value) and (
            run.best is None or (value > run.best if self.opened.search.maximize else value < run.best)
        )
        best, best_epoch = (value, epoch) if better else (run.best, run.best_epoch)
        return self.opened.ledger.update(
            number,
            epoch=max(run.epoch, epoch + 1),
            last=value,
            best=best,
            best_epoch=best_epoch,
            finding=finding or run.finding,
        )

    def _verdict(self, live: Live, verdict: Verdict) -> dict[str, Any]:
        with self._lock:
            if live.condemned is not None:
                return {"verdict": "prune", "reason": live.condemned}
            if verdict.prune:
                return {"verdict": "prune", "reason": verdict.reason}
            if self.requeues:
                return {"verdict": "requeue", "reason": self.stopped or ""}
            return {"verdict": "go"}

    def _left(self) -> int:
        """How many trials may still begin."""
        trials = self.opened.search.trials()
        begun = sum(trial.state != TrialState.WAITING for trial in trials)
        return self.opened.budget - begun - self._asking + len(self._again)

    def _may_begin(self) -> bool:
        if self.stopped is not None or (self._deadline is not None and time.monotonic() >= self._deadline):
            return False
        if self._again:
            return True
        return not self._asking and not self.opened.search.exhausted and self._left() > 0

    def _over(self) -> bool:
        """Whether a worker that asks now is not needed any more."""
        if self.stopped is not None or (self._deadline is not None and time.monotonic() >= self._deadline):
            return True
        if self._again or self._asking:
            return False
        # A running trial may yet come back into the queue, so its worker's peers wait until the last one has ended.
        return (self.opened.search.exhausted or self._left() <= 0) and not self._live

    def _check_finished(self) -> None:
        with self._lock:
            if self._opened is not None and not self._live and not self._asking and self._over():
                self.finished.set()


class Fenced(Exception):
    """A worker speaks of a trial that it has no longer, and must end."""


def _finite(value: float | None) -> bool:
    return value is None or (value == value and abs(value) != float("inf"))
