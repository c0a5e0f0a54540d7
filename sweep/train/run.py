"""A trial's run as it is trained: its name and directory, its event file, its history, its end.

It opens with the first `sweep.fit` (or report) and closes when the objective has ended, whatever happened between.
"""

import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import optuna
from optuna.distributions import BaseDistribution

from sweep import hparams
from sweep.errors import StudyError
from sweep.events import BEST_TAG, RUN_TAG, RunWriter, files, restart, run_text
from sweep.finding import Finding
from sweep.rundir import remove_weights
from sweep.train.checkpoints import Checkpoint, newest
from sweep.train.checkpoints import remove as remove_checkpoints
from sweep.train.weights import Weights, save_weights

_log = logging.getLogger(__name__)


class Requeued(BaseException):
    """The trial is to be run again: the study stops. Not caught by user code's `except Exception`."""


class Interrupted(Requeued, KeyboardInterrupt):
    """Ctrl-C twice where trials are trained in the coordinator's process: the running one will be run again."""


@dataclass(frozen=True)
class Started:
    """A named run: its name, its directory, and what its text says beside parameters."""

    name: str
    directory: str
    text: Mapping[str, Any] = field(default_factory=dict)


class Reporter(Protocol):
    """Whom a run reports to: the coordinator, or a study of plain Optuna."""

    @property
    def number(self) -> int: ...
    @property
    def params(self) -> dict[str, Any]: ...
    @property
    def distributions(self) -> dict[str, BaseDistribution]: ...
    def start(self, family: str | None, architecture: str | None, epochs: int | None) -> Started: ...
    def send_epoch(
        self, epoch: int, metrics: dict[str, float], findings: Sequence[Finding] | None, broken: str | None
    ) -> None: ...
    def receive_verdict(self) -> dict[str, Any]: ...
    def resume(self, epoch: int, log: Sequence[Mapping[str, float]]) -> None: ...


class Run:
    """One trial's run.

    Args:
        reporter: whom it reports to.
        objective, direction: the study's.
        value: `best` or `last`: which epoch's objective is the trial's value.
        epochs: how many epochs the study wants; `force_epochs` makes it override what `sweep.fit` is given.
        earlier: the directory of an earlier attempt, whose checkpoints it goes on from.
        keep: whether the weights of its best epoch stay in its directory.
        broken: what is done about severe findings: `prune`, `report`, or `ignore`, which looks for none at all.
    """

    def __init__(
        self,
        reporter: Reporter,
        *,
        objective: Sequence[str],
        direction: Sequence[str],
        value: str = "best",
        epochs: int | None = None,
        force_epochs: bool = False,
        earlier: Path | None = None,
        keep: bool = False,
        broken: str = "prune",
    ) -> None:
        self.reporter = reporter
        self.objective = list(objective)
        self.direction = direction[0]
        self.maximize = self.direction == "maximize"
        self.which = value
        self.epochs = epochs
        self.force_epochs = force_epochs
        self.keep = keep
        self.broken = broken
        self.directory = earlier
        self.fresh = True  # whether its directory holds nothing of an earlier attempt
        self._anew = False
        self.trainings = 0  # how often `sweep.fit` has begun
        self.best: float | None = None  # of the first objective, and finite
        self.weights: Weights | None = None  # of the epoch whose value is the trial's
        self.epoch = 0  # finished epochs
        self.log: list[Mapping[str, float]] = []  # the metrics of each
        self.reported: set[int] = set()  # the steps that have a value
        self.history: dict[str, list[float]] = {}
        self.findings: list[Finding] = []
        self.verdict: str = "go"
        self.reason: str | None = None
        self.stands: str | None = None  # the state that a verdict gave the trial, whatever its objective makes of it
        self.fitting = False
        self.started: Started | None = None
        self.writer: RunWriter | None = None

    @property
    def named(self) -> bool:
        """Whether the run has its name, after which no parameter may come."""
        return self.started is not None

    def begin(self, family: str | None, architecture: str | None, epochs: int | None, *, at: int = 0) -> RunWriter:
        """Have the run named, and open its event file with its HParams record and text; once.

        Args:
            at: how many epochs of an earlier attempt stand; its records do then too, unless it was another run.
        """
        if self.writer is not None:
            return self.writer
        self.started = self.reporter.start(family, architecture, epochs)
        self.directory = Path(self.started.directory)
        self.fresh = not files(self.directory)
        if self._anew:
            remove_checkpoints(self.directory)
        restart(self.directory, at)
        self.writer = RunWriter(self.directory)
        if at == 0 or self.fresh:
            params, distributions = self.reporter.params, self.reporter.distributions
            self.writer.add(hparams.build_start(params, distributions, self.started.name, time.time()), step=0)
            self._write_text("RUNNING", "")
            self.writer.flush()
        return self.writer

    def begin_plain(self) -> None:
        """Open the run of an objective that trains without `sweep.fit`."""
        self.begin(None, None, None)

    def kept(self, training: int) -> Checkpoint | None:
        """What an earlier attempt has left of a training; its epochs are the run's that follow those it has."""
        found = newest(self.directory, training) if self.directory is not None else None
        return found if found is not None and found.epoch >= self.epoch else None

    def begin_anew(self) -> None:
        """Go on from nothing that an earlier attempt has left."""
        self.directory, self._anew = None, True

    def resume(self, kept: Checkpoint) -> None:
        """Take the epochs of a checkpoint over, those that the run has not yet, and tell of them."""
        first, new = self.epoch, kept.log[self.epoch :]
        for epoch, metrics in enumerate(new, start=first):
            self.record(epoch, metrics)
            if (first > 0 or self.fresh) and self.writer is not None:  # others stand in the file before
                self.writer.scalars(epoch, metrics)
        if kept.arrays["best"]:
            self.weights = Weights(arrays=kept.arrays["best"], **kept.state["best"])
        self.reporter.resume(first, new)

    def record(self, epoch: int, metrics: Mapping[str, float]) -> bool:
        """Add an epoch, counted from 0, to the history; whether it is the one whose value is the trial's by now."""
        self.reported.add(epoch)
        self.epoch = max(self.epoch, epoch + 1)
        self.log.append(dict(metrics))
        for name, value in metrics.items():
            self.history.setdefault(name, []).append(value)
        value = metrics.get(self.objective[0], math.nan)
        better = self.best is None or (value > self.best if self.maximize else value < self.best)
        if math.isfinite(value) and better:
            self.best = value
            return True
        return self.which == "last" or len(self.objective) > 1

    def record_plain(self, step: int, value: float) -> None:
        """Record and write a value that an objective without `sweep.fit` reported."""
        in_order = step >= self.epoch
        self.record(step, {self.objective[0]: value})
        if self.writer is not None and in_order:  # TensorBoard drops steps that go back
            self.writer.scalars(step, {self.objective[0]: value})
            self.writer.flush()

    def check_objective(self, names: Sequence[str], *, validation: bool | None = None) -> None:
        """Refuse an objective that no epoch reports.

        Args:
            names: the metrics that each epoch has.
            validation: whether there are data to validate with, if that is known.

        Raises:
            StudyError: it lists the metrics there are.
        """
        missing = next((name for name in self.objective if name not in names), None)
        if missing is None:
            return
        there = f"there is {', '.join(sorted(names))}" if names else None
        if validation is False and missing.startswith("val_"):
            raise StudyError(
                "the objective must be a metric that an epoch reports",
                f"{missing!r} without validation_data",
                f"{f'{there}; ' if there else ''}give sweep.fit validation_data or a validation_split",
            )
        raise StudyError("the objective must be a metric that an epoch reports", repr(missing), there)

    def obey(self, answer: Mapping[str, Any]) -> bool:
        """Take the verdict on an epoch; True if the training must stop, after which `leave` raises what it means."""
        self.verdict, self.reason = answer["verdict"], answer.get("reason")
        return self.verdict != "go"

    def advise(self, answer: Mapping[str, Any]) -> bool:
        """Take the verdict that an objective without `sweep.fit` asked for; True if it should raise `TrialPruned`.

        Raises:
            Requeued: it will be run again, which an objective does not ask for.
        """
        self.reason = answer.get("reason")
        if answer["verdict"] == "requeue":
            self.stands = "WAITING"
            raise Requeued(self.reason)
        return bool(answer["verdict"] == "prune")

    def leave(self, *, finished: bool = False) -> None:
        """Raise what the verdict means, if it was not to go on.

        Args:
            finished: the training had no more epochs: it need not be run again for the study to stop.

        Raises:
            optuna.TrialPruned: the run is pruned.
            Requeued: it will be run again.
        """
        if self.verdict == "prune":
            self.stands = "PRUNED"
            raise optuna.TrialPruned(self.reason)
        if self.verdict == "requeue" and not finished:
            self.stands = "WAITING"
            raise Requeued(self.reason)

    def value(self) -> float | list[float]:
        """The trial's value: the best or the last epoch's; of several objectives the last epoch's."""
        if len(self.objective) > 1:
            return [self.history[name][-1] for name in self.objective]
        return self.history[self.objective[0]][-1] if self.which == "last" or self.best is None else self.best

    def save_weights(self) -> None:
        """Keep the weights of the epoch whose value is the trial's, if they are to be kept."""
        if self.keep and self.weights is not None and self.directory is not None:
            try:
                save_weights(self.directory, self.weights)
            except OSError as error:  # such as a full disk: the trial's value is worth more
                _log.warning("the weights of %s could not be kept: %s", self.directory, error)

    def close(self, state: str, reason: str | None) -> None:
        """Write the end and close the event file; a run that never began has nothing to close."""
        if self.writer is None:
            return
        self.writer.add(hparams.build_end(state, time.time()), step=0)
        if self.best is not None:
            self.writer.scalars(max(0, self.epoch - 1), {f"{BEST_TAG}{self.objective[0]}": self.best})
        self._write_text(state, reason or "")
        self.writer.close()
        self.writer = None
        if state == "FAIL" and self.directory is not None:
            remove_weights(self.directory)
        if state != "PRUNED" and self.directory is not None:  # which may have been by mistake
            remove_checkpoints(self.directory)

    def abandon(self) -> None:
        """Close the event file with no end: the run will be run again."""
        if self.writer is not None:
            self.writer.close()
            self.writer = None

    def _write_text(self, state: str, reason: str) -> None:
        if self.started is None or self.writer is None:
            return
        about = {name: value for name, value in self.started.text.items() if value is not None}
        params, told = self.reporter.params, [str(found) for found in self.findings]
        text = run_text(self.started.name, params, state, reason, about, told)
        self.writer.text(RUN_TAG, text, step=0 if state == "RUNNING" else 1)


def numbers(logs: Mapping[str, Any]) -> dict[str, float]:
    """Keras' logs as Python floats; what is no single number is left out."""
    found = {}
    for name, value in logs.items():
        array = np.asarray(value)
        if array.size == 1:
            found[name] = float(array.reshape(()))
    return found
