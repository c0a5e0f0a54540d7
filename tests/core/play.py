"""A study played without processes: the core with simulated workers, sampler, database and people, and an oracle.

Each sequence of events is drawn from a seed: workers that load, train, fall silent and die in every state, answers that
come late, a database that refuses for a while or loses the lease, clocks that jump, Ctrl-Cs, commands, trials of other
programs, and coordinators that are killed and started again on what was written. Then the world calms down: every
answer comes, workers go on, and the study must end. The oracle is that of the project:

A. what was acknowledged is in the database; B. a trial ends once, and one worker has it at a time; C. as many trials
begin as the study has; D. a run keeps its epochs in order; E. nothing is left running; F. no state is left by an
unlisted transition (the core raises).
"""

import copy
import random
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

from sweep.core import events as ev
from sweep.core.pruners import Judge, Verdict
from sweep.core.study import StudyMachine
from sweep.core.trial import State
from sweep.declaration import Declaration
from sweep.errors import StudyError
from sweep.options import Settings
from sweep.store import Command
from sweep.store.records import FINISHED, RunRecord, Training
from sweep.wire import messages as wire

DECLARATION = Declaration("study", ["loss"], ["minimize"], 4, pruner="nop", seed=7, hash="1" * 64)
EPOCHS = 3
CALM_STEPS = 3000
HARM = ("die", "die", "crash", "signal", "command", "refuse", "accept", "lose", "kill", "silence", "fenced", "room")


class Broken(AssertionError):
    """The oracle has found something."""


class HalfPruned(Judge):
    """Stops each second trial after its second epoch."""

    def verdict(self, number: int, values: Any) -> Verdict | None:
        if number % 2 and len(values) > 1:
            return Verdict("threshold", "loss", values[max(values)], max(values), 0.0)
        return None


@dataclass
class Database:
    """What has been written: all that is left of a coordinator that is killed."""

    runs: dict[int, RunRecord] = field(default_factory=dict)
    metrics: dict[int, set[int]] = field(default_factory=dict)
    next_number: int = 0
    studies: int = 0

    def write(self, changes: ev.Changes) -> None:
        """One transaction."""
        self.studies += 1
        for number in changes.restarted:
            self.metrics.pop(number, None)
        for run in changes.runs:
            before = self.runs.get(run.number)
            if before is not None and before.state in FINISHED and before.state != run.state:
                raise Broken(f"B: trial {run.number} was {before.state} and is written as {run.state}")
            self.runs[run.number] = copy.copy(run)
            self.next_number = max(self.next_number, run.number + 1)
        for number, epoch, _, _ in changes.metrics:
            self.metrics.setdefault(number, set()).add(epoch)


@dataclass
class Hand:
    """A simulated worker: what it says next, and whether it waits for an answer."""

    name: str
    next: str = "hello"
    waits: bool = False
    alive: bool = True
    number: int = -1
    epoch: int = 0
    advice: wire.Advice | None = None


class World:
    """One study, played."""

    def __init__(self, seed: int, coverage: Counter[str] | None = None) -> None:
        self.chance = random.Random(seed)
        self.coverage = coverage if coverage is not None else Counter()
        self.database = Database()
        self.here = self.chance.random() < 0.2  # no executor: the process itself trains
        self.settings = Settings(
            trials=DECLARATION.trials,
            workers=None if self.here else self.chance.choice([None, 1, 2, 3]),
            retries=self.chance.choice([0, 0, 1]),
            trial_timeout=self.chance.choice([None, 60.0]),
            keep=self.chance.choice(["all", "best:1"]),
        )
        self.now = 0.0
        self.ended: Counter[int] = Counter()  # how often each trial was acknowledged as ended
        self.begin()

    # The coordinator.

    def begin(self) -> None:
        """A coordinator starts, on what the database has."""
        self.study = StudyMachine(self.settings)
        self.sampler: deque[Any] = deque()
        self.journal: deque[Any] = deque()
        self.executor: deque[Any] = deque()
        self.hands: dict[str, Hand] = {}
        self.dead: set[str] = set()
        self.finished = False
        self.refuses = False
        self.queued: list[int] = []  # in Optuna's queue
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

    def apply(self, event: ev.Event) -> None:
        """Have an event applied, and take its effects."""
        self.coverage[type(event).__name__ if not isinstance(event, ev.Said) else type(event.message).__name__] += 1
        for trial in self.study.trials.values():
            if trial.state is not None:
                self.coverage[f"{trial.state.name} {type(event).__name__}"] += 1
        effects = self.study.apply(event, self.now)
        if self.finished and any(isinstance(effect, ev.Finish) for effect in effects):
            raise Broken("E: the study has finished twice")
        for effect in effects:
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
        elif not isinstance(effect, ev.Show | ev.EndFiles | ev.RemoveWeights):
            self.sampler.append(effect)

    # The oracle.

    def check(self) -> None:
        """What must hold after every event."""
        study = self.study
        if study.crash is not None:
            raise study.crash
        holders = Counter(trial.worker for trial in study.trials.values() if trial.worker is not None)
        if any(count > 1 for count in holders.values()):
            raise Broken(f"B: one worker has several trials: {holders}")
        for trial in study.trials.values():
            if trial.state is not State.ENDING and trial.is_live != (trial.worker is not None):
                raise Broken(f"B: trial {trial.run.number} is {trial.state} with {trial.worker}")
            if trial.run.state in FINISHED:
                raise Broken(f"B: trial {trial.run.number} has ended and is {trial.state}")
        begun = [run for run in study.runs.values() if not run.added]
        if len(begun) > study.budget and study.is_open:
            raise Broken(f"C: {len(begun)} trials have begun of {study.budget}")

    def reply(self, reply: ev.Reply) -> None:
        """A worker is answered."""
        hand = self.hands.get(reply.worker)
        answer = reply.answer
        if isinstance(answer, wire.Ended | wire.Started) and self.study.error is None:
            number = hand.number if hand is not None else -1
            run = self.database.runs.get(number)
            if hand is not None and hand.alive and isinstance(answer, wire.Ended):
                begun_again = answer.state == "WAITING" and run is not None and run.attempt > 0
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
            hand.next, hand.number, hand.epoch = "suggest", answer.number, 0
        elif isinstance(answer, wire.Advice):
            hand.advice = answer
            hand.next = "epoch" if answer.verdict == "go" and hand.epoch < EPOCHS else "end"
        elif isinstance(answer, wire.Ended):
            hand.next, hand.number = "ask", -1
        else:
            hand.next = {"suggest": "start", "start": "begin", "begin": "epoch", "refuse": "leave"}[hand.next]

    def has(self, hand: Hand) -> bool:
        """Whether the core takes a trial for a worker's."""
        trial = self.study.trials.get(hand.number)
        return trial is not None and trial.worker == hand.name and trial.is_live

    def finish(self, finish: ev.Finish) -> None:
        """The study has ended."""
        self.finished = True
        if any(trial.worker is not None for trial in self.study.trials.values()):
            raise Broken("E: a trial is with a worker at the end")
        killed = {effect.worker for effect in self.executor}  # as soon as the executor comes to it
        if not self.here and any(hand.alive and hand.name not in killed for hand in self.hands.values()):
            raise Broken("E: a worker lives at the end")
        if self.kept and not finish.refused:
            self.database.write(finish.changes)
        study = self.study
        if study.error is None and study.stopped is None and study.is_open:
            ours = [run for run in study.runs.values() if not run.added]
            if len(ours) != study.budget or any(run.state not in FINISHED for run in ours):
                raise Broken(f"C: finished with {[(run.number, run.state) for run in ours]} of {study.budget}")
            for run in ours:
                if self.database.runs[run.number].state != run.state:
                    raise Broken(f"A: run {run.number} is not written as it ended")

    # What the world does.

    def step(self, *, calm: bool = False) -> None:
        """One thing happens; `calm`: nothing that harms."""
        actions: list[tuple[float, Any]] = [(1.0, self.tick)]
        if self.sampler:
            actions.append((4.0, self.sample))
        if self.journal and not self.refuses:
            actions.append((4.0, self.write))
        if self.executor:
            actions.append((4.0, self.execute))
        able = [hand for hand in self.hands.values() if hand.alive and not hand.waits]
        if able:
            actions.append((8.0, lambda: self.say(self.chance.choice(able))))
        if not calm:
            actions += [(0.5, self.harm)]
        weights = [weight for weight, _ in actions]
        self.chance.choices([action for _, action in actions], weights)[0]()

    def tick(self) -> None:
        """Time passes, sometimes a lot of it."""
        self.now += self.chance.choice([0.1, 0.1, 0.1, 1.0, 30.0])
        self.apply(ev.Tick())

    def sample(self) -> None:
        """The sampling thread does the next thing."""
        effect = self.sampler.popleft()
        event = self.sampled_event(effect)
        if event is not None:
            self.apply(event)

    def sampled_event(self, effect: Any) -> ev.Event | None:
        """What the sampling thread answers."""
        if isinstance(effect, ev.Open):
            return self.opened()
        if isinstance(effect, ev.Sample):
            if effect.number is not None:
                return ev.Sampled(effect.number, fresh=False)
            count = self.chance.randint(1, effect.most)  # the queue may have some, which come one by one
            numbers, self.sampled = range(self.sampled, self.sampled + count), self.sampled + count
            if self.kept:  # they are claimed in the database
                self.database.runs |= {number: RunRecord(number) for number in numbers}
                self.database.next_number = self.sampled
            events = [ev.Sampled(number, seed=number, more=number < numbers[-1]) for number in numbers]
            self.sampler.extendleft(reversed(events[1:]))  # other events may come between them
            return events[0]
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
            return ev.Told(effect.number, effect.state, effect.values, dict(trial.run.params), {}, exhausted=False)
        if isinstance(effect, ev.Requeue):
            return ev.PutBack(effect.number)
        if isinstance(effect, ev.Judgement):
            return ev.Judged(effect.worker, effect.number, None)
        if isinstance(effect, ev.Revive):
            return ev.Revived(effect.number, "its checkpoint is gone")
        if isinstance(effect, ev.Learn):
            added = [RunRecord(number, state="COMPLETE", values=[1.0]) for number in effect.numbers]
            for run in added:
                run.reason = "added through Optuna, not trained by sweep"
            return ev.Added([(run, {0: 1.0}) for run in added])
        return None

    def opened(self) -> ev.Event:
        """A study is opened on what the database has."""
        if self.chance.random() < 0.02:
            return ev.Refused(StudyError("another coordinator has it"))
        runs = [copy.deepcopy(run) for run in self.database.runs.values()]
        again = [run.number for run in runs if run.state not in FINISHED]
        for run in runs:
            if run.state == "RUNNING":
                run.state, run.attempt = "WAITING", run.attempt + 1
        ours = [run for run in runs if not run.added]
        return ev.Opened(
            declaration=DECLARATION,
            runs=runs,
            again=again,
            changed=frozenset(again),
            begun=len(ours),
            exhausted=False,
            marked=0,
            judge=HalfPruned() if self.chance.random() < 0.7 else None,
            logdir="/runs",
            kept=self.existing,
        )

    def write(self) -> None:
        """The journal does the next thing."""
        effect = self.journal.popleft()
        if isinstance(effect, ev.Write):
            self.kept = True
            self.database.write(effect.changes)
            self.apply(ev.Written())
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
        worker = self.study.crew.workers.get(hand.name)
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
                message = wire.Hello(DECLARATION.as_dict(), None, wire.PROTOCOL)
            case "ask":
                message = wire.Ask(outgrown=self.chance.random() < 0.1 and not self.here)
            case "suggest":
                message = wire.Suggest(number, "x", "a domain")
            case "start":
                message = wire.Begin(number, "mlp", "32", EPOCHS)
            case "begin":
                message = wire.BeginTraining(number, Training(0, judged=True, monitor="loss").as_dict())
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
        state = {"go": "COMPLETE", "prune": "PRUNED", "requeue": "WAITING"}[verdict]
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
        number = self.chance.randrange(6)
        what = self.chance.choice(
            [
                "die",
                "die",
                "crash",
                "signal",
                "command",
                "refuse",
                "accept",
                "lose",
                "kill",
                "silence",
                "fenced",
                "room",
            ]
        )
        self.coverage[what] += 1
        if what in ("die", "crash") and alive and not self.here:
            hand = self.chance.choice(alive)
            killed = what == "die"
            self.die(hand, "killed by SIGKILL" if killed else "died by SIGSEGV", killed=killed)
        elif what == "signal" and self.chance.random() < 0.3:
            self.apply(ev.Signal("Ctrl-C"))
        elif what == "command":
            verb = self.chance.choice(["prune", "keep", "revive", "prune", "keep", "stop"])
            if verb != "stop" or self.chance.random() < 0.1:
                self.apply(ev.Looked([Command(verb, None if verb == "stop" else number, "by hand")]))
        elif what == "refuse":
            self.refuses = True
        elif what == "accept":
            self.refuses = False
        elif what == "lose" and self.journal and self.chance.random() < 0.1:
            self.apply(ev.Refused(StudyError("the lease is lost")))
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

    def calm(self) -> None:
        """Let everything come to its end."""
        self.refuses = False
        for _ in range(CALM_STEPS):
            if self.finished and not (self.sampler or self.journal or self.executor):
                return
            self.step(calm=True)
        raise Broken(f"E: the study does not end: {self.study.trials}, {self.study.crew.workers}")


def play(seed: int, events: int = 30, coverage: Counter[str] | None = None) -> World:
    """Play one sequence: so many events and then the way to the end.

    Raises:
        Broken: the oracle has found something.
    """
    world = World(seed, coverage)
    for _ in range(events):
        world.step()
    world.calm()
    return world
