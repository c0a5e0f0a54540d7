"""`sweep.callbacks`: names, events, HParams and pruning in a script of one's own, with no coordinator.

def objective(trial):
    model = ...
    history = model.fit(..., callbacks=sweep.callbacks(trial, objective="val_loss", direction="minimize"))
    return min(history.history["val_loss"])

optuna.create_study().optimize(objective, n_trials=20)
"""

import math
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import keras
import optuna
from optuna.distributions import BaseDistribution

from sweep.errors import StudyError
from sweep.finding import Finding
from sweep.names import KeyTable, encode
from sweep.objective import Objective
from sweep.option_values import STUDY_NAME
from sweep.options import OPTIONS
from sweep.rundir import run_directory
from sweep.train.checks import Health, Material
from sweep.train.fit import sample_gradients
from sweep.train.monitor import Monitor
from sweep.wire.messages import Advice, Started
from sweep.worker.run import Policy, Run
from sweep.worker.training import LiveTraining

_tables: weakref.WeakKeyDictionary[optuna.Study, KeyTable] = weakref.WeakKeyDictionary()
_lock = threading.Lock()  # `optimize(n_jobs=2)` has threads


class _Alone:
    """Reports to a study of plain Optuna, as a `Reporter` does. Holds the trial weakly: its run ends with it."""

    def __init__(self, trial: optuna.Trial, logdir: str, objective: str) -> None:
        self._weak_trial = weakref.ref(trial)
        self._logdir = logdir
        self._objective = objective
        self.number = trial.number
        self.params: dict[str, Any] = {}
        self.distributions: dict[str, BaseDistribution] = {}

    @property
    def _trial(self) -> optuna.Trial:
        trial = self._weak_trial()
        if trial is None:
            raise RuntimeError("the trial of these callbacks is gone")
        return trial

    def start(self, family: str | None, architecture: str | None, epochs: int | None) -> Started:  # noqa: ARG002  # a Reporter's
        """Name the run."""
        trial, study = self._trial, self._trial.study
        self.params, self.distributions = dict(trial.params), dict(trial.distributions)
        with _lock:
            keys = _key_table(study)
            for parameter in self.params:
                keys.assign(parameter)
            name = encode(
                self.params,
                number=self.number,
                family=family or study.study_name,
                keys=keys,
                architecture=architecture,
            )
            keys.settle()
        trial.set_user_attr("run", name)
        directory = run_directory(Path(self._logdir), study.study_name, name)
        return Started(name, str(directory), time.time(), {"study": study.study_name})

    def begin_training(self, training: LiveTraining) -> None:
        """Nobody needs to know where there is no coordinator."""

    def send_epoch(
        self,
        epoch: int,  # noqa: ARG002  # a Reporter's, as are the findings
        metrics: dict[str, float],
        training: LiveTraining,
        findings: Sequence[Finding] | None,  # noqa: ARG002
        broken: str | None,
    ) -> None:
        """Report an epoch to Optuna, if its training is the one that pruners see."""
        self._metrics, self._training, self._broken = metrics, training, broken
        if training.judged:
            self._trial.report(metrics[self._objective], training.epochs - 1)

    def resume(self, epoch: int, log: Sequence[Mapping[str, float]]) -> None:
        """Nothing is resumed where there is no coordinator."""

    def receive_verdict(self) -> Advice:
        """Optuna's verdict on it; a loss or objective that is NaN or infinite is one already."""
        at = f"at epoch {self._training.epochs}"
        for name in dict.fromkeys((self._objective, "loss", "val_loss")):
            if not math.isfinite(self._metrics.get(name, 0.0)):
                return Advice("prune", f"{name} is {self._metrics[name]} {at}")
        if self._broken is not None:
            return Advice("prune", self._broken)
        if self._training.judged and self._trial.should_prune():
            pruner = type(self._trial.study.pruner).__name__
            reason = f"{pruner}: {self._objective} {self._metrics[self._objective]:.4g} {at}"
            return Advice("prune", reason)
        return Advice("go")


def _key_table(study: optuna.Study) -> KeyTable:
    """A study's key table, the same after a restart: parameters have their keys in the order they were suggested."""
    if study not in _tables:
        _tables[study] = KeyTable()
        for trial in study.get_trials(deepcopy=False):
            for parameter in trial.params:
                _tables[study].assign(parameter)
    return _tables[study]


class _Ending:
    """Ends a trial's run when the trial goes, since an objective may train again, and Optuna tells nobody of an end."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.trained = False

    def __call__(self) -> None:
        if self.trained:
            self.run.close("COMPLETE", None)
        else:  # an exception in `fit` skips `on_train_end`
            self.run.close("FAIL", "training did not come to its end")


_endings: weakref.WeakKeyDictionary[optuna.Trial, _Ending] = weakref.WeakKeyDictionary()


class _AloneMonitor(Monitor):
    """A monitor that raises what a verdict means, as an Optuna objective is to."""

    def __init__(self, run: Run, ending: _Ending, model: keras.Model | None, **settings: Any) -> None:
        super().__init__(run, validation=None, **settings)
        self._ending = ending
        self._only = model

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Name the run, or continue it with another training.

        Raises:
            StudyError: the callbacks were made for another model.
        """
        if self._only is not None and self._only is not self.model:
            raise StudyError(
                f"These callbacks were made for the model {self._only.name}, and {self.model.name} is being trained.",
                hint="Give sweep.callbacks no model, or the one that is trained.",
            )
        self._ending.trained = False
        self._run.open_training(self.model)
        super().on_train_begin(logs)

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:  # noqa: ARG002  # Keras'
        """Close the run if it is pruned."""
        self._ending.trained = True
        if self._run.verdict == "prune":
            self._run.close("PRUNED", self._run.reason)
        self._run.leave()


def callbacks(
    trial: optuna.Trial,
    model: keras.Model | None = None,
    *,
    objective: str,
    direction: Literal["minimize", "maximize"],
    logdir: str = "runs",
    x: Any = None,
    y: Any = None,
    histograms: int = 1,
    gradients: bool | int = False,
    graph: bool = True,
    broken: Literal["prune", "report", "ignore"] = "prune",
) -> list[keras.callbacks.Callback]:
    """Callbacks for `model.fit` in an objective of plain Optuna. They come last in the list of callbacks.

    Each run is named after the trial's parameters and the model, and written to `LOGDIR/STUDY/RUN` for TensorBoard.
    Each epoch is reported to the trial; one that Optuna's pruner stops, or whose loss or objective is NaN or infinite,
    ends with `optuna.TrialPruned` when the training has ended. A second `model.fit` in the trial continues in the same
    run, which ends with the trial; Optuna's pruner sees the first model's epochs.

    Args:
        trial: of `study.optimize`, with every parameter suggested.
        model: the only model that they may train; any by default.
        objective, direction: the metric that decides, e.g. `val_loss`, and where to: `minimize` or `maximize`.
        logdir: the folder that holds a folder for each study.
        x, y: inputs and targets, of which some rows show findings; `gradients` needs them.
        histograms, gradients, graph: as in `sweep.fit`.
        broken: what severe findings do, as in `sweep.Study`.

    Raises:
        StudyError: the trial is one of a sweep, which `sweep.fit` trains; the direction is none, or not the study's;
            the study's name cannot be a folder's; `gradients` has no data.
    """
    if isinstance(getattr(trial, "run", None), Run):
        raise StudyError(
            "sweep.callbacks is for a plain Optuna study, and this trial belongs to a sweep.",
            hint="Call `sweep.fit(trial, model, ...)` in place of `model.fit(...)`; it takes the same arguments.",
        )
    if not isinstance(trial, optuna.Trial):
        raise StudyError(
            f"sweep.callbacks needs a trial of study.optimize, not a {type(trial).__name__}.",
            hint="Train without it outside of a study.",
        )
    if direction not in ("minimize", "maximize"):
        raise StudyError(f'A direction must be "minimize" or "maximize", not {direction!r}.')
    OPTIONS["broken"].declared(broken)
    study = trial.study
    if study.direction.name.lower() != direction:
        raise StudyError(
            f"The direction {direction} differs from the study's, which is to {study.direction.name.lower()}."
        )
    if not STUDY_NAME.fullmatch(study.study_name):
        raise StudyError(
            "The name of a study must be up to 80 of A-Z a-z 0-9 . _ -, since it names a folder, not "
            f"{study.study_name!r}.",
            "Give optuna.create_study another study_name.",
        )
    compute = sample_gradients(x, y, gradients)
    if trial not in _endings:
        alone = _Alone(trial, logdir, objective)
        policy = Policy(objectives=[Objective(objective, direction)], broken=broken)
        _endings[trial] = _Ending(Run(alone, policy))
        weakref.finalize(trial, _endings[trial])
    ending = _endings[trial]
    health = Health(Material(x, y), direction=direction, objective=objective) if broken != "ignore" else None
    return [
        _AloneMonitor(ending.run, ending, model, histograms=histograms, gradients=compute, graph=graph, health=health)
    ]
