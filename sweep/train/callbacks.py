"""`sweep.callbacks`: names, events, HParams and pruning in a script of one's own, with no coordinator.

def objective(trial):
    model = ...
    history = model.fit(..., callbacks=sweep.callbacks(trial, model, objective="val_loss", direction="minimize"))
    return min(history.history["val_loss"])

optuna.create_study().optimize(objective, n_trials=20)
"""

import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import keras
import optuna
from optuna.distributions import BaseDistribution

from sweep.errors import StudyError
from sweep.events import run_directory
from sweep.names import KeyTable, encode
from sweep.train.gradients import gradients_of
from sweep.train.monitor import Monitor
from sweep.train.run import Run, Started

_tables: weakref.WeakKeyDictionary[optuna.Study, KeyTable] = weakref.WeakKeyDictionary()


class _Alone:
    """Reports to a study of plain Optuna (`sweep.train.run.Reporter`)."""

    def __init__(self, trial: optuna.Trial, logdir: str, objective: str) -> None:
        self._trial = trial
        self._logdir = logdir
        self._objective = objective

    @property
    def number(self) -> int:
        return self._trial.number

    @property
    def params(self) -> dict[str, Any]:
        return dict(self._trial.params)

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        return dict(self._trial.distributions)

    def start(self, family: str | None, architecture: str | None, epochs: int | None) -> Started:
        study = self._trial.study
        keys = _tables.setdefault(study, KeyTable())
        for name in self._trial.params:
            keys.assign(name)
        name = encode(
            self._trial.params,
            number=self.number,
            family=family or study.study_name,
            keys=keys,
            architecture=architecture,
        )
        keys.settle()
        self._trial.set_user_attr("run", name)
        return Started(
            name, str(run_directory(Path(self._logdir), study.study_name, name)), {"study": study.study_name}
        )

    def send_epoch(self, epoch: int, metrics: dict[str, float], finding: str | None) -> None:
        self._epoch, self._value = epoch, metrics[self._objective]
        self._trial.report(self._value, epoch)

    def receive_verdict(self) -> dict[str, Any]:
        if self._value != self._value or abs(self._value) == float("inf"):
            return {"verdict": "prune", "reason": f"{self._objective} is {self._value} at epoch {self._epoch + 1}"}
        if self._trial.should_prune():
            pruner = type(self._trial.study.pruner).__name__
            shown = f"{self._objective} {self._value:.4g} at epoch {self._epoch + 1}"
            return {"verdict": "prune", "reason": f"{pruner}: {shown}"}
        return {"verdict": "go"}


class _AloneMonitor(Monitor):
    """A monitor that ends its run with the training, since nobody else will."""

    def __init__(self, run: Run, **settings: Any) -> None:
        super().__init__(run, validation=None, **settings)
        # An exception in `fit` skips `on_train_end`; the run still gets an end when this callback goes.
        self._end = weakref.finalize(self, run.close, "FAIL", "training did not come to its end")

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Close the run; a pruned one raises, as an Optuna objective is to."""
        self._end.detach()
        state = "PRUNED" if self._run.verdict == "prune" else "COMPLETE"
        self._run.close(state, self._run.reason)
        self._run.leave()


def callbacks(
    trial: optuna.Trial,
    model: keras.Model,
    *,
    objective: str,
    direction: Literal["minimize", "maximize"],
    logdir: str = "runs",
    x: Any = None,
    y: Any = None,
    histograms: int = 1,
    gradients: bool | int = False,
    graph: bool = True,
) -> list[keras.callbacks.Callback]:
    """Callbacks for `model.fit` in an objective of plain Optuna. They come last in the list of callbacks.

    Each run is named after the trial's parameters and the model, and written to `LOGDIR/STUDY/RUN` for TensorBoard.
    Each epoch is reported to the trial; one that Optuna's pruner stops, or whose objective is NaN or infinite, ends
    with `optuna.TrialPruned` when the training has ended.

    Args:
        trial: of `study.optimize`, with every parameter suggested.
        model: the model that will be trained.
        objective, direction: the metric that decides, e.g. `val_loss`, and where to: `minimize` or `maximize`.
        logdir: the folder that holds a folder for each study.
        x, y: inputs and targets, needed for `gradients` alone.
        histograms, gradients, graph: as in `sweep.fit`.

    Raises:
        StudyError: the direction is none, or `gradients` has no data.
    """
    if direction not in ("minimize", "maximize"):
        raise StudyError("a direction is minimize or maximize", repr(direction))
    if gradients and (x is None or y is None):
        raise StudyError("gradients need data", "none", "give sweep.callbacks the x and y that fit is given")
    run = Run(_Alone(trial, logdir, objective), objective=[objective], direction=[direction])
    compute = gradients_of(x, y, 32 if gradients is True else int(gradients)) if gradients else None
    return [_AloneMonitor(run, histograms=histograms, gradients=compute, graph=graph)]
