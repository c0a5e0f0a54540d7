"""A trial's run as it is trained: its name and directory, its event file, its trainings, its end.

It opens with the first `sweep.fit` (or report) and closes when the objective has ended, whatever happened between.
"""

import logging
import math
import time
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import optuna
from optuna.distributions import BaseDistribution

from sweep.errors import StudyError
from sweep.finding import Finding
from sweep.names import session_group
from sweep.objective import Objective
from sweep.rundir import remove_weights
from sweep.tensorboard import hparams
from sweep.tensorboard.event_files import (
    BEST_TAG,
    RUN_TAG,
    EpochScalars,
    RunWriter,
    end_scalars,
    files,
    restart,
    run_text,
)
from sweep.wire.messages import Advice, Started
from sweep.worker.checkpoints import Checkpoint, newest, save
from sweep.worker.checkpoints import remove as remove_checkpoints
from sweep.worker.training import LiveTraining
from sweep.worker.weights import Weights, load_weights, save_weights

EPOCHS = 10
"""How many epochs a training has where neither its call nor the study says it."""

_log = logging.getLogger(__name__)


class Requeued(BaseException):
    """The trial is to be run again: the study stops. Not caught by user code's `except Exception`."""


class Pausing(Requeued):
    """The trial is to wait at a rung, where its checkpoint is."""


class Interrupted(Requeued, KeyboardInterrupt):
    """Ctrl-C twice where trials are trained in the coordinator's process: the running one will be run again."""


class StartOver(BaseException):
    """A resumed trial's checkpoint does not fit its model: `train` is to run again, from the trial's beginning."""


class Reporter(Protocol):
    """Whom a run reports to: the coordinator, or a study of plain Optuna."""

    @property
    def number(self) -> int: ...
    @property
    def params(self) -> dict[str, Any]: ...
    @property
    def distributions(self) -> dict[str, BaseDistribution]: ...
    def start(self, family: str | None, architecture: str | None, epochs: int | None) -> Started: ...
    def begin_training(self, training: LiveTraining) -> None: ...
    def send_epoch(
        self,
        epoch: int,
        metrics: dict[str, float],
        training: LiveTraining,
        findings: Sequence[Finding] | None,
        broken: str | None,
    ) -> None: ...
    def receive_verdict(self) -> Advice: ...
    def resume(self, epoch: int, log: Sequence[Mapping[str, float]]) -> None: ...


@dataclass(frozen=True)
class Policy:
    """What the study says about each of its runs.

    Attributes:
        objectives: what decides; the first one where there are several.
        result: which epoch's value `sweep.fit` returns: `best` or `last`.
        epochs: how many epochs a training has where `sweep.fit` is given none; `force_epochs`: also where it is.
        keep: whether the weights of each training's best epoch stay in the run's directory.
        broken: what is done about severe findings: `prune`, `report`, or `ignore`, which looks for none at all.
        judged: the first training that pruners see unless one is marked, from 0; another trial may have marked one.
        pauses: whether runs may be paused, so that what they continue from is kept whatever `checkpoint=` says.
    """

    objectives: Sequence[Objective]
    result: str = "best"
    epochs: int | None = None
    force_epochs: bool = False
    keep: bool = False
    broken: str = "prune"
    judged: int = 0
    pauses: bool = False


class Run:
    """One trial's run.

    Args:
        reporter: whom it reports to.
        policy: what the study says.
        earlier: the directory of an earlier attempt, whose checkpoints it continues from.
        start_over: continue from nothing that an earlier attempt has left.
    """

    def __init__(
        self, reporter: Reporter, policy: Policy, *, earlier: Path | None = None, start_over: bool = False
    ) -> None:
        self.reporter = reporter
        self.policy = policy
        self.objective = policy.objectives[0]
        self.directory = earlier
        self._earlier = None if start_over else earlier
        self._start_over = start_over
        self.fresh = True  # whether its directory holds nothing of an earlier attempt
        self.trainings: list[LiveTraining] = []
        self._trained: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()  # Keras epochs of each model
        self.calls = 0  # of `sweep.fit`
        self.pending: Checkpoint | None = None  # of a call that has ended, written when another one begins
        self.epoch = 0  # finished epochs of all trainings
        self.reported: set[int] = set()  # the steps that have a value in Optuna's tables
        self.findings: list[Finding] = []
        self.verdict: str = "go"
        self.reason: str | None = None
        self.final: str | None = None  # the state that a verdict gave the trial, whatever its objective makes of it
        self.fitting = False
        self.started: Started | None = None
        self.writer: RunWriter | None = None
        self._scalars = EpochScalars({})
        self._names: set[str] = set()  # of the metrics that were written
        self._texts = 0  # the step of the last text
        self._plain: list[float] = []  # what an objective reported without `sweep.fit`

    @property
    def named(self) -> bool:
        """Whether the run has its name, after which no parameter may come."""
        return self.started is not None

    @property
    def training(self) -> LiveTraining:
        """The present training."""
        return self.trainings[-1]

    @property
    def judged_training(self) -> LiveTraining | None:
        """The training whose epochs pruners judge, if one of them is."""
        return next((training for training in self.trainings if training.judged), None)

    def begin(self, family: str | None, architecture: str | None, epochs: int | None, *, at: int = 0) -> RunWriter:
        """Have the run named, and open its event file with its HParams record and text; once.

        Args:
            at: how many epochs of an earlier attempt stay; its records do then too, unless it was another run.
        """
        if self.writer is not None:
            return self.writer
        self.started = self.reporter.start(family, architecture, epochs)
        self.directory = Path(self.started.directory)
        self.fresh = not files(self.directory)
        if self._start_over:
            remove_checkpoints(self.directory)
        restart(self.directory, at)
        self.writer = RunWriter(self.directory)
        self._scalars = EpochScalars(self.reporter.params)
        if at == 0 or self.fresh:
            params, distributions = self.reporter.params, self.reporter.distributions
            group = session_group(self.started.name)
            start = hparams.build_start(params, distributions, group, self.started.started)
            self.writer.add(start, step=0)
            self._write_text("RUNNING", "")
            self.writer.flush()
        return self.writer

    def begin_plain(self) -> None:
        """Open the run of an objective that trains without `sweep.fit`."""
        self.begin(None, None, None)

    # Trainings.

    def wanted_epochs(self, given: int | None) -> int:
        """How many epochs a training has: `given`, or the study's, or 10; `sweep start --epochs` overrides both.

        Raises:
            StudyError: it is no number of epochs.
        """
        wanted = self.policy.epochs if self.policy.force_epochs or given is None else given
        wanted = EPOCHS if wanted is None else wanted
        if isinstance(wanted, bool) or not isinstance(wanted, Integral) or wanted < 1:
            raise StudyError(f"epochs must be a whole number of at least 1, not {wanted!r}.")
        return int(wanted)

    def open_training(
        self,
        model: Any,
        *,
        label: str | None = None,
        judge: bool | None = None,
        monitor: str | None = None,
        initial_epoch: int = 0,
    ) -> LiveTraining:
        """The training of a model that `sweep.fit` is called with: a new one, or the present one, which continues.

        Args:
            label: what the user calls it.
            judge: whether pruners see it; None for the first one that is not excluded.
            monitor: the metric to judge its epochs by; None for the objective.
            initial_epoch: Keras' number of the first epoch of a model that was not trained before.

        Raises:
            StudyError: two trainings of the trial are marked `judge=True`.
        """
        if self.trainings and self.training.is_of(model):
            self.training.begin_call()
            return self.training
        judged = self.judged_training
        number = len(self.trainings)
        wanted = judge if judge is not None else judged is None and number >= self.policy.judged
        if wanted and judged is not None:
            if judged.marked:
                raise StudyError(
                    f"Trainings {judged.number + 1} and {number + 1} of one trial are both marked judge=True.",
                    hint="Mark the one whose epochs pruners are to compare.",
                )
            judged.judged = False
            self.reported.clear()
        several = len(self.policy.objectives) > 1
        training = LiveTraining(
            number=number,
            objective=self.objective if monitor is None else Objective(monitor, self.objective.direction),
            result="last" if several else self.policy.result,
            first=self.epoch,
            start=self._trained.get(model, initial_epoch),
            judged=bool(wanted),
            marked=judge is True,
            label=label,
            model=weakref.ref(model),
        )
        self.trainings.append(training)
        return training

    def kept(self, call: int) -> Checkpoint | None:
        """What an earlier attempt has left of a call of `sweep.fit`, counted from 0."""
        if self._start_over:
            return None
        for directory in dict.fromkeys((self.directory, self._earlier)):
            found = newest(directory, call, self.epoch) if directory is not None else None
            if found is not None:
                return found
        return None

    def resume(self, kept: Checkpoint) -> None:
        """Take over the epochs of a checkpoint, and report them."""
        training, first = self.training, self.epoch
        for epoch, metrics in enumerate(kept.log, start=first):
            self.record(epoch, metrics)
            self.write(epoch, metrics, written=first == 0 and not self.fresh)
        if kept.arrays["best"]:
            training.weights = Weights(arrays=kept.arrays["best"], **kept.state["best"])
        if self.policy.pauses:
            self._write_text("RUNNING", "")
        self.reporter.resume(first, kept.log)

    def write(self, epoch: int, metrics: Mapping[str, float], *, written: bool = False) -> None:
        """Write an epoch's scalars; with `written`, know that an earlier attempt has."""
        for step, values in self._scalars.at(epoch, metrics):
            if values and not written and self.writer is not None:
                self.writer.scalars(step, values)

    def record(self, epoch: int, metrics: Mapping[str, float]) -> bool:
        """Add an epoch of the present training; whether it is the one whose weights are to be kept by now.

        Args:
            epoch: of the run, from 0.
            metrics: by name.
        """
        training = self.training
        if training.judged:
            self.reported.add(training.epochs)
        self.epoch = epoch + 1
        self._names.update(metrics)
        model = training.model() if training.model is not None else None
        if model is not None:
            self._trained[model] = training.start + training.epochs + 1
        return training.record(metrics)

    def record_plain(self, step: int, value: float) -> None:
        """Record and write a value that an objective reported without `sweep.fit`."""
        self.reported.add(step)
        self._plain.append(value)
        if self.trainings:  # a value for each fold, beside epochs that pruners do not see
            return
        self._names.add(self.objective.name)
        in_order = step >= self.epoch
        self.epoch = max(self.epoch, step + 1)
        if self.writer is not None and in_order:  # TensorBoard drops steps that go back
            self.writer.scalars(step, {self.objective.name: value})
            self.writer.flush()

    def check_objective(self, names: Sequence[str], *, validation: bool | None = None) -> None:
        """Refuse an objective that no epoch of a judged training reports.

        Args:
            names: the metrics that each epoch has.
            validation: whether there are data to validate with, if that is known.

        Raises:
            StudyError: it lists the metrics there are.
        """
        missing = next((name for name in self.expected() if name not in names), None)
        if missing is None:
            return
        there = f"Each epoch reports {', '.join(sorted(names))}. " if names else ""
        if validation is False and missing.startswith("val_"):
            hint = "Give sweep.fit validation_data or a validation_split."
            raise StudyError(f"No epoch reports {missing!r} without validation data.", hint=f"{there}{hint}")
        hint = "Choose one of these as the objective, or name one with sweep.fit(monitor=...)."
        raise StudyError(f"No epoch reports the objective {missing!r}.", hint=f"{there}{hint}")

    def expected(self) -> list[str]:
        """The metrics that each epoch of the present training must report."""
        training = self.training
        if training.objective is not self.objective:
            return [training.objective.name]
        return [objective.name for objective in self.policy.objectives] if training.judged else []

    # Verdicts.

    def obey(self, advice: Advice) -> bool:
        """Take the verdict on an epoch; True if the training must stop, after which `leave` raises what it means."""
        self.verdict, self.reason = advice.verdict, advice.reason or None
        return self.verdict != "go"

    def advise(self, advice: Advice) -> bool:
        """Take the verdict that an objective without `sweep.fit` asked for; True if it should raise `TrialPruned`.

        It cannot be told to finish early in another way, so it is pruned then.

        Raises:
            Requeued: it will be run again, which an objective does not ask for.
        """
        self.reason = advice.reason or None
        if advice.verdict == "requeue":
            self.final = "WAITING"
            raise Requeued(self.reason)
        return advice.verdict in ("prune", "pause", "finish")

    @property
    def interrupted(self) -> bool:
        """Whether the verdict has ended the present training before its end; early is not before it."""
        return self.verdict in ("prune", "pause", "requeue")

    def leave(self, *, finished: bool = False) -> None:
        """Raise what the verdict means, if it was not to continue.

        Args:
            finished: the training had no more epochs: it need not be run again for the study to stop.

        Raises:
            optuna.TrialPruned: the run is pruned.
            Requeued: it will be run again.
        """
        if self.verdict == "prune":
            self.final = "PRUNED"
            raise optuna.TrialPruned(self.reason)
        if self.verdict == "pause":
            self.final = "PAUSED"
            raise Pausing(self.reason)
        if self.verdict == "requeue" and not finished:
            self.final = "WAITING"
            raise Requeued(self.reason)

    # What it returns and leaves.

    def returned(self) -> float | list[float]:
        """What the present call of `sweep.fit` returns; with several objectives the last epoch's value of each."""
        training = self.training
        value = training.returned()
        if len(self.policy.objectives) > 1 and training.objective is self.objective:
            last = training.log[-1]
            return [last.get(objective.name, math.nan) for objective in self.policy.objectives]
        return value

    def save_pending(self) -> None:
        """Keep what has ended so that the trial can be resumed: the last call's checkpoint, and its model's weights.

        To be called when another call begins. A trial of a single training, which most are, pays for neither.
        """
        pending, self.pending = self.pending, None
        if pending is not None and self.directory is not None:
            try:
                save(self.directory, pending)
            except OSError as error:  # such as a full disk: the training continues, and would begin anew if resumed
                _log.warning("no checkpoint could be written to %s: %s", self.directory, error)
        if self.trainings:
            self._save_weights(self.training)

    def save_weights(self) -> None:
        """Keep the weights of each training's chosen epoch, if they are to be kept."""
        for training in self.trainings:
            self._save_weights(training)

    def has_weights(self, training: LiveTraining) -> bool:
        """Whether the run's directory has the weights of a training's chosen epoch already, from an earlier attempt."""
        found = load_weights(self.directory, training.number) if self.directory is not None else None
        return found is not None and found.epoch == training.kept_epoch()

    def _save_weights(self, training: LiveTraining) -> None:
        if not self.policy.keep or training.weights is None or self.directory is None:
            return
        try:
            save_weights(self.directory, training.weights, training.number)
        except OSError as error:  # such as a full disk: the trial's value is worth more
            _log.warning("the weights of %s could not be kept: %s", self.directory, error)
        training.weights = None

    def close(
        self,
        state: str,
        reason: str | None,
        *,
        values: Sequence[float] | None = None,
        feasible: bool = True,
        duration: float | None = None,
    ) -> None:
        """Write the end and close the event file; a run that never began has nothing to close.

        Args:
            state, reason: how the trial ended, and why.
            values: what `train` returned, of a COMPLETE trial.
            feasible: whether it meets its constraints.
            duration: seconds of training, all attempts together, as the store has it; None if nobody counts them.
        """
        if self.writer is None or self.started is None:
            return
        self.writer.add(hparams.build_end(state, self._end_time(duration)), step=0)
        judged = self.judged_training
        names = [objective.name for objective in self.policy.objectives]
        returned = values if state == "COMPLETE" else None
        scalars = end_scalars(names, returned, self._names, self.reporter.params, feasible=feasible)
        best = self._best(judged)
        if best is not None:
            scalars[f"{BEST_TAG}{self.objective.name}"] = best
        if scalars:
            self.writer.scalars(max(0, self.epoch - 1), scalars)
        self._write_text(state, reason or "")
        self.writer.close()
        self.writer = None
        if state == "FAIL" and self.directory is not None:
            remove_weights(self.directory)
        if state != "PRUNED" and self.directory is not None:  # which may have been by mistake
            remove_checkpoints(self.directory)

    def pause(self, reason: str) -> None:
        """Close the event file with no end: the run waits, for the reason that its text gives."""
        self._write_text("PAUSED", reason)
        self.abandon()

    def abandon(self) -> None:
        """Close the event file with no end: the run will be run again."""
        if self.writer is not None:
            self.writer.close()
            self.writer = None

    def _best(self, judged: LiveTraining | None) -> float | None:
        """The best finite value of the epochs that pruners see, or of what was reported; None if there is none."""
        name = judged.objective.name if judged is not None else self.objective.name
        values = [metrics.get(name, math.nan) for metrics in judged.log] if judged is not None else self._plain
        finite = [value for value in values if math.isfinite(value)]
        return self.objective.best(finite)

    def _end_time(self, duration: float | None) -> float:
        """When the run ended, so that TensorBoard shows the duration that the store has."""
        if duration is None or self.started is None:
            return time.time()
        return self.started.started + duration

    def _write_text(self, state: str, reason: str) -> None:
        if self.started is None or self.writer is None:
            return
        about = {name: value for name, value in self.started.text.items() if value is not None}
        params, found = self.reporter.params, [str(finding) for finding in self.findings]
        text = run_text(self.started.name, params, state, reason, about, found)
        if state == "RUNNING" and not self.epoch:
            self._texts = 0
        else:  # a run that pauses has several, in the order of its epochs
            self._texts = max(1, self.epoch if self.policy.pauses else 0, self._texts + 1)
        self.writer.text(RUN_TAG, text, step=self._texts)


def numbers(logs: Mapping[str, Any]) -> dict[str, float]:
    """Keras' logs as Python floats; what is no single number is left out."""
    found = {}
    for name, value in logs.items():
        array = np.asarray(value)
        if array.size == 1:
            found[name] = float(array.reshape(()))
    return found
