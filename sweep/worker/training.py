"""A training: one model's epochs within a trial, as it is trained.

A trial may have several: folds, a network that is pretrained and another that uses it. Each counts its own epochs and
has its own curve, History and kept weights. A further `sweep.fit` with the same model continues its training.
"""

import math
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sweep.objective import Objective
from sweep.store.records import Training

if TYPE_CHECKING:
    from sweep.worker.weights import Weights


@dataclass
class LiveTraining:
    """One model's epochs within a trial.

    Attributes:
        number: which one of the trial, from 0.
        objective: what decides which epoch is the best; its name is the metric that each epoch is judged by.
        result: which epoch's value `sweep.fit` returns: `best` or `last`.
        first: the run's epoch, from 0, at which it begins.
        start: Keras' number of its first epoch; above 0 where the model was trained before, or `initial_epoch` said so.
        judged: whether pruners see it; `marked` whether the user said so.
        label: what the user calls it, such as `fold 2 of 5`.
        planned: how many epochs it is to have by now.
        asked: how many its calls were given; None where they were given none.
        model: the model, or what is left of it, to tell whether the next call continues it.
        architecture: the model's.
        log: the metrics of each finished epoch.
        call: the epoch, within the training, at which the present call of `sweep.fit` begins.
        best: the best finite value of the present call, `best_epoch` its epoch within the training.
        weights: those of the epoch whose value counts.
        value: what the last call returned.
        how: in which way its epochs ran, and how fast, as a sentence; known when they have.
        unpausable: why it cannot be resumed exactly, so that it is not paused; None where it can.
    """

    number: int
    objective: Objective
    result: str
    first: int = 0
    start: int = 0
    judged: bool = True
    marked: bool = False
    label: str | None = None
    planned: int = 0
    asked: int | None = None
    model: "weakref.ref[Any] | None" = None
    architecture: str | None = None
    log: list[Mapping[str, float]] = field(default_factory=list)
    call: int = 0
    best: float | None = None
    best_epoch: int | None = None
    weights: "Weights | None" = None
    value: float | None = None
    how: str | None = None
    unpausable: str | None = None

    @property
    def epochs(self) -> int:
        """How many epochs are finished."""
        return len(self.log)

    @property
    def history(self) -> dict[str, list[float]]:
        """The metrics of the finished epochs by name, as Keras' History has them."""
        found: dict[str, list[float]] = {}
        for metrics in self.log:
            for name, value in metrics.items():
                found.setdefault(name, []).append(value)
        return found

    def is_of(self, model: Any) -> bool:
        """Whether this is the training of a model."""
        return self.model is not None and self.model() is model

    def ask(self, epochs: int | None) -> None:
        """Note how many epochs a call was given."""
        if epochs is not None:
            self.asked = (self.asked or 0) + int(epochs)

    def begin_call(self) -> None:
        """Another call of `sweep.fit` begins: it has a best epoch of its own."""
        self.call, self.best, self.best_epoch, self.weights = self.epochs, None, None, None

    def record(self, metrics: Mapping[str, float]) -> bool:
        """Add a finished epoch; whether it is the one whose weights are to be kept by now."""
        self.log.append(dict(metrics))
        value = metrics.get(self.objective.name, math.nan)
        if math.isfinite(value) and self.objective.better(value, self.best):
            self.best, self.best_epoch = value, self.epochs - 1
            return True
        return self.result == "last" or self.best is None

    def kept_epoch(self) -> int | None:
        """The epoch, within the training, whose weights are kept; None before the first."""
        if self.result == "last" or self.best_epoch is None:
            return self.epochs - 1 if self.epochs else None
        return self.best_epoch

    def returned(self) -> float:
        """What `sweep.fit` returns for the present call: the objective at its best epoch, or at its last."""
        last = self.log[-1].get(self.objective.name, math.nan)
        self.value = last if self.result == "last" or self.best is None else self.best
        return self.value

    def record_of(self) -> Training:
        """The training as the store has it."""
        return Training(
            number=self.number,
            label=self.label,
            judged=self.judged,
            marked=self.marked,
            first=self.first,
            epochs=self.epochs,
            planned=self.planned,
            architecture=self.architecture,
            monitor=self.objective.name,
            value=self.value,
            best_epoch=self.kept_epoch(),
            how=self.how,
            asked=self.asked,
            unpausable=self.unpausable,
        )
