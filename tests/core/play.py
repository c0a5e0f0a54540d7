"""A study played without processes: the core with simulated workers, sampler, database and people, and an oracle.

Each sequence of events is drawn from a seed: workers that load, refuse their study, train, report, resume, fall silent
and die in every state, answers that come late, a sampler that has nothing more to propose, a database that refuses for
a while or for ever, runs that pause and continue, and take too much room meanwhile, trials that are trained with
several seeds, coordinators that are suspended for
longer than their lease, a study that somebody else claims, clocks that jump, one to three Ctrl-Cs, commands, trials of
other programs, faults of ours, and coordinators that are killed and started again on what was written, perhaps without
a run that somebody has deleted meanwhile, or with another pruner. Then the world calms down: every answer comes,
workers go on, and the study must end.
The oracle is that of the project:

A. what was acknowledged is in the database; B. a trial ends once, and one worker has it at a time; C. as many trials
begin as the study has; D. a run keeps its epochs in order; E. nothing is left running; F. no state is left by an
unlisted transition, which the core refuses.
"""

import copy
import random
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from sweep.core import events as ev
from sweep.core.limits import Limits
from sweep.core.pruners import Judge, Verdict
from sweep.core.pruners.asha import Asha, Schedule
from sweep.core.study import StudyMachine
from sweep.core.trial import State
from sweep.declaration import Declaration
from sweep.errors import StudyError
from sweep.objective import Objective
from sweep.options import Settings
from sweep.store import Command
from sweep.store.records import FINISHED, RepeatRecord, RunRecord, Training
from sweep.wire import messages as wire

DECLARATION = Declaration("study", ["loss"], ["minimize"], 4, pruner="nop", seed=7, hash="1" * 64)
TIMED = DECLARATION.replaced(timeout=1000.0)
LIMITED = DECLARATION.replaced(budget_epochs=5, stop_when=["no better in 2 trials", "loss < 0.05"])
HELLO = wire.Hello(DECLARATION.as_dict(), None, wire.PROTOCOL)
EPOCHS = 3
CALM_STEPS = 3000
SIZE = 10  # bytes of a paused run's checkpoint
HARM = [
    "die", "die", "crash", "signals", "command", "command", "refuse", "accept", "suspend", "claim", "kill", "delete",
    "silence", "fenced", "room", "clock", "fault", "stop",
]  # fmt: skip
EVENTS = [kind for kind in ev.Event.__args__ if kind is not ev.Said]
HAPPENINGS = [kind.__name__ for kind in [*EVENTS, *wire.Message.__args__]]
"""What can happen to a study: events, and the messages of workers."""

LIVE = [State.QUEUED, State.SAMPLING, State.BUILDING, State.TRAINING, State.PAUSED, State.REPEATING, State.ENDING]
NEVER = {(state.name, "Opened"): "a study is opened before it has trials" for state in LIVE}
NEVER["PAUSED", "Judged"] = "Optuna's pruners pause nothing"
"""The pairs of a trial's state and an event that no study comes to, and why."""


class Broken(AssertionError):
    """The oracle has found something."""


class Fault(Exception):
    """A fault of ours, put in to see that the study ends all the same."""


class Lost(StudyError):
    """The study is another coordinator's by now, or may be."""


class HalfPruned(Judge):
    """Stops each second trial after its second epoch."""

    def verdict(self, number: int, values: Any) -> Verdict | None:
        if number % 2 and len(values) > 1:
            return Verdict("threshold", "loss", values[max(values)], max(values), 0.0)
        return None


JUDGES: dict[str, Callable[[], Judge | None]] = {
    "half": HalfPruned,
    "optuna": lambda: None,
    "asha": lambda: Schedule(Asha(2, [1, 2]), Objective("loss")),
    "other rungs": lambda: Schedule(Asha(2, [2]), Objective("loss")),
}


@dataclass
class Database:
    """What has been written: all that is left of a coordinator that is killed."""

    runs: dict[int, RunRecord] = field(default_factory=dict)
    metrics: dict[int, set[int]] = field(default_factory=dict)
    repeats: dict[int, list[RepeatRecord]] = field(default_factory=dict)
    next_number: int = 0
    owner: int = 0  # the coordinator that has the study: each has a number of its own

    def write(self, owner: int, changes: ev.Changes) -> None:
        """One transaction of a coordinator, which sees that the study is still its own.

        Raises:
            Lost: it is not.
        """
        if owner != self.owner:
            raise Lost("another coordinator has taken the study")
        for repeat in changes.repeats:
            known = self.repeats.setdefault(repeat.repeat_of, [])
            if repeat.repeat != len(known) + 1:
                raise Broken(f"B: seed {repeat.repeat} of trial {repeat.repeat_of} is written after {len(known)}")
            known.append(repeat)
        for number in changes.restarted:
            self.metrics.pop(number, None)
        for run in changes.runs:
            before = self.runs.get(run.number)
            if before is not None and before.state in FINISHED and before.state != run.state:
                raise Broken(f"B: trial {run.number} was {before.state} and is written as {run.state}")
            if list(run.repeats) != self.repeats.get(run.number, []):
                raise Broken(f"A: run {run.number} has other repeats than are written")
            self.runs[run.number] = copy.copy(run)
            self.next_number = max(self.next_number, run.number + 1)
        for number, epoch, _, _ in changes.metrics:
            epochs = self.metrics.setdefault(number, set())
            if epoch != len(epochs):
                raise Broken(f"D: epoch {epoch} of trial {number} is written after {sorted(epochs)}")
            epochs.add(epoch)
        for run in changes.runs:
            if not run.added and run.epoch != len(self.metrics.get(run.number, ())):
                raise Broken(f"D: run {run.number} is written with {run.epoch} epochs of {self.metrics}")


@dataclass
class Hand:
    """A simulated worker: what it says next, and whether it waits for an answer."""

    name: str
    next: str = "hello"
    waits: bool = False
    alive: bool = True
    number: int = -1
    epoch: int = 0
    attempt: int = 0
    plain: bool = False  # its objective is one of plain Optuna, which reports
    advice: wire.Advice | None = None


def is_continuable(run: RunRecord) -> bool:
    """Whether a run was paused when its study was spent, and has its checkpoint."""
    verdict = run.verdict if run.state == "PRUNED" else None
    return verdict is not None and bool(verdict.details.get("pausable"))


class World:
    """One study, played."""

    def __init__(self, seed: int, coverage: Counter[tuple[str, str]] | None = None) -> None:
        self.chance = random.Random(seed)
        self.refusals = random.Random(seed)
        self.coverage = coverage if coverage is not None else Counter()
        self.database = Database()
        self.here = self.chance.random() < 0.2  # no executor: the process itself trains
        self.settings = Settings(
            trials=DECLARATION.trials,
            workers=None if self.here else self.chance.choice([None, 1, 2, 3]),
            retries=self.chance.choice([0, 0, 1]),
            keep=self.chance.choice(["all", "best:1"]),
        )
        self.declaration = self.chance.choice([DECLARATION, DECLARATION, DECLARATION, TIMED, LIMITED])
        self.declaration = self.declaration.replaced(
            stall_timeout=self.chance.choice([None, 60.0]), max_trial_time=self.chance.choice([None, None, 100.0])
        )
        if seed % 3 == 0:
            self.declaration = self.declaration.replaced(paused_limit=2 * SIZE - 1)
        if seed % 4 == 1:
            self.declaration = self.declaration.replaced(repeats=3)
        self.preview = self.chance.random() < 0.05
        self.pruner = self.chance.choice(["half", "half", "optuna", "asha", "asha"])
        self.now = 0.0
        self.ended: Counter[int] = Counter()  # how often each trial was acknowledged as ended
        self.deleted: set[int] = set()
        self.begin()

    # The coordinator.

    def begin(self) -> None:
        """A coordinator starts, on what the database has."""
        self.study = StudyMachine(self.settings, preview=self.preview)
        self.sampler: deque[Any] = deque()
        self.journal: deque[Any] = deque()
        self.executor: deque[Any] = deque()
        self.hands: dict[str, Hand] = {}
        self.dead: set[str] = set()
        self.finished = False
        self.waits: set[str] = set()  # the reasons that were said
        self.refuses = self.for_ever = False
        self.abandoned = False  # by a second Ctrl-C, so that what was to be written is not
        self.left = ev.Changes()  # what was abandoned
        self.lost = False  # the lease, as the journal has found
        self.suspended = False  # for longer than the lease
        self.owner = self.database.owner = self.database.owner + 1
        self.fault = False
        self.exhausted = False
        self.revivals: deque[int] = deque()  # pruned trials that are in Optuna's queue again
        self.revived: set[int] = set()
        self.late = 0  # runs that were revived while the workers left, so that they continue at the next start
        self.sampled = max(self.database.next_number, 0)
        self.kept = bool(self.database.runs)
        self.existing = bool(self.database.runs)
        self.others: list[int] = []
        if self.here:
            self.hands["here"] = Hand("here")
        else:
            self.apply(ev.Room(2))

    def kill(self) -> None:
        """The coordinator is killed, and its workers end; a new one starts."""
        self.begin()

    def raise_budget(self) -> None:
        """The study has ended, and is started once more, with more trials."""
        self.declaration = self.declaration.replaced(trials=self.study.budget + 3)
        self.begin()

    def delete(self) -> None:
        """The coordinator is killed, and somebody deletes a run before a new one starts. No number comes again."""
        if self.database.runs:
            number = self.chance.choice(sorted(self.database.runs))
            del self.database.runs[number]
            self.database.metrics.pop(number, None)
            self.database.repeats.pop(number, None)
            self.deleted.add(number)
        self.begin()

    def apply(self, event: ev.Event) -> None:
        """Have an event applied, and take its effects."""
        happens = type(event.message if isinstance(event, ev.Said) else event).__name__
        self.coverage["", happens] += 1
        trials = [*self.study.trials.values(), *self.study.paused.values()]
        for state in {trial.state for trial in trials if trial.state is not None}:
            self.coverage[state.name, happens] += 1
        spent = self.study.spent
        try:
            effects = self.study.apply(event, self.now)
        except ValueError as error:
            raise Broken(f"F: {error}") from error
        if self.finished and any(isinstance(effect, ev.Finish) for effect in effects):
            raise Broken("E: the study has finished twice")
        for effect in effects:
            if spent and isinstance(effect, ev.Sample) and effect.number is None:
                raise Broken(f"C: a trial begins although {spent}")
            self.take(effect)
        self.check()

    def take(self, effect: ev.Effect) -> None:
        """An effect is on its way."""
        if isinstance(effect, ev.Reply):
            self.reply(effect)
        elif isinstance(effect, ev.Launch | ev.Kill):
            self.executor.append(effect)
        elif isinstance(effect, ev.Write | ev.ReadNews):
            self.journal.append(effect)
        elif isinstance(effect, ev.Finish):
            self.finish(effect)
        elif isinstance(effect, ev.Wait):
            if effect.why in self.waits or (effect.seconds is not None and not self.waits):
                raise Broken("the study says twice that it waits for one reason, or that it does so no longer")
            self.waits = {*self.waits, effect.why} if effect.seconds is None else set()
        elif isinstance(effect, ev.Show):
            self.show(effect)
        elif isinstance(effect, ev.RemoveCheckpoints):
            written = self.database.runs.get(effect.run.number)
            kept = not (self.preview or self.withdrawn)
            if kept and (written is None or written.state not in FINISHED):
                raise Broken(f"A: the checkpoint of trial {effect.run.number} goes, and written is {written}")
            self.coverage["removed", "checkpoint"] += 1
        elif not isinstance(effect, ev.EndFiles | ev.RemoveWeights):
            self.sampler.append(effect)

    # The oracle.

    def check(self) -> None:
        """What must hold after every event."""
        study = self.study
        if study.crash is not None and not isinstance(study.crash, Fault):
            raise study.crash
        holders: set[str] = set()
        for trial in study.trials.values():
            if trial.worker in holders:
                raise Broken(f"B: worker {trial.worker} has several trials")
            if trial.worker is not None:
                holders.add(trial.worker)
            if trial.state is not State.ENDING and trial.is_live != (trial.worker is not None):
                raise Broken(f"B: trial {trial.run.number} is {trial.state} with {trial.worker}")
            if trial.run.state in FINISHED:
                raise Broken(f"B: trial {trial.run.number} has ended and is {trial.state}")
        if study.is_open and len(study.runs) > study.budget:
            begun = sum(not run.added for run in study.runs.values())
            if begun > study.budget:
                raise Broken(f"C: {begun} trials have begun of {study.budget}")

    def show(self, effect: ev.Show) -> None:
        """People are shown something."""
        if effect.method != "ended" or self.preview or self.withdrawn:
            return
        shown, written = effect.arguments[0], self.database.runs.get(effect.arguments[0].number)
        late = written is None or written.attempt < shown.attempt  # a paused one may have gone on by now
        if late or (shown.state in FINISHED and written is not None and written.state != shown.state):
            raise Broken(f"A: trial {shown.number} is shown as {shown.state}, and written is {written}")

    def reply(self, reply: ev.Reply) -> None:
        """A worker is answered."""
        hand = self.hands.get(reply.worker)
        answer = reply.answer
        if isinstance(answer, wire.Ended | wire.Started) and not (self.preview or self.withdrawn):
            number = hand.number if hand is not None else -1
            run = self.database.runs.get(number)
            if hand is not None and hand.alive and isinstance(answer, wire.Ended):
                repeated = answer.state in ("WAITING", "COMPLETE") and number in self.database.repeats
                if repeated and run is not None and run.state not in FINISHED:  # it goes on with another seed
                    answer = wire.Ended("WAITING", None, None)
                begun_again = answer.state in ("WAITING", "PAUSED") and run is not None and run.attempt > 0
                begun_again = begun_again or (repeated and answer.state == "WAITING")
                if run is None or (run.state != answer.state and not begun_again):
                    raise Broken(f"A: trial {number} is acknowledged as {answer.state}, and written is {run}")
                if answer.state in FINISHED:
                    self.ended[number] += 1
                    if self.ended[number] > 1:
                        raise Broken(f"B: trial {number} has ended twice")
            if hand is not None and hand.alive and isinstance(answer, wire.Started) and (run is None or not run.name):
                raise Broken(f"A: run {number} has its name, and nothing is written")
        if hand is None or not hand.alive:
            return
        if not hand.waits:
            raise Broken(f"worker {reply.worker} is answered {answer}, and has asked nothing")
        hand.waits = False
        self.go_on(hand, answer)

    @property
    def withdrawn(self) -> bool:
        """Whether the study was refused before anything of it was kept, so that nothing of it will be."""
        return self.study.error is not None and not self.study.kept

    def go_on(self, hand: Hand, answer: wire.Answer) -> None:
        """What a worker does after an answer."""
        if isinstance(answer, wire.NoMore | wire.Rejected):
            hand.next = "leave"
        elif isinstance(answer, wire.Fenced):
            hand.next, hand.number = "ask", -1
        elif isinstance(answer, wire.Welcome):
            hand.next = "ask"
        elif isinstance(answer, wire.Assignment):
            others = [one for one in self.hands.values() if one.alive and one is not hand]
            if any(one.number == answer.number and self.has(one) for one in others):
                raise Broken(f"B: trial {answer.number} is given to two workers")
            hand.next, hand.number, hand.epoch, hand.attempt = "suggest", answer.number, 0, answer.attempt
            hand.plain, hand.advice = self.chance.random() < 0.2, None
        elif isinstance(answer, wire.Advice):
            hand.advice = answer
            more = "report" if hand.plain else "epoch"
            hand.next = more if answer.verdict == "go" and hand.epoch < EPOCHS else "end"
        elif isinstance(answer, wire.Ended):
            hand.next, hand.number = "ask", -1
        elif isinstance(answer, wire.Started):
            hand.next = "report" if hand.plain else "begin"
        elif not isinstance(answer, wire.Done) or hand.next not in ("start", "end"):  # else it has only added something
            after = {"suggest": "start", "begin": "resume" if hand.attempt else "epoch", "resume": "epoch"}
            hand.next = {**after, "report": "should", "refuse": "leave"}[hand.next]

    def has(self, hand: Hand) -> bool:
        """Whether the core takes a trial for a worker's."""
        trial = self.study.trials.get(hand.number)
        return trial is not None and trial.worker == hand.name and trial.is_live

    def finish(self, finish: ev.Finish) -> None:
        """The study has ended."""
        self.finished = True
        if self.study.crash is None and any(trial.worker is not None for trial in self.study.trials.values()):
            raise Broken("E: a trial is with a worker at the end")
        killed = {effect.worker for effect in self.executor}  # as soon as the executor comes to it
        if not self.here and any(hand.alive and hand.name not in killed for hand in self.hands.values()):
            raise Broken("E: a worker lives at the end")
        if self.kept and not (finish.refused or self.refuses or self.fault or self.lost):
            for effect in self.journal:  # what it was asked for before a crash
                self.left = self.left.then(effect.changes) if isinstance(effect, ev.Write) else self.left
            with suppress(Lost):
                self.in_database(self.left.then(finish.changes))
            self.left = ev.Changes()
        self.journal.clear()
        study = self.study
        if study.error is None and study.stopped is None and study.is_open:
            ours = [run for run in study.runs.values() if not run.added]
            wanted = study.budget - self.late
            enough = len(ours) == wanted or ((study.exhausted or study.spent) and len(ours) < wanted)
            if not enough or any(run.state not in FINISHED for run in ours):
                raise Broken(f"C: finished with {[(run.number, run.state) for run in ours]} of {study.budget}")
            for run in ours:
                seeds = [one.value for one in run.of_value]
                wanted_seeds = self.declaration.repeats or 1
                if run.values == [0.5] and run.worker and wanted_seeds > 1 and seeds != [0.5] * wanted_seeds:
                    raise Broken(f"C: run {run.number} is COMPLETE, and was trained with {len(seeds)} seeds")
                written = not (self.preview or self.abandoned or self.loses)
                if written and self.database.runs[run.number].state != run.state:
                    raise Broken(f"A: run {run.number} is not written as it ended")

    # What the world does.

    def step(self, *, calm: bool = False) -> None:
        """One thing happens; `calm`: nothing that harms."""
        actions: list[tuple[float, Any]] = [(1.0, self.tick)]
        if self.sampler:
            actions.append((4.0, self.sample))
        if self.journal and not (self.refuses and not self.abandons):
            actions.append((4.0, self.write))
        if self.executor:
            actions.append((4.0, self.execute))
        able = [hand for hand in self.hands.values() if hand.alive and not hand.waits]
        if able:
            actions.append((8.0, lambda: self.say(self.chance.choice(able))))
        actions.append((0.2, self.ask_for) if calm else (1.0, self.harm))
        weights = [weight for weight, _ in actions]
        self.chance.choices([action for _, action in actions], weights)[0]()

    def tick(self) -> None:
        """Time passes, sometimes a lot of it."""
        self.now += self.chance.choice([0.1, 0.1, 0.1, 1.0, 30.0])
        self.apply(ev.Tick())

    def sample(self) -> None:
        """The sampling thread does the next thing."""
        effect = self.sampler.popleft()
        if isinstance(effect, ev.SetAttribute):
            self.apply(ev.Constrained(effect.number, {"size": 1.0}))
            self.apply(ev.Answered(effect.worker, wire.Done()))
        elif (event := self.sampled_event(effect)) is not None:
            self.apply(event)

    def sampled_event(self, effect: Any) -> ev.Event | None:
        """What the sampling thread answers."""
        if isinstance(effect, ev.Open):
            return self.opened()
        if isinstance(effect, ev.Sample):
            first, *others = self.trials(effect)
            self.sampler.extendleft(reversed(others))  # other events may come between them
            return first
        if isinstance(effect, ev.Sampled):
            return effect
        if isinstance(effect, ev.Propose):
            if self.chance.random() < 0.02:
                return ev.Refused(StudyError("another space"), effect.worker)
            unfit = self.chance.random() < 0.1
            return ev.Answered(effect.worker, wire.NoValue("99") if unfit else wire.Suggestion(0.5))
        if isinstance(effect, ev.Name):
            name = effect.name or f"mlp-t{effect.number:04}"
            return ev.Named(effect.worker, effect.number, name, effect.family, {"x": 0.5}, None)
        if isinstance(effect, ev.Tell):
            trial = self.study.trials[effect.number]
            params = dict(trial.run.params)
            return ev.Told(effect.number, effect.state, effect.values, params, {}, exhausted=self.exhausted)
        if isinstance(effect, ev.Requeue):
            return ev.PutBack(effect.number)
        if isinstance(effect, ev.Pause):
            return ev.Paused(effect.number, SIZE)
        if isinstance(effect, ev.Judgement):
            stops = self.chance.random() < 0.1
            verdict = Verdict("threshold", "loss", effect.value, effect.step, 0.0) if stops else None
            return ev.Judged(effect.worker, effect.number, verdict)
        if isinstance(effect, ev.Revive):
            if effect.number in self.revived:
                return None
            if self.chance.random() < 0.5:
                return ev.Revived(effect.number, "its checkpoint is gone")
            self.revived.add(effect.number)
            self.revivals.append(effect.number)
            self.late += self.study.over
            return ev.Revived(effect.number)
        if isinstance(effect, ev.Learn):
            added = [RunRecord(number, state="COMPLETE", values=[1.0]) for number in effect.numbers]
            for run in added:
                run.reason = "added through Optuna, not trained by sweep"
            return ev.Added([(run, {0: 1.0}) for run in added])
        return None

    def trials(self, effect: ev.Sample) -> list[ev.Sampled]:
        """Trials are made, or one is taken from the queue, or there is none."""
        if effect.number is not None:
            return [ev.Sampled(effect.number, fresh=False, has_checkpoints=True, exhausted=self.exhausted)]
        if not self.revivals and effect.continues is None and self.chance.random() < 0.01:
            self.exhausted = True
            return [ev.Sampled(None, exhausted=True)]
        self.coverage["continued", "since it is due again"] += effect.continues is not None
        count = (
            1 if self.revivals or effect.continues is not None else self.chance.randint(1, effect.most)
        )  # the queue may have some, one by one
        scheduled = effect.continues is not None
        queued = self.revivals.popleft() if self.revivals and not scheduled else None
        revives = effect.continues if scheduled else queued
        numbers, self.sampled = range(self.sampled, self.sampled + count), self.sampled + count
        if any(number in self.deleted for number in numbers):
            raise Broken(f"C: a deleted number comes again, of {list(numbers)}")
        if self.kept and not self.loses:  # they are claimed in the database
            self.database.runs |= {number: RunRecord(number) for number in numbers}
            self.database.next_number = self.sampled
        return [
            ev.Sampled(
                number,
                number,
                revives=revives,
                scheduled=scheduled,
                exhausted=self.exhausted,
                more=number < numbers[-1],
            )
            for number in numbers
        ]

    def opened(self) -> ev.Event:
        """A study is opened on what the database has."""
        if self.chance.random() < 0.02:
            return ev.Refused(StudyError("another coordinator has it"))
        if self.chance.random() < 0.1:  # it goes on with another pruner
            self.pruner = self.chance.choice(["half", "optuna", "asha", "other rungs"])
        runs = [copy.deepcopy(run) for run in self.database.runs.values()]
        waiting = {"PAUSED"} if self.pruner in ("asha", "other rungs") else set()
        again = [run.number for run in runs if run.state not in FINISHED | waiting]
        for run in runs:
            if run.state == "RUNNING":
                run.attempt += 1
            if run.number in again:
                run.state = "WAITING"
        ours, revived = [run for run in runs if not run.added], {run.revives for run in runs}
        return ev.Opened(
            declaration=self.declaration,
            runs=runs,
            again=again,
            changed=frozenset(again),
            begun=len(ours),
            exhausted=False,
            marked=0,
            judge=JUDGES[self.pruner](),
            logdir="/runs",
            kept=self.existing,
            limits=Limits(self.declaration, runs),
            sizes={run.number: SIZE for run in runs if run.state == "PAUSED"},
            continuable=frozenset(run.number for run in runs if run.number not in revived and is_continuable(run)),
        )

    def write(self) -> None:
        """The journal does the next thing, for which it may have to wait."""
        if self.refusals.random() < 0.05 and not (self.fault or self.finished):
            self.apply(ev.Refuses("locked"))
        effect = self.journal.popleft()
        if isinstance(effect, ev.Write):
            if self.fault or self.finished:  # the journal is what has failed, or it is closed, and answers nothing
                return
            if self.refuses and not self.lost:
                self.abandoned, self.left = True, self.left.then(effect.changes)
                self.apply(ev.Unwritten())
                return
            try:
                self.in_database(self.left.then(effect.changes))
                self.kept, self.left = True, ev.Changes()
            except Lost as error:
                self.lost = True
                self.apply(ev.Refused(error, unwritten=True, lost=True))
            self.apply(ev.Written())
            return
        if self.loses and self.kept and not (self.lost or self.refuses or self.fault):  # at its next beat
            self.lost = True
            self.apply(ev.Refused(Lost("the lease is lost"), lost=True))
        if self.fault or self.lost or self.refuses:
            self.apply(ev.Looked())
            return
        added: list[int] = []
        if effect.beat and self.kept and self.chance.random() < 0.02 and not self.others:
            added = [self.sampled]
            self.sampled += 1
            self.others += added
        ended = {}
        if effect.running and self.chance.random() < 0.03:
            ended = {self.chance.choice(sorted(effect.running)): ("COMPLETE", [0.25])}
        self.apply(ev.Looked([], added, ended))

    @property
    def loses(self) -> bool:
        """Whether the next transaction finds that the study is not, or may not be, this coordinator's any more."""
        return self.lost or self.suspended or self.owner != self.database.owner

    def in_database(self, changes: ev.Changes) -> None:
        """Write, unless this coordinator was suspended for longer than its lease.

        Raises:
            Lost: it was, or the study is another one's.
        """
        if self.suspended:
            raise Lost("this coordinator was suspended")
        self.database.write(self.owner, changes)

    def execute(self) -> None:
        """The executor does the next thing."""
        effect = self.executor.popleft()
        if isinstance(effect, ev.Launch):
            if self.chance.random() < 0.03:
                self.apply(ev.Exited(effect.worker, "not started: no memory", killed=True))
            else:
                self.hands[effect.worker] = Hand(effect.worker)
        elif effect.worker in self.hands and self.hands[effect.worker].alive:
            self.die(self.hands[effect.worker], "killed by SIGKILL", killed=True)

    def die(self, hand: Hand, how: str, *, killed: bool) -> None:
        """A worker's process ends; its connection may end before or after it is collected."""
        hand.alive = False
        exited, hung_up = ev.Exited(hand.name, how, killed=killed), ev.HungUp(hand.name)
        worker = self.study.workers.by_name.get(hand.name)
        connected = worker is not None and worker.connected
        events: list[ev.Event] = [exited, hung_up] if self.chance.random() < 0.5 else [hung_up, exited]
        if hand.name == "here":
            events = [hung_up]
        for event in events:
            if connected or event is exited:
                self.apply(event)

    def say(self, hand: Hand) -> None:
        """A worker does what is next."""
        message: wire.Message
        number = hand.number
        match hand.next:
            case "hello":
                if self.chance.random() < 0.01:
                    message, hand.next = wire.Refuse(StudyError("no room is left").as_dict()), "refuse"
                else:
                    message = HELLO
            case "ask":
                message = wire.Ask(outgrown=self.chance.random() < 0.1 and not self.here)
            case "suggest":
                message = wire.Suggest(number, "x", "a domain")
            case "start" | "end" if self.chance.random() < 0.1:
                kinds: list[wire.Message] = [
                    wire.Attribute(number, "constraint", "size", 1.0),
                    wire.Imported(number, {"data.py": ""}),
                    wire.Stop(number),
                ]
                message = self.chance.choices(kinds, [4, 4, 1])[0]
            case "start":
                message = wire.Begin(number, "mlp", "32", EPOCHS)
            case "resume":
                hand.epoch = self.chance.randint(0, EPOCHS - 1)
                message = wire.Resume(number, 0, [{"loss": 0.5} for _ in range(hand.epoch)])
            case "report":
                message = wire.Report(number, hand.epoch, self.chance.random())
                hand.epoch += 1
            case "should":
                message = wire.ShouldPrune(number)
            case "begin":
                training = Training(0, judged=True, monitor="loss", planned=EPOCHS)
                unpausable = "a reason" if self.chance.random() < 0.1 else None
                message = wire.BeginTraining(number, training.as_dict(), unpausable)
            case "epoch":
                loss = float("nan") if self.chance.random() < 0.05 else self.chance.random()
                message = wire.Epoch(number, hand.epoch, {"loss": loss}, None, None)
                hand.epoch += 1
            case "end":
                message = self.end(hand)
            case _:
                self.die(hand, "left with exit status 0", killed=False)
                return
        hand.waits = True
        self.apply(ev.Said(hand.name, message))

    def end(self, hand: Hand) -> wire.End:
        """How a worker ends its trial."""
        verdict = hand.advice.verdict if hand.advice is not None else "go"
        state = {"go": "COMPLETE", "finish": "COMPLETE"}.get(verdict) or {
            "prune": "PRUNED",
            "pause": "PAUSED",
            "requeue": "WAITING",
        }[verdict]
        reason: str | None = hand.advice.reason if hand.advice is not None else None
        if self.chance.random() < 0.1:
            state, reason = "FAIL", f"ValueError: {self.chance.random()}"
        run = self.study.runs.get(hand.number)
        trainings = [item.as_dict() for item in run.trainings] if run is not None else []
        values = [0.5] if state == "COMPLETE" else None
        return wire.End(hand.number, state, values, reason, None, trainings)

    def harm(self) -> None:
        """Something that nobody wants, or that a person does."""
        alive = [hand for hand in self.hands.values() if hand.alive]
        what = self.chance.choice(HARM)
        self.coverage["harm", what] += 1
        if what in ("die", "crash") and alive and not self.here:
            hand = self.chance.choice(alive)
            killed = what == "die"
            self.die(hand, "killed by SIGKILL" if killed else "died by SIGSEGV", killed=killed)
        elif what == "signals" and self.chance.random() < 0.3:
            for _ in range(self.chance.choice([1, 1, 2, 3])):
                self.interrupt()
        elif what == "command":
            self.ask_for()
        elif what == "stop" and self.chance.random() < 0.1:
            self.apply(ev.Looked([Command("stop", None, "by hand")]))
        elif what == "refuse":
            self.refuses, self.for_ever = True, self.for_ever or self.chance.random() < 0.2
            self.apply(ev.Troubled("the database refuses"))
        elif what == "accept" and not self.for_ever:
            self.refuses = False
        elif what == "suspend" and self.kept and self.chance.random() < 0.1:
            self.now += 100.0
            self.suspended = True  # as the next write will find, or the next beat
        elif what == "claim" and self.kept and self.chance.random() < 0.1:
            self.database.owner += 1
        elif what == "delete" and self.chance.random() < 0.3:
            self.delete()
        elif what == "fault" and self.chance.random() < 0.05:
            self.fault = self.chance.random() < 0.5
            self.apply(ev.Crashed(Fault()))
        elif what == "clock":
            self.now += self.chance.choice([-1000.0, 1e6])
            self.apply(ev.Tick())
        elif what == "kill" and self.chance.random() < 0.3:
            self.kill()
        elif what == "silence":
            self.now += 100.0
        elif what == "fenced" and alive:
            hand = self.chance.choice(alive)
            if not hand.waits and hand.next in ("ask", "epoch"):  # it speaks of a trial that is not its own
                hand.waits, before = True, hand.next
                self.apply(ev.Said(hand.name, wire.ShouldPrune(99)))
                hand.next = before if hand.number >= 0 else hand.next
        elif what == "room" and not self.here:
            self.apply(ev.Room(self.chance.randint(0, 4)))

    def ask_for(self) -> None:
        """A person wants something of a run, mostly of one that can have it."""
        verb = self.chance.choice(["prune", "keep", "protect", "revive", "revive", "revive"])
        fitting = [run.number for run in self.study.runs.values() if (run.state == "PRUNED") == (verb == "revive")]
        number = self.chance.choice(fitting) if fitting else self.chance.randrange(6)
        self.apply(ev.Looked([Command(verb, number, "by hand")]))

    @property
    def abandons(self) -> bool:
        """Whether the journal does not try again what the database refuses."""
        return self.study._signals > 1

    def interrupt(self) -> None:
        """A person presses Ctrl-C."""
        self.apply(ev.Signal("Ctrl-C"))
        if self.here and self.abandons and self.hands["here"].alive:  # which interrupts what it trains
            self.die(self.hands["here"], "interrupted", killed=True)

    def calm(self) -> None:
        """Let everything come to its end; where the database refuses for ever, a person does not wait for it."""
        self.refuses = self.for_ever
        while self.for_ever and not self.abandons:
            self.interrupt()
        for _ in range(CALM_STEPS):
            if self.finished and not (self.sampler or self.journal or self.executor):
                return
            self.step(calm=True)
        raise Broken(f"E: the study does not end: {self.study.trials}, {self.study.workers.by_name}")


def play(seed: int, events: int = 30, coverage: Counter[tuple[str, str]] | None = None) -> World:
    """Play one sequence: so many events and then the way to the end.

    Raises:
        Broken: the oracle has found something.
    """
    world = World(seed, coverage)
    for _ in range(events):
        world.step()
    world.calm()
    if seed % 5 == 0:
        world.raise_budget()
        for _ in range(events):
            world.step()
        world.calm()
    return world
