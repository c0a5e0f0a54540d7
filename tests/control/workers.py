"""A study's loop in this process, and workers that are no processes: tests say their messages."""

import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.distributions import BaseDistribution, FloatDistribution, distribution_to_json

from sweep.control.loop import Loop
from sweep.control.progress import Silent
from sweep.control.sampling_thread import _ACTIONS
from sweep.control.search import Search
from sweep.control.writer import StudyWriter
from sweep.core import events as ev
from sweep.core.study import StudyMachine
from sweep.core.trial import State
from sweep.errors import StudyError, SweepError
from sweep.options import Settings
from sweep.store import Command, RunRecord, Training
from sweep.wire import messages as wire
from sweep.worker.link import TrialTaken
from tests.control.memory import declare
from tests.control.started import PATIENCE, wait_for

SPACE: dict[str, BaseDistribution] = {"x": FloatDistribution(-1.0, 1.0)}


class Heard(Silent):
    """A watcher that remembers what it was shown."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.ends: list[tuple[int, str]] = []

    def ended(self, run: RunRecord) -> None:
        self.ends.append((run.number, run.state))

    def message(self, text: str) -> None:
        self.messages.append(text)


@dataclass(frozen=True)
class Barrier:
    """Asks the sampling thread to call something."""

    done: Callable[[], None]


_ACTIONS[Barrier] = lambda _thread, barrier: barrier.done()


class Pipe:
    """Stands for a worker's connection in the loop; the answers wait in a queue."""

    def __init__(self) -> None:
        self.answers: queue.SimpleQueue[wire.Answer] = queue.SimpleQueue()

    def send(self, data: bytes) -> None:
        self.answers.put(wire.decode_answer(data))

    def close(self) -> None:
        pass


class House:
    """A study's loop with its threads, without an executor."""

    def __init__(self, settings: Settings, declaration: Mapping[str, Any]) -> None:
        self._heard = Heard()
        self.loop = Loop(settings, self._heard)
        self.loop.start()
        self.declaration = declaration
        self._pipes: dict[str, Pipe] = {}

    @property
    def study(self) -> StudyMachine:
        """The core."""
        return self.loop.study

    @property
    def search(self) -> Search:
        """Optuna's part of the study."""
        return self.loop.opened.search

    @property
    def writer(self) -> StudyWriter:
        """Its place in the database."""
        assert self.loop.opened.journal is not None
        writer = self.loop.opened.journal.writer
        assert writer is not None
        return writer

    @property
    def heard(self) -> Heard:
        """What people were shown by now."""
        self.settle()
        shown = threading.Event()
        self.loop._display.put(shown.set)
        assert shown.wait(PATIENCE)
        return self._heard

    def post(self, event: ev.Event) -> None:
        """Have an event applied, and wait until it is."""
        self.loop.post(event)
        self.settle()

    def settle(self) -> None:
        """Wait until no trial is between two states, and everything is on the disk."""

        def settled() -> bool:
            for barrier in (self.loop._loop.call_soon_threadsafe, self._sampled, self.loop._loop.call_soon_threadsafe):
                applied = threading.Event()
                barrier(applied.set)
                assert applied.wait(PATIENCE)
            study = self.study
            between = any(trial.state in (State.ENDING, State.SAMPLING) for trial in list(study.trials.values()))
            writing = study._acknowledged is not None or study._write_due
            return study.crash is not None or not (between or study._sampling or writing)

        if self.loop._thread.is_alive():
            wait_for(settled)

    def _sampled(self, done: Callable[[], None]) -> None:
        """Have something called when the sampling thread has done all that it was asked for."""
        self.loop.sampling.put(Barrier(done))  # type: ignore[arg-type]

    def send(self, worker: str, message: wire.Message) -> Pipe:
        """Send a message; the answer comes through the pipe."""
        pipe = self._pipes.setdefault(worker, Pipe())
        self.loop._connections[worker] = pipe  # type: ignore[assignment]
        self.loop.post(ev.Said(worker, message))
        return pipe

    def say(self, worker: str, message: wire.Message) -> dict[str, Any]:
        """Say something for a worker; the answer as a dict, {"end": True} where there is no more to do.

        Raises:
            TrialTaken, StudyError: as the worker would be told.
        """
        answer = self.send(worker, message).answers.get(timeout=PATIENCE)
        if isinstance(answer, wire.Fenced):
            raise TrialTaken(answer.reason)
        if isinstance(answer, wire.Rejected):
            raise StudyError(answer.error["message"], answer.error["hint"])
        return {"end": True} if isinstance(answer, wire.NoMore) else dict(vars(answer))

    def worker(self, name: str) -> "Worker":
        """A worker that has declared the study."""
        self.say(name, wire.Hello(dict(self.declaration), None, wire.PROTOCOL))
        return Worker(self, name)

    def gone(self, worker: str, how: str, *, killed: bool) -> None:
        """A worker's process has ended."""
        self.loop.post(ev.Exited(worker, how, killed))
        self.post(ev.HungUp(worker))

    def obey(self, command: Command) -> None:
        """Do what a person wants."""
        self.post(ev.Looked([command]))

    def stop(self, why: str) -> None:
        """Stop the study, as a person does."""
        self.obey(Command("stop", None, why))

    def refuse(self, error: SweepError) -> None:
        """Refuse the study."""
        self.post(ev.Refused(error))

    def run(self, number: int) -> RunRecord:
        """A run as the core has it."""
        return self.study.runs[number]

    def stored(self, number: int) -> RunRecord:
        """A run as it is in the database."""
        self.settle()
        return self.writer.store.runs(self.writer.record.study_id, [number])[0]

    def close(self) -> None:
        """Give the study up, as at the end of `sweep start`."""
        if self.study.stopped is None and not self.study.over:
            self.loop.post(ev.Signal("the end of the test"))
        for worker in self._pipes:
            self.loop.post(ev.HungUp(worker))
        assert self.loop.wait(PATIENCE)
        self.loop.stop()

    def abandon(self) -> None:
        """Leave everything as a process that is killed leaves it, but for its lease: a dead process is no owner."""
        self.settle()
        self.loop.opened.journal._queue.put(None)  # type: ignore[union-attr, arg-type]
        self.loop.stop()
        self.writer.release()
        self.writer.store.close()


class Worker:
    """One worker's side of the conversation."""

    def __init__(self, house: House, name: str) -> None:
        self.house = house
        self.name = name
        self.number = -1

    def say(self, message: wire.Message) -> dict[str, Any]:
        """Say something; see `House.say`."""
        return self.house.say(self.name, message)

    def ask(self) -> dict[str, Any]:
        """Ask for a trial, which is the worker's from now on."""
        answer = self.say(wire.Ask())
        self.number = answer.get("number", -1)
        return answer

    def suggest(self, name: str, distribution: BaseDistribution) -> Any:
        """The value of a parameter."""
        return self.say(wire.Suggest(self.number, name, distribution_to_json(distribution)))["value"]

    def begin(self, space: Mapping[str, BaseDistribution] = SPACE, epochs: int | None = None) -> dict[str, Any]:
        """Ask for a trial, have its parameters, have it named, and begin its training, if there is another trial."""
        answer = self.ask()
        if "end" in answer:
            return answer
        for name, distribution in space.items():
            self.suggest(name, distribution)
        return answer | self.start(epochs)

    def start(self, epochs: int | None = None) -> dict[str, Any]:
        """Have the trial named, and begin its training."""
        answer = self.say(wire.Begin(self.number, "mlp", "32", epochs))
        training = Training(0, judged=True, monitor="loss", planned=epochs)
        self.say(wire.BeginTraining(self.number, training.as_dict()))
        return answer

    def epoch(
        self, epoch: int, loss: float, *, findings: Any = None, broken: str | None = None, **metrics: float
    ) -> dict[str, Any]:
        """Report an epoch."""
        told = None if findings is None else [found.as_dict() for found in findings]
        return self.say(wire.Epoch(self.number, epoch, {"loss": loss, **metrics}, told, broken))

    def report(self, step: int, value: float) -> None:
        """Report a value, as an objective of plain Optuna does."""
        self.say(wire.Report(self.number, step, value))

    def resume(self, epoch: int, *losses: float) -> None:
        """Tell of epochs that an earlier attempt has trained."""
        self.say(wire.Resume(self.number, epoch, [{"loss": loss} for loss in losses]))

    def attribute(self, kind: str, key: str, value: Any) -> None:
        """Set an attribute."""
        self.say(wire.Attribute(self.number, kind, key, value))

    def end(
        self,
        state: str = "COMPLETE",
        value: float | None = 0.5,
        reason: str | None = None,
        traceback: str | None = None,
    ) -> dict[str, Any]:
        """End the trial."""
        values = [value] if state == "COMPLETE" and value is not None else None
        known = self.house.run(self.number).trainings if self.number in self.house.study.runs else []
        return self.say(wire.End(self.number, state, values, reason, traceback, [each.as_dict() for each in known]))

    def train(self, loss: float = 0.5, space: Mapping[str, BaseDistribution] = SPACE) -> int:
        """A trial from start to finish; its number."""
        self.begin(space)
        self.epoch(0, loss)
        self.end(value=loss)
        return self.number


@contextmanager
def a_house(
    tmp_path: Path, storage: str | None = None, *, options: Mapping[str, Any] | None = None, **declaration: Any
) -> Iterator[House]:
    """A house whose study is given up at the end; `options` are those of the command line."""
    settings = Settings(
        **{"storage": storage or f"sqlite:///{tmp_path}/sweep.db", "logdir": str(tmp_path / "runs"), **(options or {})}
    )
    house = House(settings, declare(**declaration).as_dict())
    try:
        yield house
    finally:
        house.close()
