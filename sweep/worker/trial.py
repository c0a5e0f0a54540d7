"""The trial that a worker hands to user code: an Optuna trial whose every question goes to the coordinator."""

import datetime
import math
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    check_distribution_compatibility,
    distribution_to_json,
)
from optuna.study import StudyDirection

from sweep.declaration import Value
from sweep.errors import StudyError
from sweep.finding import Finding
from sweep.names import check_choices, is_same
from sweep.objective import Objective
from sweep.wire import messages as wire
from sweep.wire.messages import Assignment
from sweep.worker.link import Link
from sweep.worker.run import Policy, Run
from sweep.worker.training import LiveTraining


def check_bounds(name: str, low: float, high: float) -> None:
    """Refuse bounds that are too far apart for samplers, which work with floats.

    Raises:
        StudyError: a float holds neither the bounds nor what lies between them; NaN is left to Optuna.
    """
    try:
        too_far = math.isinf(float(high) - float(low))
    except OverflowError:
        too_far = True
    if too_far:
        raise StudyError(
            f"The bounds of parameter {name!r} are too far apart for a float.",
            f"Let them differ by at most {sys.float_info.max:.1e}, or search its logarithm.",
        )


class Previewed(BaseException):
    """A preview has seen what it wants of a trial: its parameters and its name."""


class TrialStudy:
    """What a trial may know of its study, and do to it: the study itself is with the coordinator.

    Attributes:
        directions: what is optimised, as `optuna.Study` has it.
    """

    def __init__(self, link: Link, number: int, objectives: Sequence[Objective]) -> None:
        self._link = link
        self._number = number
        self.directions = [StudyDirection[objective.direction.upper()] for objective in objectives]

    @property
    def direction(self) -> StudyDirection:
        """What is optimised, the first of several."""
        return self.directions[0]

    def stop(self) -> None:
        """Have the study begin no further trial, as `optuna.Study.stop` does; running ones finish, this one too."""
        self._link.call(wire.Stop(self._number), wire.Done)

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(
            f"The study of a trial has no {name} here, since it is with the coordinator: it can be stopped, with "
            "stop(). To read it elsewhere: optuna.load_study."
        )


class WorkerTrial(optuna.trial.BaseTrial):
    """One trial, with all that `optuna.Trial` offers to an objective.

    Args:
        link: to the coordinator.
        assignment: the coordinator's answer to `Ask`.
        preview: end the trial as soon as it is named.
        begun: called when the run has its name, for there is something to keep from then on.
    """

    def __init__(
        self,
        link: Link,
        assignment: Assignment,
        *,
        preview: bool = False,
        begun: Callable[[], None] | None = None,
    ) -> None:
        self._link = link
        self._number = assignment.number
        self._begun = begun
        self._params: dict[str, Value] = {}
        self._distributions: dict[str, BaseDistribution] = {}
        self._user_attrs: dict[str, Any] = {}
        self._constraints: dict[str, float] = {}
        self._datetime_start = datetime.datetime.now()
        self.retraining = None  # what `sweep.retrain` sets, so that a study can ask
        self.preview = preview
        self.previewed = False
        self.failed = False  # its objective has raised, before the run had a name
        self.seed = assignment.seed
        self.attempt = assignment.attempt
        pairs = zip(assignment.objective, assignment.direction, strict=True)
        self._policy = Policy(
            objectives=[Objective(name, direction) for name, direction in pairs],
            result=assignment.result,
            epochs=assignment.epochs,
            force_epochs=assignment.force_epochs,
            keep=assignment.keep,
            broken=assignment.broken,
            judged=assignment.judged,
            pauses=assignment.pauses,
        )
        earlier = Path(assignment.directory) if assignment.directory is not None else None
        self.run = Run(self, self._policy, earlier=earlier)

    def start_over(self) -> None:
        """Begin the trial from its beginning, with the parameters it has: its checkpoints do not fit."""
        self.run.abandon()
        self.run = Run(self, self._policy, start_over=True)

    # What an Optuna objective asks for.

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        check_bounds(name, low, high)
        return self._suggest(name, FloatDistribution(low, high, log=log, step=step))  # type: ignore[return-value]

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        check_bounds(name, low, high)
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
        with self._link.turn():
            return self._asked(name, distribution)

    def _asked(self, name: str, distribution: BaseDistribution) -> Value:
        if name in self._distributions:
            check_distribution_compatibility(self._distributions[name], distribution)
            return self._params[name]
        text = distribution_to_json(distribution)
        answer = self._link.call(wire.Suggest(self._number, name, text), (wire.Suggestion, wire.NoValue))
        if isinstance(answer, wire.NoValue):
            raise ValueError(answer.reason)
        value = answer.value
        if isinstance(distribution, CategoricalDistribution):
            value = next(choice for choice in distribution.choices if is_same(choice, value))
        self._distributions[name] = distribution
        self._params[name] = value
        return value

    def report(self, value: float, step: int) -> None:
        """Report the objective at a step, in an objective without `sweep.fit`; the first one names the run.

        As with Optuna, a step that has a value keeps it. Beside `sweep.fit`, whose epochs are reported already, use it
        for what `judge=False` leaves out, such as a score for each fold.
        """
        self._check_single("report")
        number, at = float(value), int(step)
        if at < 0:
            raise ValueError(f"a step is at least 0, got {at}")
        if self.run.fitting:
            return  # sweep.fit reports each epoch
        with self._link.turn():
            if not self.run.named:
                self.run.begin_plain()
            if at in self.run.reported:
                warnings.warn(f"step {at} has a value already, and keeps it", stacklevel=2)
                return
            self._link.call(wire.Report(self._number, at, number), wire.Done)
            self.run.record_plain(at, number)

    def should_prune(self) -> bool:
        self._check_single("should_prune")
        if self.run.fitting:
            return False  # sweep.fit obeys the verdict itself
        return self.run.advise(self._link.call(wire.ShouldPrune(self._number), wire.Advice))

    def _check_single(self, what: str) -> None:
        if len(self._policy.objectives) > 1:
            raise NotImplementedError(f"trial.{what} is for studies with one objective")

    def set_user_attr(self, key: str, value: Any) -> None:
        self._link.call(wire.Attribute(self._number, "user", key, value), wire.Done)
        self._user_attrs[key] = value

    def set_constraint(self, key: str, value: float) -> None:
        """Set a constraint; the trial is feasible where all are 0 or less. A constraint keeps its first value."""
        number = float(value)
        if math.isnan(number):
            raise ValueError(f"a constraint is a number, and {key} is NaN")
        if key in self._constraints:
            warnings.warn(f"the constraint {key} has a value already, and keeps it", stacklevel=2)
            return
        self._link.call(wire.Attribute(self._number, "constraint", key, number), wire.Done)
        self._constraints[key] = number

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
    def constraints(self) -> dict[str, float]:
        return dict(self._constraints)

    @property
    def datetime_start(self) -> datetime.datetime | None:
        return self._datetime_start

    @property
    def number(self) -> int:
        return self._number

    @property
    def study(self) -> TrialStudy:
        """The study, which can be stopped: `trial.study.stop()`."""
        return TrialStudy(self._link, self._number, self._policy.objectives)

    # What its run asks for (`sweep.worker.run.Reporter`).

    def start(self, family: str | None, architecture: str | None, epochs: int | None) -> wire.Started:
        """Have the run named."""
        started = self._link.call(wire.Begin(self._number, family, architecture, epochs, self.failed), wire.Started)
        if self.preview:
            self.previewed = True
            raise Previewed
        if started.stop is not None:
            self.run.started = started
            self.run.obey(wire.Advice("prune", started.stop))
            self.run.leave()
        if self._begun is not None:
            self._begun()
        return started

    def begin_training(self, training: LiveTraining) -> None:
        """Announce that a training begins or continues, and whether pruners see it."""
        about = training.record_of().as_dict()
        self._link.call(wire.BeginTraining(self._number, about, training.unpausable), wire.Done)

    def send_epoch(
        self,
        epoch: int,
        metrics: dict[str, float],
        training: LiveTraining,
        findings: Sequence[Finding] | None,
        broken: str | None,
    ) -> None:
        """Send an epoch's metrics and findings; the verdict is received afterwards."""
        plain = None if findings is None else [found.as_dict() for found in findings]
        self._link.send(wire.Epoch(self._number, epoch, metrics, plain, broken, training.unpausable))

    def receive_verdict(self) -> wire.Advice:
        """What the coordinator says of the epoch that was sent."""
        return self._link.receive(wire.Advice)

    def resume(self, epoch: int, log: Sequence[Mapping[str, float]]) -> None:
        """Report epochs of the present training, from this one of the run on, that an earlier attempt has trained."""
        self._link.call(wire.Resume(self._number, epoch, log), wire.Done)

    @property
    def feasible(self) -> bool:
        """Whether all constraints that were set are met."""
        return all(value <= 0 for value in self._constraints.values())

    def end(
        self, state: str, values: list[float] | None, reason: str | None, traceback: str | None
    ) -> tuple[str, str, float | None]:
        """End the trial; the state, the reason and the duration (in seconds) that the coordinator gives it."""
        trainings = [training.record_of().as_dict() for training in self.run.trainings]
        ended = self._link.call(wire.End(self._number, state, values, reason, traceback, trainings), wire.Ended)
        return ended.state, ended.reason or "", ended.duration
