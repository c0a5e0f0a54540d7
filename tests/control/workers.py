"""A coordinator and its desk in this process, and workers that are no processes: tests say their messages."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from optuna.distributions import BaseDistribution, FloatDistribution, distribution_to_json

from sweep.control.coordinator import Coordinator
from sweep.control.desk import Desk
from sweep.control.keeper import Keeper
from sweep.control.progress import Silent
from sweep.control.recovery import Recovery
from sweep.options import Settings
from sweep.store import RunRecord, Training
from tests.control.memory import declare

SPACE: dict[str, BaseDistribution] = {"x": FloatDistribution(-1.0, 1.0)}


class Heard(Silent):
    """A watcher that remembers what it was told."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.ends: list[tuple[int, str]] = []

    def ended(self, run: RunRecord) -> None:
        self.ends.append((run.number, run.state))

    def message(self, text: str) -> None:
        self.messages.append(text)


class House:
    """A coordinator, its desk, what recovers from deaths, and the keeper, which runs only where a test starts it."""

    def __init__(self, settings: Settings, declaration: Mapping[str, Any]) -> None:
        self.heard = Heard()
        self.coordinator = Coordinator(settings, self.heard)
        self.desk = Desk(self.coordinator)
        self.recovery = Recovery(self.coordinator)
        self.keeper = Keeper(self.coordinator, self.recovery)
        self.declaration = declaration

    def worker(self, name: str) -> "Worker":
        """A worker that has declared the study."""
        self.desk.hello(name, dict(self.declaration))
        return Worker(self.desk, name)

    def run(self, number: int) -> RunRecord:
        """A run as the coordinator has it."""
        return self.coordinator.opened.ledger.run(number)

    def stored(self, number: int) -> RunRecord:
        """A run as it stands in the database."""
        writer = self.coordinator.opened.writer
        assert writer is not None
        return writer.store.runs(writer.record.study_id, [number])[0]

    def close(self) -> None:
        """Give the study up, as at the end of `sweep start`."""
        if self.coordinator.is_open:
            self.coordinator.opened.close(refused=self.coordinator.error is not None)


class Worker:
    """One worker's side of the conversation."""

    def __init__(self, desk: Desk, name: str) -> None:
        self.desk = desk
        self.name = name
        self.number = -1

    def ask(self) -> dict[str, Any]:
        """Ask for a trial, which is the worker's from now on."""
        answer = self.desk.ask(self.name)
        self.number = answer.get("number", -1)
        return answer

    def suggest(self, name: str, distribution: BaseDistribution) -> Any:
        """The value of a parameter."""
        return self.desk.suggest(self.name, self.number, name, distribution_to_json(distribution))["value"]

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
        answer = self.desk.start(self.name, self.number, "mlp", "32", epochs)
        training = Training(0, judged=True, monitor="loss", planned=epochs)
        self.desk.training(self.name, self.number, training.as_dict())
        return answer

    def epoch(
        self, epoch: int, loss: float, *, findings: Any = None, broken: str | None = None, **metrics: float
    ) -> dict[str, Any]:
        """Report an epoch."""
        told = None if findings is None else [found.as_dict() for found in findings]
        return self.desk.epoch(self.name, self.number, epoch, {"loss": loss, **metrics}, told, broken)

    def resume(self, epoch: int, *losses: float) -> None:
        """Tell of epochs that an earlier attempt has trained."""
        self.desk.resume(self.name, self.number, epoch, [{"loss": loss} for loss in losses])

    def end(self, state: str = "COMPLETE", value: float | None = 0.5, reason: str | None = None) -> dict[str, Any]:
        """End the trial."""
        values = [value] if state == "COMPLETE" and value is not None else None
        known = self.desk._coordinator.opened.ledger.run(self.number).trainings
        return self.desk.end(self.name, self.number, state, values, reason, None, [each.as_dict() for each in known])

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
