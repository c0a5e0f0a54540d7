"""A trial's run as it is trained: its name and directory, its event file, its history, its end.

It opens with the first `sweep.fit` (or report) and closes when the objective has ended, whatever happened between.
"""

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
from sweep.events import RunWriter, restart, run_text
from sweep.train.findings import Finding


class Requeued(BaseException):
    """The trial is to be run again: the study stops. Not caught by user code's `except Exception`."""


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
    def send_epoch(self, epoch: int, metrics: dict[str, float], finding: str | None) -> None: ...
    def receive_verdict(self) -> dict[str, Any]: ...


class Run:
    """One trial's run.

    Args:
        reporter: whom it reports to.
        objective, direction: the study's.
        value: `best` or `last`: which epoch's objective is the trial's value.
        epochs: how many epochs the study wants; `force_epochs` makes it override what `sweep.fit` is given.
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
    ) -> None:
        self.reporter = reporter
        self.objective = list(objective)
        self.direction = direction[0]
        self.maximize = self.direction == "maximize"
        self.which = value
        self.epochs = epochs
        self.force_epochs = force_epochs
        self.epoch = 0  # finished epochs
        self.history: dict[str, list[float]] = {}
        self.finding: Finding | None = None
        self.verdict: str = "go"
        self.reason: str | None = None
        self.fitting = False
        self.started: Started | None = None
        self.writer: RunWriter | None = None

    @property
    def named(self) -> bool:
        """Whether the run has its name, after which no parameter may come."""
        return self.started is not None

    def begin(self, family: str | None, architecture: str | None, epochs: int | None) -> RunWriter:
        """Have the run named, and open its event file with its HParams record and text; once."""
        if self.writer is not None:
            return self.writer
        self.started = self.reporter.start(family, architecture, epochs)
        directory = Path(self.started.directory)
        restart(directory)
        self.writer = RunWriter(directory)
        group = f"{self.started.name}"
        start = hparams.build_start(self.reporter.params, self.reporter.distributions, group, time.time())
        self.writer.add(start, step=0)
        self._write_text("RUNNING", "")
        self.writer.flush()
        return self.writer

    def begin_plain(self) -> None:
        """Open the run of an objective that trains without `sweep.fit`."""
        self.begin(None, None, None)

    def record(self, metrics: Mapping[str, float]) -> None:
        """Add an epoch to the history."""
        for name, value in metrics.items():
            self.history.setdefault(name, []).append(value)

    def record_plain(self, step: int, value: float) -> None:
        """Write a value that an objective without `sweep.fit` reported."""
        self.record({self.objective[0]: value})
        self.epoch = max(self.epoch, step + 1)
        if self.writer is not None:
            self.writer.scalars(step, {self.objective[0]: value})
            self.writer.flush()

    def check_objective(self, names: Sequence[str]) -> None:
        """Refuse an objective that no epoch reports.

        Raises:
            StudyError: it lists the metrics there are.
        """
        missing = [name for name in self.objective if name not in names]
        if names and missing:
            raise StudyError(
                "the objective must be a metric that an epoch reports", repr(missing[0]), f"there is {', '.join(names)}"
            )

    def obey(self, answer: Mapping[str, Any]) -> bool:
        """Take the coordinator's verdict; True if training must stop."""
        self.verdict = answer["verdict"]
        if self.verdict == "go":
            return False
        self.reason = answer["reason"]
        if self.verdict == "requeue" and not self.fitting:
            raise Requeued(self.reason)
        return True

    def leave(self) -> None:
        """After training: raise what the verdict means, if it was not to go on.

        Raises:
            optuna.TrialPruned: the run is pruned.
            Requeued: it will be run again.
        """
        if self.verdict == "prune":
            raise optuna.TrialPruned(self.reason)
        if self.verdict == "requeue":
            raise Requeued(self.reason)

    def value(self) -> float | list[float]:
        """The trial's value: the best or the last epoch's; of several objectives the last epoch's."""
        if len(self.objective) > 1:
            return [self.history[name][-1] for name in self.objective]
        values = self.history[self.objective[0]]
        finite = [value for value in values if math.isfinite(value)]
        if self.which == "last" or not finite:
            return values[-1]
        return max(finite) if self.maximize else min(finite)

    def close(self, state: str, reason: str | None) -> None:
        """Write the end and close the event file; a run that never began has nothing to close."""
        if self.writer is None:
            return
        self.writer.add(hparams.build_end(state, time.time()), step=0)
        values = self.history.get(self.objective[0], [])
        finite = [value for value in values if math.isfinite(value)]
        if finite:
            best = max(finite) if self.maximize else min(finite)
            self.writer.scalars(max(0, self.epoch - 1), {f"best/{self.objective[0]}": best})
        self._write_text(state, reason or "")
        self.writer.close()
        self.writer = None

    def abandon(self) -> None:
        """Close the event file with no end: the run will be run again."""
        if self.writer is not None:
            self.writer.close()
            self.writer = None

    def _write_text(self, state: str, reason: str) -> None:
        if self.started is None or self.writer is None:
            return
        about = {name: value for name, value in self.started.text.items() if value is not None}
        if self.finding is not None:
            about["finding"] = str(self.finding)
        text = run_text(name=self.started.name, params=self.reporter.params, state=state, reason=reason, about=about)
        self.writer.text("run", text, step=0 if state == "RUNNING" else 1)


def numbers(logs: Mapping[str, Any]) -> dict[str, float]:
    """Keras' logs as Python floats; what is no single number is left out."""
    found = {}
    for name, value in logs.items():
        array = np.asarray(value)
        if array.size == 1:
            found[name] = float(array.reshape(()))
    return found
