"""A running study as a state machine: events come in, effects go out, and nothing else changes the study.

    effects = study.apply(event, now)

`apply` is a function of the state, the event and the time. It waits for nothing and starts nothing: whoever calls it
carries out the effects and returns with further events (see `sweep.core.events`).
"""

import copy
import math
import os
import statistics
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sweep.core import events as ev
from sweep.core.limits import Limits
from sweep.core.policy import FailurePolicy, ran_out, same_parameters
from sweep.core.pruners import Judge, Verdict, sentence
from sweep.core.pruners.asha import Schedule, complete_of
from sweep.core.trial import Ending, State, Trial, forget, requeue
from sweep.core.workers import Worker, Workers
from sweep.declaration import Declaration
from sweep.errors import StudyError, SweepError
from sweep.finding import Finding
from sweep.names import encode_repeat, format_number
from sweep.objective import Objective
from sweep.options import Settings
from sweep.rundir import repeat_directory, run_directory
from sweep.snapshot import Snapshot
from sweep.store.records import FINISHED, RepeatRecord, RunRecord, Training
from sweep.store.store import Command
from sweep.wire import messages as wire
from sweep.words import counted, listed, shown_size

STEPS = 2**31
"""One more than the largest step, since the database has 32 bits for it."""

LEAVE_SECONDS = 10.0
"""For workers to end by themselves when the study has ended."""

TOGETHER = 64
"""How many trials may begin in one transaction. If the study is stopped just then, those that nobody can train any more
wait for its next start."""

AT_FIRST = 64
"""How many workers load the study file before it is known how many there is work for, where cores are fewer."""

FINISH_SECONDS = 60.0
"""For `train` to return when its trial has trained for as long as it may."""

BEAT_SECONDS = 1.0
SILENT_SECONDS = 3.0  # for the database to answer before the study says that it waits
REASONS = 5  # why it waits is said for so many different ones
UNANSWERED_SECONDS = 60.0  # how long to wait for the connection of a worker that has exited

ENDED_ELSEWHERE = "ended by another process in Optuna's tables"


class StudyMachine:
    """One study with its workers and trials.

    Args:
        settings: the start options.
        wall: what to add to the monotonic clock's seconds to get Unix seconds.
        preview: name trials, but train and keep nothing.

    Attributes:
        runs: every run by its number.
        error: what ends the study, if it cannot go on; `crash` if that is a fault of ours.
        stopped: why it was stopped or interrupted, if so.
        spent: why no new trial begins although it was not, if so: the study has ended as if it had all its trials.
        kept: whether anything of this start is in the database.
    """

    def __init__(self, settings: Settings, *, wall: float = 0.0, preview: bool = False) -> None:
        self.settings = settings
        self.preview = preview
        self._declaration: Declaration | None = None
        self.runs: dict[int, RunRecord] = {}
        self.error: SweepError | None = None
        self.crash: BaseException | None = None
        self.stopped: str | None = None
        self.spent: str | None = None
        self.kept = False
        self.budget = 0
        self.exhausted = False
        self.workers = Workers()
        self.trials: dict[int, Trial] = {}
        """Those that have not ended, by number."""
        self._wall = wall
        self._now = 0.0
        self._effects: list[ev.Effect] = []
        self._policy = FailurePolicy(settings.retries)
        self._judge: Judge | None = None
        self._schedule: Schedule | None = None  # of a pruner that pauses: the judge
        self.paused: dict[int, Trial] = {}
        """Those that wait at a rung, by number."""
        self._called: dict[int, bool] = {}  # paused runs that continue first; whether to the end
        self._continuable: set[int] = set()  # pruned when the study was spent, and due again where it has more to spend
        self._unpausable: set[str] = set()  # why runs cannot be paused, as was said
        self._objective = Objective("value")
        self._snapshot: Snapshot | None = None
        self._logdir = ""
        self._marked = 0
        # Opening.
        self._opening: str | None = None  # the hash of the file that the study is opened with
        self._greeted: list[tuple[str, wire.Hello]] = []  # workers that wait until the study is open
        self._most: int | None = None
        # Which trials begin.
        self._again: deque[int] = deque()
        self._repeating: deque[int] = deque()  # trials that are to be trained with another seed
        self._idle: dict[str, None] = {}  # workers that wait for a trial, in the order in which they asked
        self._sampling = False
        self._busy = 0  # trials that are with a worker
        self._begun = 0
        self._limits: Limits | None = None
        self._doubted = False  # whether it was said that a limit may never be reached
        self._deadline = math.inf
        self._sizes: dict[int, int] = {}  # bytes of the checkpoints of runs that have paused
        self._requeues = False  # running trials end at their next epoch, to be run again
        self._trained = False  # whether a trial of ours has trained
        self._complete = 0  # how many of ours are
        # What is on its way to the database.
        self._in_store = False
        self._changed: set[int] = set()
        self._changes = ev.Changes()
        self._write_due = False
        self._unacknowledged: list[ev.Reply | ev.Show | ev.RemoveCheckpoints] = []  # until the next write
        self._acknowledged: list[ev.Reply | ev.Show | ev.RemoveCheckpoints] | None = None  # by the write under way
        self._looking = False
        self._silent: float | None = None  # since when the database owes an answer
        self._reasons: list[str] = []  # those that were said since; empty while it answers
        self._beaten = -math.inf
        self._removed: set[int] = set()  # runs whose weights are gone
        # The end.
        self._signals = 0
        self._end_by = math.inf  # for running trials, where the study is refused
        self._leave_by = math.inf  # for workers, when the study has ended
        self._killed = False  # workers that had not left in time
        self._over = False
        self._finished = False

    @property
    def is_open(self) -> bool:
        """Whether the study is open."""
        return self._declaration is not None

    @property
    def declaration(self) -> Declaration:
        """The study; only when it is open."""
        if self._declaration is None:
            raise RuntimeError("no worker has declared the study yet")
        return self._declaration

    @property
    def over(self) -> bool:
        """Whether nothing runs and nothing will."""
        return self._over

    @property
    def left(self) -> int:
        """How many new trials may still begin."""
        return 0 if self.exhausted or self.spent is not None else self.budget - self._begun

    @property
    def live(self) -> dict[int, Trial]:
        """The trials that are with a worker, by number; also those whose end is being entered."""
        return {number: trial for number, trial in self.trials.items() if trial.worker is not None}

    def apply(self, event: ev.Event, now: float) -> list[ev.Effect]:
        """Change the study as an event demands.

        Args:
            event: what has happened.
            now: seconds of the monotonic clock.

        Returns:
            what is to be done now, in this order.
        """
        self._now = max(self._now, now)
        self._effects = []
        try:
            _HANDLERS[type(event)](self, event)
        except SweepError as error:
            self._refused(ev.Refused(error, getattr(event, "worker", None)))
        self._proceed()
        return [effect for effect in self._effects if not isinstance(effect, ev.Reply) or self._answers(effect.worker)]

    def _answers(self, name: str) -> bool:
        """Note that a worker is answered; False where a crash has answered it already."""
        worker = self.workers.by_name.get(name)
        if worker is None:
            return True
        if self.crash is not None and not worker.owed:
            return False
        worker.owed = False
        trial = self._held(name, worker.trial)
        if trial is not None:
            trial.heard = self._now  # its silence begins now
        return True

    def _do(self, effect: ev.Effect) -> None:
        self._effects.append(effect)

    def _show(self, method: str, *arguments: Any) -> None:
        self._do(ev.Show(method, arguments))

    # Workers: how they come and go.

    def _said(self, event: ev.Said) -> None:
        worker = self.workers.join(event.worker)
        worker.connected = worker.owed = True
        if not worker.heard:
            worker.heard = True
            self._policy.heard()
        message = event.message
        if isinstance(message, (wire.Hello, wire.Ask, wire.Refuse)):  # a union would be made anew each time
            _FROM_WORKERS[type(message)](self, event.worker, message)
            return
        trial = self._mine(event.worker, message.number)
        if trial is not None:
            _FROM_TRIALS[type(message)](self, trial, message)

    def _hung_up(self, event: ev.HungUp) -> None:
        worker = self.workers.by_name.get(event.worker)
        if worker is not None:
            worker.connected = False
            self._idle.pop(event.worker, None)
            if worker.slot is None:  # no executor will say how it ended
                worker.exit = worker.exit or ev.Exited(worker.name, "interrupted", killed=True)
            if worker.exit is not None:
                self._gone(worker)

    def _exited(self, event: ev.Exited) -> None:
        worker = self.workers.by_name.get(event.worker)
        if worker is None:
            return
        worker.exit, worker.exited = event, self._now
        if not worker.connected:  # else it may have sent something that is not answered yet
            self._gone(worker)

    def _gone(self, worker: Worker) -> None:
        """A worker is gone for good."""
        exit = worker.exit or ev.Exited(worker.name, "lost", killed=True)
        successor = self.workers.successor(worker.name)
        self._idle.pop(worker.name, None)
        slot = self.workers.remove(worker.name)
        trial = self._held(worker.name, worker.trial)
        if trial is not None:
            self._lose(trial, exit)
        if not (worker.heard or worker.killed) and self.error is None and not self._over:
            problem = self._policy.unheard(exit, loaded=self.is_open, workers=self.workers.wanted)
            if problem is not None:
                self._refuse(problem)
        if slot is not None and self.error is None and self.stopped is None and not self._over:
            launch = self.workers.fill(slot)
            if launch is not None:
                self._do(launch)
        if successor is not None and successor.asks:
            self._idle[successor.name] = None

    def _lose(self, trial: Trial, exit: ev.Exited) -> None:
        """A trial's worker is gone."""
        if self.error is not None:  # all of them end
            self._requeue(trial, None)
            return
        again, reason = self._policy.lost(trial.run.number, exit, stopping=self.stopped is not None)
        if again:
            self._requeue(trial, reason)
        else:
            self._end(trial, "FAIL", None, Ending(reason, abandoned=True))

    def _room(self, event: ev.Room) -> None:
        if self._most is None or self.settings.workers is None:
            self._most = event.most
            self._resize(max(self.workers.wanted, self._wanted()))

    def _wanted(self) -> int:
        """How many workers the study wants and can use."""
        most = self.settings.workers or self._most or 1
        if not self.is_open:  # how many trials there are is not known yet
            return min(most, max(self._most or 1, AT_FIRST))
        begun = len(self._again) + len(self.paused)
        return min(self.declaration.workers or most, max(0, self.left) + begun)

    def _resize(self, wanted: int) -> None:
        if self._over:
            return
        launched, surplus = self.workers.resize(wanted)
        for name in surplus:
            self._kill(name)
        self._effects += launched

    # Opening.

    def _hello(self, worker: str, hello: wire.Hello) -> None:
        if self.error is not None:
            self._do(ev.Reply(worker, wire.Rejected(self.error.as_dict())))
        elif self.is_open:
            self._welcome(worker, hello)
        else:
            self._greeted.append((worker, hello))
            if self._opening is None:
                self._opening = hello.declaration.get("hash") or ""
                snapshot = Snapshot.from_text(hello.snapshot) if hello.snapshot is not None else None
                self._silent = self._now
                self._do(ev.Open(Declaration.from_dict(hello.declaration), snapshot))

    def _welcome(self, worker: str, hello: wire.Hello) -> None:
        if (hello.declaration.get("hash") or "") != self._opening:
            if self._loads_anew(worker):
                self._kill(worker)
                return
            raise StudyError("The study file changed while its study was running.", "Start the study again.")
        welcomed = self.workers.by_name.get(worker)
        if welcomed is not None:
            welcomed.early = False
        log = Path(self._logdir, self.declaration.name, "workers", f"worker-{worker}.log")
        self._do(ev.Reply(worker, wire.Welcome(os.devnull if self.preview else str(log), self.preview)))

    def _loads_anew(self, name: str) -> bool:
        """Whether a worker has loaded a file while somebody saved it: its successor loads what the study began with."""
        worker = self.workers.by_name.get(name)
        return self._snapshot is not None and worker is not None and worker.early

    def _opened(self, event: ev.Opened) -> None:
        self._database_answers()
        declaration = self._declaration = event.declaration
        self._objective = declaration.objectives[0]
        self.runs = {run.number: run for run in event.runs}
        self._in_store = event.kept
        self._changed.update(event.changed)
        self.budget, self._begun, self.exhausted = declaration.trials, event.begun, event.exhausted
        self._marked, self._judge, self._logdir = event.marked, event.judge, event.logdir
        self._schedule = event.judge if isinstance(event.judge, Schedule) else None
        self._snapshot = event.snapshot
        self._keep_snapshot()
        for early in self.workers.by_name.values():
            early.early = early.slot is not None
        ours = [run for run in self.runs.values() if not run.added]
        self._trained = any(run.has_trained for run in ours)
        self._complete = sum(run.state == "COMPLETE" for run in ours)
        more = self.left > 0 and not (event.limits is not None and event.limits.reached)
        self._continuable = set(event.continuable) if more else set()
        continued = {run.revives for run in event.runs if run.rungs}  # another one is in their place
        for run in event.runs:
            if run.number not in continued:
                self._restore_rungs(run)
        self._sizes = dict(event.sizes)
        for number in event.again:
            trial = self.trials[number] = Trial(self.runs.setdefault(number, RunRecord(number, state="WAITING")))
            trial.move(State.QUEUED)
            self._again.append(number)
        if declaration.timeout is not None:
            self._deadline = self._now + declaration.timeout
        if event.added:
            self._do(ev.Learn(tuple(event.added)))
        self._show("opened", event.opening)
        self._make_room()
        for note in event.notes:
            self._show("message", note)
        self._explain_pauses(pausable=True)
        self._limits = event.limits
        self._spend(event.limits.reached if event.limits is not None else None)
        if event.snapshot is not None and event.snapshot.warning is not None:
            self._show("message", event.snapshot.warning)
        if self._most is not None:
            self._resize(self._wanted())
        greeted, self._greeted = self._greeted, []
        for worker, hello in greeted:
            try:
                self._welcome(worker, hello)
            except StudyError as error:
                self._refused(ev.Refused(error, worker))

    # Which trials begin.

    def _ask(self, name: str, ask: wire.Ask) -> None:
        worker = self.workers.by_name[name]
        if worker.killed:  # it would only lose a trial
            return
        worker.asks = True
        left = self.trials.get(worker.trial)
        if left is not None and left.worker == name:
            if left.is_live:
                self._requeue(left, "its worker asked for another trial")
            left.worker = None  # its end may be entered after the next trial has begun
        successor = self.workers.successor(name)
        if successor is not None and successor.asks:  # it is relieved
            self._answer_ask(name, wire.NoMore())
            return
        if successor is None and ask.outgrown and self.stopped is None and self.left > 0:
            launch = self.workers.start_successor(name)
            if launch is not None:
                self._do(launch)
        if self.workers.predecessor(name) is None:  # else it begins when that one has left
            self._idle[name] = None

    def _assign(self) -> None:
        """Give trials to idle workers."""
        if not self.is_open or not self._idle:
            return
        if self._nothing_begins():
            for worker in list(self._idle):
                self._answer_ask(worker, wire.NoMore())
            return
        if self._sampling or self.stopped is not None:
            return
        while self._repeating and self._idle:
            due = self._repeating.popleft()
            self._begin(self.trials[due], next(iter(self._idle)), ev.Sampled(due, fresh=False))
        if self._idle:
            number = self._again.popleft() if self._again else self._unpaused()
            if number is not None:
                self._sampling = True
                self.trials[number].move(State.SAMPLING)
                self._do(ev.Sample(number, self.trials[number].run.directory))
            elif self.left > 0 and not self._sampling:
                self._sampling = True
                self._do(ev.Sample(None, most=min(len(self._idle), self.left, TOGETHER)))

    def _answer_ask(self, worker: str, answer: wire.Answer) -> None:
        self._idle.pop(worker, None)
        self.workers.by_name[worker].asks = False
        self._do(ev.Reply(worker, answer))

    def _spend(self, why: str | None) -> None:
        """Begin no new trial any more, if there is a reason; those that have begun finish."""
        if why is None or self.preview or self.left <= 0:
            return
        self.spent = why
        if self._schedule is not None:
            for number in self._continuable:
                self._schedule.leave(number)
        self._continuable.clear()
        if self.trials and not self._over:
            self._show("message", f"no more trials begin, and the running ones finish: {why}")

    def _train(self, run: RunRecord, metrics: Mapping[str, float]) -> None:
        """A run has trained an epoch, or reported a value."""
        if self._limits is None:
            return
        if run is self.runs.get(run.number):
            self._limits.trained(run, metrics)
        else:
            self._limits.repeated(run.number, run.seed or 0, run.epoch)
        self._spend(self._limits.reached)

    def _nothing_begins(self) -> bool:
        """Whether a worker that asks now is not needed any more."""
        if self.stopped is not None or self._over:
            return True
        # A running trial may come back into the queue, so idle workers wait until the last one has ended.
        if self.trials or self._sampling or self.left > 0:
            return False
        return self._next_paused() is None

    # Runs that wait at a rung.

    def _restore_rungs(self, run: RunRecord) -> None:
        """Take over the rungs that a run has entered in an earlier start; it may be paused."""
        if self._schedule is not None:
            waits = run.state == "PAUSED" or run.number in self._continuable
            self._schedule.restore(run.number, run.rungs, paused=waits)
        if run.state == "PAUSED":
            trial = self.paused[run.number] = Trial(run)
            trial.move(State.PAUSED)
            if self._schedule is not None and run.number not in self._schedule.paused:
                self._called[run.number] = False  # its rung is no more

    def _next_paused(self) -> tuple[int, bool] | None:
        """The paused run that continues next, if one is to, and whether it pauses no more."""
        schedule = self._schedule
        if schedule is None or not (self.paused or self._continuable):
            return None
        if self._called:
            return next(iter(self._called.items()))
        return schedule.next(
            running=self.trials,
            new=self.left > 0,
            trials=self._counted,
            complete=self._complete,
            epochs=lambda number: self.runs[number].epochs or 0,
            left=self._limits.epochs_left if self._limits is not None else None,
            spent=self.spent is not None,
        )

    @property
    def _counted(self) -> int:
        """Of how many trials some are to be COMPLETE; of a study that is spent, one run is."""
        return self.budget if self.spent is None else 1

    def _unpaused(self) -> int | None:
        """Have the next paused run continue; its number, unless it does as a new trial."""
        found = self._next_paused()
        if found is None or self._schedule is None:
            return None
        number, to_the_end = found
        self._schedule.proceed(number, to_the_end=to_the_end)
        if number in self._continuable:
            self._continuable.remove(number)
            self._sampling = True
            self._do(ev.Sample(None, continues=number))
            return None
        trial = self.trials[number] = self.paused.pop(number)
        trial.shielded = self._called.pop(number, False) or trial.shielded  # a finding stops those that nobody protects
        self._note_rungs(trial.run)
        return number

    def _note_rungs(self, run: RunRecord) -> None:
        """Keep with a run which rungs it has entered by now."""
        if self._schedule is not None:
            rungs = self._schedule.entries(run.number)
            if rungs != run.rungs:
                run.rungs = rungs
                self._changed.add(run.number)

    def _pause(self, trial: Trial, by: str | None) -> None:
        """Have a trial wait at its rung, where its checkpoint is."""
        trial.end = Ending(None, verdict=trial.verdict, by=by)
        trial.move(State.ENDING)
        measured = trial.run.directory if self.declaration.paused_limit is not None else None
        self._do(ev.Pause(trial.run.number, measured))

    def _has_paused(self, event: ev.Paused) -> None:
        trial = self.paused[event.number] = self.trials.pop(event.number)
        trial.move(State.PAUSED)
        self._busy -= 1
        end, trial.end = trial.end or Ending(None), None
        run = trial.run
        run.state, run.verdict, run.reason, run.duration = "PAUSED", end.verdict, None, trial.seconds(self._now)
        run.attempt += 1
        trial.worker, trial.verdict = None, None
        if self._schedule is not None:
            self._schedule.pause(run.number)
        self._changed.add(run.number)
        self._settled(run, end.by)
        if trial.condemned is not None:  # since it was told to pause
            self._drop_paused(trial, Ending(trial.condemned, abandoned=True, held=False))
        self._sizes[event.number] = event.size
        self._make_room()

    def _make_room(self) -> None:
        """Prune the worst paused runs until the checkpoints of the others are within --paused-limit."""
        limit, schedule = self.declaration.paused_limit, self._schedule
        if limit is None or schedule is None:
            return
        while sum(self._sizes.get(number, 0) for number in self.paused) > limit:
            best = schedule.best_paused()
            spared = {*self._called, *self._continuable} | ({best} if best is not None else set())
            number = schedule.worst_paused(spared)
            if number is None:
                return
            took = f"its checkpoint of {shown_size(self._sizes.get(number, 0))}"
            reason = f"{took} was beyond --paused-limit {shown_size(limit)}, and it was the worst paused run"
            self._drop_paused(self.paused[number], Ending(reason, abandoned=True, held=False, forgotten=True))

    def _drop_paused(self, trial: Trial, end: Ending, state: str = "PRUNED", values: list[float] | None = None) -> None:
        """End a trial that is paused."""
        number = trial.run.number
        self.trials[number] = self.paused.pop(number)
        self._called.pop(number, None)
        if self._schedule is not None:
            self._schedule.leave(number)
        self._end(trial, state, values, end)

    def _prune_paused(self) -> None:
        """Nothing of the study is left to do: what is still paused was not good enough."""
        for number, trial in list(self.paused.items()):
            verdict = self._schedule.standing(number) if self._schedule is not None else trial.run.verdict
            self._drop_paused(trial, Ending(None, verdict=verdict, abandoned=True, held=False))

    def _sampled(self, event: ev.Sampled) -> None:
        self._sampling = event.more
        self.exhausted = event.exhausted
        number = event.number
        if number is None:
            return
        if event.fresh:
            self._begun += 1
        if event.fresh and event.scheduled:  # as many others begin as were asked for
            self._add_trial()
        trial = self.trials.get(number)
        if trial is None:
            trial = self.trials[number] = Trial(self.runs.setdefault(number, RunRecord(number)))
        worker = next(iter(self._idle), None)
        if worker is None or self.stopped is not None:
            trial.run.state = "WAITING"
            trial.move(State.ENDING)
            self._changed.add(number)
            self._do(ev.Requeue(number))
            return
        self._begin(trial, worker, event)

    def _begin(self, trial: Trial, worker: str, event: ev.Sampled) -> None:
        declaration, run = self.declaration, trial.run
        trial.move(State.BUILDING)
        self._busy += 1
        self.workers.by_name[worker].trial = run.number
        trial.worker, trial.began, trial.heard = worker, self._now, self._now
        trial.hurried, trial.silence = None, 0.0
        trial.earlier, trial.pausable = run.duration or 0.0, False
        run.state, run.worker, run.duration = "RUNNING", worker, None
        run.snapshot = self._snapshot.hash if self._snapshot is not None else None
        self._changed.add(run.number)
        if run.of_value:
            self._begin_repeat(trial)
            self._assign_to(trial, trial.training_run.directory)
            return
        trial.values = {}
        if event.revives is not None:
            self._take_over(trial, event)
        trial.unpruned = declaration.leaves_unpruned(run.number)
        if (trial.shielded or trial.unpruned) and self._schedule is not None:
            self._schedule.never_pause(run.number)
        run.seed, run.started = event.seed, run.started or self._wall + self._now
        run.reason, run.verdict, run.constraints, run.revives = None, None, {}, event.revives
        directory = run.directory
        if event.revives is not None and not event.has_checkpoints:
            revived = self.runs.get(event.revives)  # which may have been deleted since
            directory = revived.directory if revived is not None else directory
        self._assign_to(trial, directory)

    def _take_over(self, trial: Trial, event: ev.Sampled) -> None:
        """A trial continues one that was pruned. What a person wants continued would be pruned at once again."""
        number, before = trial.run.number, event.revives
        trial.shielded = trial.shielded or not event.scheduled
        if self._schedule is not None and before is not None:
            self._schedule.take_over(before, number)
            self._note_rungs(trial.run)

    def _assign_to(self, trial: Trial, directory: str | None) -> None:
        """Give a trial to its worker; `directory` has what it continues from, if there is anything."""
        declaration, run = self.declaration, trial.training_run
        assignment = wire.Assignment(
            number=run.number,
            seed=run.seed or 0,
            attempt=run.attempt,
            directory=directory,
            keep=self.settings.keep != "none" and trial.repeat is None,
            broken=declaration.broken,
            epochs=declaration.epochs,
            force_epochs=declaration.force_epochs,
            objective=declaration.objective,
            direction=declaration.direction,
            result=declaration.value,
            judged=self._marked,
            pauses=self._schedule is not None and trial.repeat is None,
        )
        self._answer_ask(trial.held_by, assignment)

    # Trials that are trained with several seeds.

    def _begin_repeat(self, trial: Trial) -> None:
        """Have a trial be at the first of its seeds that it has not been trained with."""
        run, repeat = trial.run, trial.repeat
        if repeat is None:
            number = len(run.of_value) + 1
            name = encode_repeat(str(run.name), number)
            directory = repeat_directory(Path(str(run.directory)), name)
            repeat = trial.repeat = RunRecord(number=run.number, name=name, directory=str(directory))
            repeat.family, repeat.architecture, repeat.params = run.family, run.architecture, run.params
            repeat.seed, repeat.started = self.declaration.repeat_seed(number), self._wall + self._now
            repeat.epochs = run.epochs
        repeat.worker, repeat.snapshot = run.worker, run.snapshot

    def _has_trained(self, trial: Trial, value: float) -> None:
        """A trial is COMPLETE as far as one of its seeds goes: the next one is due, or its value is known."""
        run, repeat = trial.run, trial.ended_repeat("COMPLETE", value, None, self._now)
        if repeat.repeat == 1:
            self._learn_from(trial)
        if repeat.repeat == self.declaration.seeds:
            mean = statistics.fmean([one.value for one in [*run.of_value, repeat] if one.value is not None])
            self._end(trial, "COMPLETE", [mean], Ending(None, by=trial.worker, abandoned=True, repeat=repeat))
            return
        # The event file of the run itself is open until its value is known; the others end with their training.
        ended = wire.Ended("WAITING" if trial.repeat is None else "COMPLETE", None, repeat.duration)
        answer = ev.Reply(trial.held_by, ended)
        run.state, run.duration = "WAITING", trial.seconds(self._now)
        self._keep_repeat(run, repeat)
        trial.worker, trial.repeat = None, None
        trial.move(State.REPEATING)
        self._busy -= 1
        self._acknowledge(answer)
        if self.stopped is None:
            self._repeating.append(run.number)
        else:
            self._leave_repeating(trial)

    def _leave_repeating(self, trial: Trial) -> None:
        """The study stops: a trial that is to be trained with another seed waits for its next start."""
        trial.move(State.ENDING)
        self._do(ev.Requeue(trial.run.number))

    def _keep_repeat(self, run: RunRecord, repeat: RepeatRecord) -> None:
        run.repeats = [*run.repeats, repeat]
        self._changes.repeats.append(repeat)
        self._changed.add(run.number)

    def _learn_from(self, trial: Trial) -> None:
        """A run has trained to its last epoch: others are compared with it from now on."""
        if self._judge is not None:
            self._judge.completed({trial.run.number: trial.values})
            self._learn_epochs(trial)

    # What a worker says of its trial.

    def _held(self, worker: str, number: int) -> Trial | None:
        """A worker's trial; None if the worker has it no longer."""
        trial = self.trials.get(number)
        return trial if trial is not None and trial.worker == worker and trial.is_live else None

    def _mine(self, worker: str, number: int) -> Trial | None:
        """The trial of which a worker speaks; None, and the worker is told so, if the worker has it no longer."""
        trial = self._held(worker, number)
        if trial is None or self.crash is not None:
            self._fence(worker, number)
            return None
        trial.hear(self._now)
        return trial

    def _fence(self, worker: str, number: int) -> None:
        self._do(ev.Reply(worker, wire.Fenced(f"trial {number} is no longer with worker {worker}")))

    def _reply(self, trial: Trial, answer: wire.Answer) -> None:
        self._do(ev.Reply(trial.held_by, answer))

    def _suggest(self, trial: Trial, message: wire.Suggest) -> None:
        if trial.state is not State.BUILDING:
            raise StudyError(
                f"Parameter {message.name!r} was suggested after sweep.fit began, too late for the run's name.",
                "Suggest every parameter before sweep.fit.",
            )
        self._do(ev.Propose(trial.held_by, message.number, message.name, message.distribution))

    def _start(self, trial: Trial, message: wire.Begin) -> None:
        run = trial.run
        if trial.repeat is not None:
            forget(trial.repeat)
        elif run.attempt:
            self._forget(trial)
        if trial.repeat is None:
            run.architecture, run.epochs = message.architecture, message.epochs
        family = message.family or self.declaration.name
        self._do(ev.Name(trial.held_by, run.number, family, message.architecture, run.name, not message.failed))

    def _named(self, event: ev.Named) -> None:
        trial = self._held(event.worker, event.number)
        if trial is None:
            self._fence(event.worker, event.number)  # it has ended, or its worker has
            return
        run = trial.training_run
        if trial.repeat is None:
            directory = run_directory(Path(self._logdir), self.declaration.name, event.name)
            run.name, run.directory, run.family, run.params = (
                event.name,
                str(directory),
                event.family,
                dict(event.params),
            )
        if trial.state is State.BUILDING:  # else it starts over, under its name
            trial.move(State.TRAINING)
        self._changed.add(run.number)
        if self._limits is not None:
            self._limits.learn(event.keys)
        stop = same_parameters(self.runs[event.hopeless]) if event.hopeless is not None else None
        started = wire.Started(str(run.name), str(run.directory), run.started or 0.0, self._text(run), stop)
        self._acknowledge(ev.Reply(event.worker, started), ev.Show("started", (copy.copy(run),)))

    def _text(self, run: RunRecord) -> dict[str, Any]:
        """What TensorBoard shows about a run beside its parameters."""
        known = ("hash", "commit")
        about = {name: getattr(self.declaration, name) for name in known if getattr(self.declaration, name)}
        return {"study": self.declaration.name, "seed": run.seed, "attempt": run.attempt, **about}

    def _begin_training(self, trial: Trial, message: wire.BeginTraining) -> None:
        """A training begins. Where pruners have seen an earlier one until now, its values are forgotten."""
        run, begun = trial.training_run, Training.from_dict(message.training)
        if begun.marked:
            self._marked = max(self._marked, begun.number)
        known = {other.number: other for other in run.trainings}
        if begun.judged and any(other.judged and other.number != begun.number for other in known.values()):
            known = {number: replace(other, judged=False) for number, other in known.items()}
            if trial.repeat is None:
                trial.values = {}
                self._do(ev.Forget(run.number))
            run.last = run.best = run.best_epoch = None
        known[begun.number] = begun
        run.epochs = None if begun.planned is None else begun.first + begun.planned
        run.trainings = [known[place] for place in sorted(known)]
        self._changed.add(run.number)
        if begun.judged and self._schedule is not None and trial.repeat is None:
            self._settle_rungs(begun.planned, pausable=message.unpausable is None)
            self._can_pause(trial, message.unpausable)
        self._reply(trial, wire.Done())

    def _can_pause(self, trial: Trial, unpausable: str | None) -> None:
        """Note whether a trial can be paused. Each reason why not is shown once."""
        trial.pausable = unpausable is None
        if unpausable is not None and unpausable not in self._unpausable:
            self._unpausable.add(unpausable)
            self._show("message", f"runs are pruned rather than paused, since {unpausable}")

    def _settle_rungs(self, epochs: int | None, *, pausable: bool) -> bool:
        """Fix the study's rungs when it is known for how many epochs its runs train; True if this was the time."""
        rule = self._schedule.settle(epochs) if self._schedule is not None and epochs is not None else None
        if rule is not None:
            self._declaration = self.declaration.replaced(pruner=rule.text())
            self._explain_pauses(pausable=pausable)
        return rule is not None

    def _learn_epochs(self, trial: Trial) -> None:
        """Derive the rungs from the first COMPLETE run, where nothing has said how many epochs runs have."""
        if self._schedule is None or not trial.values:
            return
        if self._settle_rungs(max(trial.values) + 1, pausable=trial.pausable):
            self._schedule.verdict(trial.run.number, trial.values)  # enters its rungs
            self._note_rungs(trial.run)

    def _explain_pauses(self, *, pausable: bool) -> None:
        """Say what a pruner that pauses does, once it is known after how many epochs."""
        if self._schedule is not None and self._schedule.rule.rungs is not None and not self.preview:
            trials = self.budget if self.declaration.budget_epochs is None else None
            self._show("message", self._schedule.explained(trials, pausable=pausable))

    def _resume(self, trial: Trial, message: wire.Resume) -> None:
        """A run continues from a checkpoint: these epochs had their verdicts when they were trained."""
        for epoch, metrics in enumerate(message.log, start=message.epoch):
            training = self._record(trial, epoch, metrics)
            value = metrics.get(training.monitor or "")
            seen = training.judged and trial.repeat is None and len(self.declaration.objective) == 1
            if seen and value is not None:
                trial.values[epoch - training.first] = value
                self._do(ev.Enter(message.number, epoch - training.first, value, judged=True))
        self._reply(trial, wire.Done())

    def _epoch(self, trial: Trial, message: wire.Epoch) -> None:
        declaration, metrics = self.declaration, message.metrics
        training = self._record(trial, message.epoch, metrics, message.findings)
        several = len(declaration.objective) > 1
        watched = ["loss", "val_loss"] if declaration.broken == "prune" else []
        watched += declaration.objective if several else [training.monitor or ""]
        finite = all(math.isfinite(metrics[name]) for name in watched if name in metrics)
        value = metrics.get(training.monitor or "")
        if several or not training.judged or value is None or trial.repeat is not None:
            why = message.broken if finite else _broken(None, message.epoch)
            self._advise(trial, why, broken=not finite)
            return
        if self._schedule is not None and message.unpausable is not None:
            self._can_pause(trial, message.unpausable)
        step = message.epoch - training.first
        trial.values[step] = value
        self._do(ev.Enter(message.number, step, value))
        if message.broken is not None and finite:
            self._advise(trial, message.broken)
        else:
            self._consider(trial, step, value, finite=finite)

    def _report(self, trial: Trial, message: wire.Report) -> None:
        """A value of plain Optuna. As in Optuna, a step that was reported before keeps its value."""
        step, value, run = message.step, message.value, trial.run
        if not 0 <= step < STEPS:
            raise StudyError(f"A step must be a whole number from 0 to {STEPS - 1}, not {step!r}.")
        if trial.repeat is not None:
            self._report_again(trial.repeat, step, value)
        elif step not in trial.values:
            trial.values[step] = value
            metrics = {self._objective.name: value}
            if not run.trainings:  # beside sweep.fit, whose epochs have the metrics, it is a value for pruners alone
                self._changes.metrics.append((run.number, step, self._objective.name, value))
                run.epoch = max(run.epoch, step + 1)
            self._see(run, step, value)
            self._trained = True
            self._changed.add(run.number)
            self._train(run, metrics)
            self._show("epoch", copy.copy(run), metrics)
            self._do(ev.Enter(run.number, step, value))
        self._reply(trial, wire.Done())

    def _report_again(self, repeat: RunRecord, step: int, value: float) -> None:
        """A value of a trial that is trained with another seed: it counts as an epoch, and no pruner sees it."""
        repeat.epoch = max(repeat.epoch, step + 1)
        self._see(repeat, step, value)
        self._train(repeat, {})
        self._show("epoch", copy.copy(repeat), {self._objective.name: value})

    def _should_prune(self, trial: Trial, _message: wire.ShouldPrune) -> None:
        again = trial.repeat
        if again is not None and again.last is not None and not math.isfinite(again.last):
            self._advise(trial, _broken(self._objective.name, again.epoch - 1, again.last), broken=True)
        elif again is not None or not trial.values:
            self._advise(trial, None)
        else:
            step = max(trial.values)
            self._consider(trial, step, trial.values[step])

    def _stop_said(self, trial: Trial, message: wire.Stop) -> None:
        self._spend(f"{format_number(message.number)} called study.stop()")
        self._reply(trial, wire.Done())

    def _attribute(self, trial: Trial, message: wire.Attribute) -> None:
        if trial.repeat is not None:  # a trial has those that it set first
            self._reply(trial, wire.Done())
            return
        self._do(ev.SetAttribute(trial.held_by, message.number, message.kind, message.key, message.value))

    def _constrained(self, event: ev.Constrained) -> None:
        if event.number in self.trials:
            self.runs[event.number].constraints = dict(event.constraints)
            self._changed.add(event.number)

    def _answered(self, event: ev.Answered) -> None:
        self._do(ev.Reply(event.worker, event.answer))

    def _imported(self, trial: Trial, message: wire.Imported) -> None:
        """A trial has imported more files from beside the study file: its snapshot has them, and later ones."""
        before = self._snapshot
        if before is not None:
            self._snapshot = before.with_more(message.files)
            self._keep_snapshot()
            trial.run.snapshot = self._snapshot.hash
            self._changed.add(message.number)
            if self._snapshot.warning is not None and before.warning is None:
                self._show("message", self._snapshot.warning)
        self._reply(trial, wire.Done())

    def _keep_snapshot(self) -> None:
        if self._snapshot is not None:
            self._changes.snapshots.append(self._snapshot)
            self._do(ev.KeepSnapshot(self._snapshot))

    def _record(self, trial: Trial, epoch: int, metrics: Any, findings: list[dict[str, Any]] | None = None) -> Training:
        """Enter an epoch; the training it belongs to. Without findings, the run keeps those it has."""
        run = trial.training_run
        training = run.trainings[-1].trained(epoch + 1 - run.trainings[-1].first)
        run.trainings = [*run.trainings[:-1], training]
        run.epoch = max(run.epoch, epoch + 1)
        if findings is not None:
            run.findings = [Finding.from_dict(found) for found in findings]
        value = metrics.get(training.monitor or "") if training.judged else None
        if value is not None:
            self._see(run, epoch, value)
        self._trained = True
        if trial.repeat is None:
            self._changes.metrics += [(run.number, epoch, name, number) for name, number in metrics.items()]
        self._changed.add(run.number)
        self._train(run, metrics)
        self._show("epoch", copy.copy(run), metrics)
        return training

    def _see(self, run: RunRecord, epoch: int, value: float) -> None:
        """A run has a value that pruners see."""
        run.last = value
        if math.isfinite(value) and self._objective.better(value, run.best):
            run.best, run.best_epoch = value, epoch

    def _forget(self, trial: Trial) -> None:
        """Forget what an earlier attempt has reported; `Resume` brings back the epochs of its checkpoint."""
        number = trial.run.number
        forget(trial.run)
        trial.values = {}
        self._changes.metrics = [row for row in self._changes.metrics if row[0] != number]
        self._changes.restarted.add(number)
        self._changed.add(number)
        self._do(ev.Forget(number))

    # Verdicts.

    def _consider(self, trial: Trial, step: int, value: float, *, finite: bool = True) -> None:
        """Have a trial judged that has reported a value. NaN and infinite ones stop it whatever the pruner."""
        if not (finite and math.isfinite(value)):
            name = self._objective.name
            self._advise(trial, _broken(None if math.isfinite(value) else name, step, value), broken=True)
            return
        last = max(trial.values)  # pruners look at the last step, also where steps arrive out of order
        if not math.isfinite(trial.values[last]):
            self._advise(trial, _broken(self._objective.name, last, trial.values[last]))
        elif self._judge is None:
            self._do(ev.Judgement(trial.held_by, trial.run.number, step, value))
        elif self._schedule is not None:
            self._advise(trial, self._at_rung(trial, self._schedule, last))
        else:
            self._advise(trial, self._judge.verdict(trial.run.number, trial.values))

    def _at_rung(self, trial: Trial, schedule: Schedule, last: int) -> Verdict | None:
        """Why a trial pauses at a rung, or is pruned there where it cannot be paused; at its last epoch none does."""
        run = trial.run
        training = run.judged_training
        planned = training.planned if training is not None else self.declaration.epochs
        if training is None:
            self._settle_rungs(planned, pausable=False)
        if planned is not None and last + 1 >= planned:
            return None
        to_come = len(self.trials) - 1 + len(self.paused) + max(0, self.left)
        needed = self._complete + to_come < complete_of(self._counted, pausable=trial.pausable)
        verdict = schedule.verdict(run.number, trial.values, pausable=trial.pausable, needed=needed)
        self._note_rungs(run)
        return verdict

    def _judged(self, event: ev.Judged) -> None:
        trial = self._held(event.worker, event.number)
        if trial is not None:
            self._advise(trial, event.verdict)
        else:
            self._fence(event.worker, event.number)

    def _advise(self, trial: Trial, why: Verdict | str | None, *, broken: bool = False) -> None:
        """Tell a trial's worker whether it continues; `why` says why it should not.

        Args:
            broken: it cannot continue, even if a person protects it.
        """
        trial.verdict = None
        if trial.condemned is not None:
            advice = wire.Advice("prune", trial.condemned)
        elif why is not None and (broken or not (trial.shielded or (trial.unpruned and isinstance(why, Verdict)))):
            trial.verdict = why if isinstance(why, Verdict) else None
            pauses = trial.pausable and self._schedule is not None and isinstance(why, Verdict)
            advice = wire.Advice("pause" if pauses else "prune", sentence(why) if isinstance(why, Verdict) else why)
        elif self._requeues:
            advice = wire.Advice("requeue", self.stopped or "")
        elif (late := self._late(trial)) is not None:
            advice = wire.Advice("finish", late)
            if trial.hurry(self._now):
                self._show("message", f"{trial.run.name or format_number(trial.run.number)} finishes early: {late}")
        else:
            advice = wire.GO
        self._reply(trial, advice)

    # How trials end.

    def _end_said(self, trial: Trial, message: wire.End) -> None:
        trial.training_run.trainings = [Training.from_dict(item) for item in message.trainings]
        reason = message.reason
        if message.state == "WAITING":
            self._requeue(trial, reason, by=trial.worker)
            return
        if message.state == "FAIL":
            reason = reason or "it failed"
            if self.stopped is None and self._policy.tries_again(message.number, reason):
                self._requeue(trial, f"tried again: {reason}", by=trial.worker)
                return
        if message.state == "PAUSED":
            self._pause(trial, by=trial.worker)
            return
        several = self.declaration.seeds > 1
        if several and message.state == "COMPLETE" and message.values and math.isfinite(message.values[0]):
            self._has_trained(trial, message.values[0])
            return
        verdict = trial.verdict if message.state == "PRUNED" else None
        self._end(trial, message.state, message.values, Ending(reason, message.traceback, verdict, trial.worker))

    def _end(self, trial: Trial, state: str, values: list[float] | None, end: Ending) -> None:
        """Have a trial's end entered in Optuna's study."""
        state, reason = self._policy.settle(state, values, end.reason, len(self.declaration.objective))
        if trial.repeat is not None and end.repeat is None:  # with another seed it does not train to its end
            repeat = trial.ended_repeat(state, None, reason, self._now)
            reason = f"with seed {repeat.repeat} of {self.declaration.seeds}: {reason}"
            end = replace(end, abandoned=True, repeat=repeat)
        trial.end = replace(end, reason=reason)
        trial.move(State.ENDING)
        self._do(ev.Tell(trial.run.number, state, values, ran_out(reason)))

    def _told(self, event: ev.Told) -> None:
        trial = self.trials.pop(event.number)
        self.exhausted = event.exhausted
        trial.move(State[event.state])
        end, run = trial.end or Ending(None), trial.run
        self._busy -= end.held
        run.state, run.traceback = event.state, end.traceback
        run.duration = trial.seconds(self._now) if end.held else run.duration
        run.verdict, run.reason = end.verdict, end.reason if end.verdict is None else None
        run.params, run.constraints = dict(event.params), dict(event.constraints)
        run.values = list(event.values) if event.state == "COMPLETE" and event.values else None
        if run.epoch == 0:
            run.last = run.value
        if run.best is None and run.value is not None and math.isfinite(run.value):
            run.best = run.value
        self._changed.add(run.number)
        if end.repeat is not None:
            self._keep_repeat(run, end.repeat)
        self._complete += run.state == "COMPLETE"
        self._trained = self._trained or run.has_trained
        if event.state == "COMPLETE" and end.repeat is None:
            self._learn_from(trial)
        blamed = self._policy.failed_for_parameters(run, trained=self._trained)
        self._effects += map(ev.Teach, blamed)
        self._limit(run)
        repeated = None if run.number in blamed else self._policy.repeated(run)
        if repeated is not None:
            self._refuse(repeated)
        self._settled(run, end.by, end.repeat)
        if end.abandoned:
            self._do(ev.EndFiles(copy.copy(run), self._objective.name))
        if end.abandoned and end.by is None and trial.repeat is not None:
            trial.repeat.state, trial.repeat.reason, trial.repeat.duration = run.state, run.reason, run.duration
            self._do(ev.EndFiles(trial.repeat, self._objective.name))
        if end.forgotten:
            self._acknowledge(ev.RemoveCheckpoints(copy.copy(run)))
        self._keep_best()

    def _limit(self, run: RunRecord) -> None:
        """A run has ended: the study may be spent by that."""
        if self._limits is None:
            return
        self._limits.ended(run)
        self._spend(self._limits.reached)
        doubt = self._limits.doubt() if run.state == "COMPLETE" and not self._doubted else None
        if doubt is not None:
            self._doubted = True
            self._show("message", f"--stop-when cannot hold so far: {doubt}")

    def _requeue(self, trial: Trial, reason: str | None, by: str | None = None) -> None:
        """Put a trial back into the queue; it will be run again under its name, from its checkpoint."""
        trial.end = Ending(reason, by=by)
        trial.move(State.ENDING)
        self._do(ev.Requeue(trial.run.number))

    def _requeued(self, event: ev.PutBack) -> None:
        trial = self.trials[event.number]
        trial.move(State.QUEUED)
        if trial.end is None:  # no worker has had it
            self._again.appendleft(event.number)
            return
        end, trial.end = trial.end, None
        requeue(trial.run, end.reason, trial.seconds(self._now), trial.training_run.epoch)
        if trial.repeat is not None:
            trial.repeat.attempt += 1
        self._busy -= 1
        trial.worker, trial.condemned, trial.verdict = None, None, None
        self._again.append(event.number)
        self._changed.add(event.number)
        self._settled(trial.run, end.by)

    def _settled(self, run: RunRecord, by: str | None, repeat: RepeatRecord | None = None) -> None:
        """A trial's end, or its return to the queue, is decided: it is answered and shown when it is on the disk.

        Args:
            repeat: its training with one of several seeds that ends with it.
        """
        ended = wire.Ended(run.state, run.why, run.duration if repeat is None else repeat.duration)
        replies = [ev.Reply(by, ended)] if by is not None else []
        self._acknowledge(*replies, ev.Show("ended", (copy.copy(run),)))

    def _keep_best(self) -> None:
        """Remove the weights of runs that are not among the best any more."""
        number = self.settings.kept_best
        if number is None:
            return
        spared = {run.number for run in self._objective.rank(self.runs.values())[:number]} | self._removed
        ended = [run for run in self.runs.values() if run.state in FINISHED and run.is_trained_here]
        surplus = [copy.copy(run) for run in ended if run.number not in spared]
        # A pruned run that can still be continued keeps them, which the file system alone knows.
        self._removed |= {run.number for run in surplus if run.state != "PRUNED"}
        if surplus:
            self._do(ev.RemoveWeights(surplus))

    # What other programs and people do.

    def _looked(self, event: ev.Looked) -> None:
        self._looking = False
        if not event.refused:
            self._database_answers()
        if event.added:
            self._do(ev.Learn(tuple(event.added)))
        for command in event.commands:
            self._obey(command)
        for number, (state, values) in event.ended.items():
            trial = self.trials.get(number)
            if trial is not None and trial.is_live:
                self._end(trial, state, values, Ending(ENDED_ELSEWHERE, abandoned=True))
            if number in self.paused:
                end = Ending(ENDED_ELSEWHERE, abandoned=True, held=False)
                self._drop_paused(self.paused[number], end, state, values)

    def _added(self, event: ev.Added) -> None:
        """Trials of other programs have ended: they have runs of ours, and rivals are compared with them."""
        news = []
        for run, values in event.runs:
            before = self.runs.get(run.number)
            if before is None or not before.added:
                news.append(run.name or format_number(run.number))
                self.runs[run.number] = run
                self._changed.add(run.number)
                if self.is_open:
                    self._changes.add(run, values, self.declaration.objective)
                    self._limit(run)
            if self._judge is not None and run.state == "COMPLETE":
                self._judge.completed({run.number: values})
        if news:
            self._show("message", f"{counted(len(news), 'trial')} added through Optuna: {listed(news)}")

    def _obey(self, command: Command) -> None:
        """Do what a person wants; a command about a run that has ended meanwhile does nothing."""
        if command.verb == "stop":
            self._show("message", f"stopping after the running epochs: {command.reason}")
            self._stop(command.reason, requeue=True)
        elif command.number is None:
            return
        elif command.number in self.paused:
            if command.verb == "prune":
                end = Ending(command.reason, abandoned=True, held=False)
                self._drop_paused(self.paused[command.number], end)
            else:  # revive: continue out of turn; protect: and to the end
                self._called[command.number] = command.verb in ("protect", "keep")
        elif command.verb == "revive":
            run = self.runs.get(command.number)
            if run is not None and run.state == "PRUNED":
                self._do(ev.Revive(run.number, run.directory))
        else:
            trial = self.trials.get(command.number)
            repeating = trial is not None and trial.state is State.REPEATING
            if trial is not None and (trial.worker is not None or repeating) and command.verb == "prune":
                trial.condemned = command.reason
            elif trial is not None and trial.worker is not None and command.verb in ("protect", "keep"):
                trial.shielded = True
                if self._schedule is not None:
                    self._schedule.never_pause(trial.run.number)

    def _revived(self, event: ev.Revived) -> None:
        run = self.runs[event.number]
        if event.problem is not None:
            self._show("message", f"{run.name} is not revived: {event.problem}")
            return
        self._add_trial()
        when = ", with the next start" if self._over or self.spent is not None else ""
        self._show("message", f"{run.name} will continue in a new trial{when}")

    def _add_trial(self) -> None:
        """One trial more than the study was to have, since it continues another one."""
        self.budget += 1
        self._declaration = self.declaration.replaced(trials=self.budget)

    def _troubled(self, event: ev.Troubled) -> None:
        self._show("message", event.text)

    # The database.

    def _acknowledge(self, *effects: ev.Reply | ev.Show | ev.RemoveCheckpoints) -> None:
        """Have everything written, and do this when it is on the disk: nobody is told of what may be lost, and no
        checkpoint goes that may still be needed."""
        refused = self.error is not None and not self.kept  # of such a study nothing is kept
        if self.preview or refused:
            self._effects += effects
            return
        self.kept = self._write_due = True
        self._unacknowledged += effects

    def _write(self) -> None:
        """Write what has changed, if nothing is being written."""
        if self._acknowledged is not None or not self.kept:
            return
        self._acknowledged, self._unacknowledged = self._unacknowledged, []
        self._in_store, self._write_due = True, False
        self._silent = self._now if self._silent is None else self._silent
        self._do(ev.Write(self._take_changes()))

    def _take_changes(self) -> ev.Changes:
        changes, self._changes = self._changes, ev.Changes()
        changes.runs = [copy.copy(self.runs[number]) for number in sorted(self._changed)]
        changes.declaration = self._declaration
        self._changed.clear()
        return changes

    def _written(self, _event: ev.Written) -> None:
        self._effects += self._acknowledged or ()
        self._acknowledged = None
        self._database_answers()

    def _unwritten(self, _event: ev.Unwritten) -> None:
        self._acknowledged = None  # whoever waits for it is being killed

    def _refuses(self, event: ev.Refuses) -> None:
        self._wait(event.said)

    def _wait(self, why: str) -> None:
        """Say that the study waits for its database, and why, unless that was said."""
        if why not in self._reasons and len(self._reasons) < REASONS:
            self._silent = self._now if self._silent is None else self._silent
            self._reasons.append(why)
            self._do(ev.Wait(self._wall + self._silent, why))

    def _database_answers(self) -> None:
        if self._reasons and self._silent is not None:
            self._do(ev.Wait(self._wall + self._silent, seconds=self._now - self._silent))
        self._reasons = []
        self._silent = self._now if self._looking or self._acknowledged is not None else None

    def _tick(self, _event: ev.Tick) -> None:
        if self._changed or self._changes:
            self._write()
        if self._in_store and not self._looking and not self._over:
            beat = self._now - self._beaten >= BEAT_SECONDS
            if beat:
                self._beaten = self._now
            self._looking = True
            self._silent = self._now if self._silent is None else self._silent
            running = [number for number, trial in self.trials.items() if trial.is_live] if beat else []
            running += self.paused if beat else ()
            self._do(ev.ReadNews(frozenset(running), beat))
        if not self._reasons and self._silent is not None and self._now - self._silent > SILENT_SECONDS:
            self._wait("it does not answer" if self.is_open else "the study is not open yet")
        self._end_late()
        for worker in list(self.workers.by_name.values()):
            if worker.exit is not None and self._now - worker.exited > UNANSWERED_SECONDS:
                self._gone(worker)
        if self._now >= self._end_by:
            self._end_by = math.inf
            for trial in self.trials.values():
                self._kill(trial.worker)
        if self._now >= self._leave_by:
            self._leave_by = self._now + LEAVE_SECONDS
            if self._killed:  # an executor that cannot even end its workers is not waited for
                for worker in list(self.workers.by_name.values()):
                    self._exited(ev.Exited(worker.name, "lost", killed=True))
                    self.workers.remove(worker.name)
            self._kill_all()
            self._killed = True

    def _late(self, trial: Trial) -> str | None:
        """Why a trial has trained for as long as the study allows; None if it has not."""
        most = self.declaration.max_trial_time
        if most is None or trial.seconds(self._now) - trial.of_other_seeds < most:
            return None
        return f"its --max-trial-time of {most:g} s is over"

    def _end_late(self) -> None:
        """End the trials that have said nothing, or trained, for longer than the study allows, and their workers."""
        for trial in list(self.trials.values()):
            worker = self.workers.by_name.get(trial.worker or "")
            waits = worker is not None and worker.owed  # for us, so that it cannot speak
            why = self._overdue(trial) if trial.is_live and not waits else None
            if why is not None:
                self._kill(trial.worker)
                self._end(trial, "FAIL", None, Ending(why, abandoned=True))

    def _overdue(self, trial: Trial) -> str | None:
        """Why a trial is not waited for any more; None if it is."""
        silent, most = self.declaration.stall_timeout, self.declaration.max_trial_time
        if silent is not None and self._now - trial.heard > silent:
            return f"its worker reported nothing for {silent:g} s, its --stall-timeout"
        if most is None:
            return None
        since = trial.hurried
        if since is None:  # until its epoch has ended, which takes as long as others have, it cannot be told
            earlier = trial.earlier - trial.of_other_seeds
            left = most - earlier if earlier < most else most  # an attempt that begins late needs its time
            since = trial.began + left + trial.silence
        over = self._now - since
        return f"{self._late(trial)}, and train had not returned a minute later" if over > FINISH_SECONDS else None

    # How the study ends.

    def _signal(self, event: ev.Signal) -> None:
        self._signals += 1
        if self._signals == 1 and not self._over:
            self._show("message", "stopping after the running epochs; Ctrl-C again stops at once")
            self._stop(event.name, requeue=True)
        else:
            self._kill_all()

    def _kill(self, name: str | None) -> None:
        """Kill a worker, unless it is the process of the study itself."""
        worker = self.workers.by_name.get(name or "")
        if worker is not None and worker.slot is not None:
            worker.killed, worker.asks = True, False
            self._idle.pop(worker.name, None)
            self._do(ev.Kill(worker.name))

    def _kill_all(self) -> None:
        for name in list(self.workers.by_name):
            self._kill(name)

    def _stop(self, why: str, *, requeue: bool) -> None:
        """Begin no new trial; `requeue`: end the running ones at their next epoch, to be run again."""
        self.stopped = self.stopped or why
        self._requeues = self._requeues or requeue
        while self._repeating:
            self._leave_repeating(self.trials[self._repeating.popleft()])
        for worker in self.workers.by_name.values():
            if worker.asks:
                self._idle[worker.name] = None  # also one that waits for the worker that it relieves

    def _refuse(self, error: SweepError) -> None:
        """The study cannot be, or go on: it ends with this error, and nothing that runs is lost."""
        if self.error is None:
            self.error = error
            self._end_by = self._now + LEAVE_SECONDS
        self._stop("refused", requeue=True)

    def _refused(self, event: ev.Refused) -> None:
        self._refuse(event.error)
        if event.lost:  # another coordinator's workers may be at the same runs
            self._kill_all()
        if not self.is_open:
            self._database_answers()
        rejected = wire.Rejected(event.error.as_dict())
        waiting = {worker for worker, _ in self._greeted}
        if event.worker is not None:
            waiting.add(event.worker)
        if event.unwritten and self._acknowledged is not None:
            waiting |= {reply.worker for reply in self._acknowledged if isinstance(reply, ev.Reply)}
            self._acknowledged = []
        self._greeted = []
        self._effects += [ev.Reply(worker, rejected) for worker in sorted(waiting)]

    def _refuse_said(self, worker: str, message: wire.Refuse) -> None:
        if not self._loads_anew(worker):
            self._refuse(SweepError.from_dict(message.error))
        self._do(ev.Reply(worker, wire.Done()))

    def _crashed(self, event: ev.Crashed) -> None:
        self.crash = self.crash or event.error
        self._refuse(SweepError(f"The coordinator failed: {type(event.error).__name__}: {event.error}"))
        self._greeted = []
        self._effects += [ev.Reply(worker.name, wire.FAILED) for worker in self.workers.by_name.values() if worker.owed]

    def _proceed(self) -> None:
        """Do what is due after any event."""
        if self._now >= self._deadline and (self.trials or self.left > 0) and self.stopped is None:
            self._show("message", "stopping after the running epochs: the timeout is over")
            self._stop(f"its timeout of {self.declaration.timeout:g} s is over", requeue=True)
        self._assign()
        if self.paused and self._is_spent():
            self._prune_paused()
        if self._write_due:
            self._write()
        if not self._over and self._has_ended():
            self._over = True
            self._leave_by = self._now + LEAVE_SECONDS
            for name in [worker.name for worker in self.workers.by_name.values() if not worker.heard]:
                self._kill(name)
        if self._finished:
            return
        writing = self._acknowledged is not None or self._write_due
        if self._over and self.workers.is_empty and (not writing or self.crash is not None):
            self._finished = True
            changes = self._take_changes()
            ended = self.exhausted or (self.spent is not None and self.stopped is None)
            if ended and self.is_open and not self.trials and self._begun:
                changes.declaration = self.declaration.replaced(trials=self._begun)  # there is nothing more to try
            refused = self.error is not None and self.crash is None
            self._do(ev.Finish(changes, list(self.runs.values()), refused))

    def _is_spent(self) -> bool:
        """Whether the study has done all that it was to do, rather than being stopped; paused runs may be left."""
        ready = self.is_open and self.error is None and self.crash is None and self.stopped is None
        return ready and not self._over and not self._busy and self._nothing_begins()

    def _has_ended(self) -> bool:
        """Whether nothing runs and nothing will."""
        if self.crash is not None:
            return True
        if not self.is_open:  # no worker has loaded the study: nothing runs that could be waited for
            return self.stopped is not None
        if self._sampling or self._busy or not self._nothing_begins():
            return False
        return not any(trial.state is State.ENDING for trial in self.trials.values())


def _broken(objective: str | None, step: int, value: float = math.nan) -> str:
    """Why a run stops that has reported NaN or infinity: the objective, or another loss or metric."""
    if objective is None:
        return f"a loss or metric is NaN or infinite at epoch {step + 1}"
    return f"{objective} is {'NaN' if math.isnan(value) else value} at epoch {step + 1}"


_HANDLERS: dict[type, Callable[[StudyMachine, Any], None]] = {
    ev.Said: StudyMachine._said,
    ev.HungUp: StudyMachine._hung_up,
    ev.Exited: StudyMachine._exited,
    ev.Room: StudyMachine._room,
    ev.Signal: StudyMachine._signal,
    ev.Tick: StudyMachine._tick,
    ev.Opened: StudyMachine._opened,
    ev.Refused: StudyMachine._refused,
    ev.Crashed: StudyMachine._crashed,
    ev.Sampled: StudyMachine._sampled,
    ev.Answered: StudyMachine._answered,
    ev.Named: StudyMachine._named,
    ev.Constrained: StudyMachine._constrained,
    ev.Judged: StudyMachine._judged,
    ev.Told: StudyMachine._told,
    ev.PutBack: StudyMachine._requeued,
    ev.Paused: StudyMachine._has_paused,
    ev.Added: StudyMachine._added,
    ev.Revived: StudyMachine._revived,
    ev.Written: StudyMachine._written,
    ev.Unwritten: StudyMachine._unwritten,
    ev.Looked: StudyMachine._looked,
    ev.Refuses: StudyMachine._refuses,
    ev.Troubled: StudyMachine._troubled,
}

_FROM_WORKERS: dict[type, Callable[[StudyMachine, str, Any], None]] = {
    wire.Hello: StudyMachine._hello,
    wire.Ask: StudyMachine._ask,
    wire.Refuse: StudyMachine._refuse_said,
}

_FROM_TRIALS: dict[type, Callable[[StudyMachine, Trial, Any], None]] = {
    wire.Suggest: StudyMachine._suggest,
    wire.Begin: StudyMachine._start,
    wire.BeginTraining: StudyMachine._begin_training,
    wire.Resume: StudyMachine._resume,
    wire.Epoch: StudyMachine._epoch,
    wire.Report: StudyMachine._report,
    wire.ShouldPrune: StudyMachine._should_prune,
    wire.Attribute: StudyMachine._attribute,
    wire.Imported: StudyMachine._imported,
    wire.Stop: StudyMachine._stop_said,
    wire.End: StudyMachine._end_said,
}
