"""The trial that a worker hands to user code: an Optuna trial whose every question goes to the coordinator."""

import datetime
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    check_distribution_compatibility,
    distribution_to_json,
)

from sweep.declaration import Value
from sweep.errors import StudyError
from sweep.names import check_choices
from sweep.train.link import Link, Refused
from sweep.train.run import Run, Started


class Previewed(BaseException):
    """A preview has seen what it wants of a trial: its parameters and its name."""


class WorkerTrial(optuna.trial.BaseTrial):
    """One trial, with all that `optuna.Trial` offers to an objective.

    Args:
        link: to the coordinator.
        assignment: the coordinator's answer to `ask`.
        preview: end the trial as soon as it is named.
    """

    def __init__(self, link: Link, assignment: dict[str, Any], *, preview: bool = False) -> None:
        self._link = link
        self._number: int = assignment["number"]
        self._preview = preview
        self._params: dict[str, Value] = {}
        self._distributions: dict[str, BaseDistribution] = {}
        self._user_attrs: dict[str, Any] = {}
        self._system_attrs: dict[str, Any] = {}
        self._constraints: dict[str, float] = {}
        self._datetime_start = datetime.datetime.now()
        self.seed: int = assignment["seed"]
        self.attempt: int = assignment["attempt"]
        self.previewed = False
        self.run = Run(
            self,
            objective=assignment["objective"],
            direction=assignment["direction"],
            value=assignment["value"],
            epochs=assignment["epochs"],
            force_epochs=assignment["force_epochs"],
        )

    # What an Optuna objective asks for.

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        return self._suggest(name, FloatDistribution(low, high, log=log, step=step))  # type: ignore[return-value]

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return self._suggest(name, IntDistribution(low, high, log=log, step=step))  # type: ignore[return-value]

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        check_choices(name, list(choices))
        return self._suggest(name, CategoricalDistribution(choices))

    def suggest_uniform(self, name: str, low: float, high: float) -> float:
        return self.suggest_float(name, low, high)

    def suggest_loguniform(self, name: str, low: float, high: float) -> float:
        return self.suggest_float(name, low, high, log=True)

    def suggest_discrete_uniform(self, name: str, low: float, high: float, q: float) -> float:
        return self.suggest_float(name, low, high, step=q)

    def _suggest(self, name: str, distribution: BaseDistribution) -> Value:
        if name in self._distributions:
            check_distribution_compatibility(self._distributions[name], distribution)
            return self._params[name]
        text = distribution_to_json(distribution)
        value: Value = self._link.call("suggest", number=self._number, name=name, distribution=text)["value"]
        if isinstance(distribution, CategoricalDistribution):
            value = next(choice for choice in distribution.choices if _same(choice, value))
        self._distributions[name] = distribution
        self._params[name] = value
        return value

    def report(self, value: float, step: int) -> None:
        """Report the objective at a step, in an objective without `sweep.fit`; the first one names the run."""
        if self.run.fitting:
            return  # sweep.fit reports each epoch
        number = float(value)
        if not self.run.named:
            self.run.begin_plain()
        self._link.call("report", number=self._number, step=int(step), value=number)
        self.run.record_plain(int(step), number)

    def should_prune(self) -> bool:
        if self.run.fitting:
            return False  # sweep.fit obeys the verdict itself
        answer = self._link.call("should_prune", number=self._number)
        return self.run.obey(answer)

    def set_user_attr(self, key: str, value: Any) -> None:
        self._user_attrs[key] = value
        self._link.call("attribute", number=self._number, kind="user", key=key, value=value)

    def set_system_attr(self, key: str, value: Any) -> None:
        self._system_attrs[key] = value
        self._link.call("attribute", number=self._number, kind="system", key=key, value=value)

    def set_constraint(self, key: str, value: float) -> None:
        self._constraints[key] = value
        self._link.call("attribute", number=self._number, kind="constraint", key=key, value=value)

    @property
    def params(self) -> dict[str, Any]:
        return dict(self._params)

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        return dict(self._distributions)

    @property
    def user_attrs(self) -> dict[str, Any]:
        return dict(self._user_attrs)

    @property
    def system_attrs(self) -> dict[str, Any]:
        return dict(self._system_attrs)

    @property
    def constraints(self) -> dict[str, float]:
        return dict(self._constraints)

    @property
    def datetime_start(self) -> datetime.datetime | None:
        return self._datetime_start

    @property
    def number(self) -> int:
        return self._number

    # What its run asks for (`sweep.train.run.Reporter`).

    def start(self, family: str | None, architecture: str | None, epochs: int | None) -> Started:
        """Have the run named."""
        answer = self._link.call("start", number=self._number, family=family, architecture=architecture, epochs=epochs)
        if self._preview:
            self.previewed = True
            raise Previewed
        return Started(answer["name"], answer["directory"], answer["text"])

    def send_epoch(self, epoch: int, metrics: dict[str, float], finding: str | None) -> None:
        """Send an epoch's metrics; the verdict is received afterwards."""
        self._link.send("epoch", number=self._number, epoch=epoch, metrics=metrics, finding=finding)

    def receive_verdict(self) -> dict[str, Any]:
        """The verdict on the epoch that was sent."""
        return self._link.receive()

    def end(self, state: str, values: list[float] | None, reason: str | None, traceback: str | None) -> tuple[str, str]:
        """End the trial; the state and reason that stand."""
        answer = self._link.call(
            "end", number=self._number, state=state, values=values, reason=reason, traceback=traceback
        )
        return answer["state"], answer["reason"] or ""


def _same(choice: Value, value: Value) -> bool:
    """Whether a value that came as JSON is this choice; NaN is."""
    return (choice == value or (choice != choice and value != value)) and isinstance(choice, bool) == isinstance(
        value, bool
    )


__all__ = ["Previewed", "Refused", "StudyError", "WorkerTrial"]
