"""`sweep.epochs`: the epochs of an objective in any framework, with all that `sweep.fit` gives to one in Keras.

def train(trial):
    rate = trial.suggest_float("learning_rate", 1e-3, 1.0, log=True)
    epochs = sweep.epochs(trial, 30, architecture="64_10")
    weights = epochs.resumed["weights"] if epochs.resumed else np.zeros((64, 10))
    for epoch in epochs:
        weights = step(weights, rate)
        epochs.report({"loss": loss(weights, x, y), "val_loss": loss(weights, x_val, y_val)}, {"weights": weights})
    return epochs.value
"""

import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import optuna

from sweep.errors import StudyError
from sweep.finding import Finding, by_gravity
from sweep.worker.checkpoints import Checkpoint
from sweep.worker.curves import exploding, overfitting
from sweep.worker.run import Run, StartOver
from sweep.worker.saver import SECONDS, Saver, State, set_random, split
from sweep.worker.weights import Weights

Reported = Mapping[str, Any] | Callable[[], Mapping[str, Any]]
"""What a training is continued from, by names that are the user's, or a function that returns it."""


def epochs(
    trial: optuna.trial.BaseTrial,
    count: int | None = None,
    *,
    family: str | None = None,
    architecture: str | None = None,
    label: str | None = None,
    judge: bool | None = None,
    monitor: str | None = None,
    checkpoint: float = SECONDS,
) -> "Epochs":
    """Begin a training of a trial in any framework: name its run, and continue from its checkpoint if it has one.

    The run is named, written for TensorBoard, pruned, resumed and kept as one of `sweep.fit` is. Every parameter must
    have been suggested. Each call is a training of its own, such as a fold.

    Args:
        trial: the trial that `train` was given.
        count: how many epochs; by default the study's `epochs`, or 10. `sweep start --epochs` overrides both.
        family: how the run's name begins; by default the study's name.
        architecture: what the name says about the network, such as `64_10`: letters, digits, `_`, `.` and `+`.
        label, judge, monitor: as in `sweep.fit`.
        checkpoint: seconds between two checkpoints, 0 for one after every epoch; an interrupted trial continues from
            the last one, if its epochs were reported with a state.

    Returns:
        The epochs that are left: iterate over them, and report each one.

    Raises:
        StudyError: the trial is not one of a sweep, or an argument is not as it must be.
        optuna.TrialPruned: the run has been stopped before.
    """
    if getattr(trial, "retraining", None) is not None:
        raise StudyError("sweep.retrain trains models of sweep.fit, and this study trains with sweep.epochs.")
    run = getattr(trial, "run", None)
    if not isinstance(run, Run):
        raise StudyError(
            f"sweep.epochs needs a trial of a sweep, not a {type(trial).__name__}.",
            hint="Start the study with `sweep start FILE` or study.run().",
        )
    if not isinstance(checkpoint, int | float) or not checkpoint >= 0:
        raise StudyError(f"checkpoint must be a number of seconds, or 0 for every epoch, not {checkpoint!r}.")
    run.save_pending()
    run.leave()  # an objective that caught the verdict on an earlier training trains no further
    return Epochs(run, run.wanted_epochs(count), count, family, architecture, label, judge, monitor, checkpoint)


class Epochs:
    """The epochs of one training; made by `sweep.epochs`.

    Attributes:
        resumed: the state that was last reported before the trial was interrupted, by name: arrays as NumPy arrays, the
            rest as JSON has it; None in a training that begins.
    """

    def __init__(
        self,
        run: Run,
        count: int,
        asked: int | None,
        family: str | None,
        architecture: str | None,
        label: str | None,
        judge: bool | None,
        monitor: str | None,
        checkpoint: float,
    ) -> None:
        self.resumed: dict[str, Any] | None = None
        self._run = run
        self._count = count
        self._training = training = run.open_training(self, label=label, judge=judge, monitor=monitor)
        training.ask(asked)
        training.architecture, training.planned = architecture, count
        call, run.calls = run.calls, run.calls + 1
        kept = run.kept(call)
        if kept is not None and ("plain" not in kept.state or kept.state["architecture"] != architecture):
            before, now = kept.state.get("architecture") or "another one", architecture or "another one"
            raise StartOver(f"the network of its training {call + 1} was {before} and is now {now}")
        this = weakref.ref(self)  # a checkpoint of the last call does not hold on to what is trained
        self._saver = Saver(run, call, lambda: _taken(this()), checkpoint)
        self._state: Reported | None = None
        self._since: dict[str, int] = {}
        self._earlier = [found for found in run.findings if found.since < training.first]
        self._over = False
        at = run.epoch + kept.epochs if kept is not None else 0
        run.begin(family, architecture, training.first + count, at=at)
        run.reporter.begin_training(training)
        run.fitting = True
        if kept is not None:
            self._resume(kept)

    def __iter__(self) -> Iterator[int]:
        """The numbers, from 0, of the epochs that are left.

        Raises:
            StudyError: an epoch has ended without a report.
        """
        while not self._over:
            epoch = self._training.epochs
            yield epoch
            if self._training.epochs == epoch:
                raise StudyError(
                    f"Epoch {epoch + 1} of {self._count} has ended without a report.",
                    hint="Call epochs.report(metrics) once in each of them.",
                )

    @property
    def value(self) -> Any:
        """The training's value, as `sweep.fit` returns it: the objective of its best epoch, or of its last.

        With several objectives it is the last epoch's value of each, as a list.

        Raises:
            StudyError: no epoch was reported, or the trial has begun another training.
        """
        self._check_present()
        if not self._training.epochs:
            raise StudyError("A training has no value before its first epoch was reported.")
        self._end()
        return self._run.returned()

    def report(
        self,
        metrics: Mapping[str, float],
        state: Reported | None = None,
        *,
        histograms: Mapping[str, Any] | None = None,
    ) -> None:
        """Report that an epoch has ended, and obey the verdict on it.

        Args:
            metrics: of the epoch, by name, such as `loss` and `val_loss`; the study's objective must be among them.
            state: all that is needed to continue after this epoch, by name: arrays (of NumPy, or what NumPy can read)
                and plain data, such as `{"weights": weights, "generator": rng.bit_generator.state}`. What takes long to
                gather may be a function that returns it, which is called when it is written. The state of the best
                epoch is what `sweep.load` returns. Without it an interrupted trial begins anew.
            histograms: arrays to write histograms of, by tag.

        Raises:
            StudyError: the objective is not among the metrics, an argument is not as it must be, or there are no more
                epochs to report.
            optuna.TrialPruned: the pruner, a finding or a person has stopped the run.
        """
        run, training = self._run, self._training
        self._check_present()
        if self._over:
            raise StudyError(f"All {self._count} epochs have been reported.")
        values = _numbers(metrics)
        run.check_objective(list(values))
        place = run.epoch
        decides = run.record(place, values)
        self._state = state if state is None or callable(state) else dict(state)
        if decides and run.policy.keep:
            training.weights = self._weights()
        training.unpausable = "its epochs are reported without a state" if state is None else None
        run.reporter.send_epoch(place, values, training, self._look(), None)
        run.write(place, values)
        if run.writer is not None:
            if histograms:
                run.writer.histograms(place, {tag: np.asarray(array) for tag, array in histograms.items()})
            run.writer.flush()
        over = training.epochs >= self._count
        stopped = run.obey(run.reporter.receive_verdict())
        over = over or (stopped and not run.interrupted)
        if state is not None:
            self._saver.epoch_ended(over=over)
        if over:
            self._end()
        if stopped:
            run.fitting = False
            run.leave(finished=over)

    def _check_present(self) -> None:
        if self._run.training is not self._training:
            raise StudyError("The trial has begun another training.", hint="Read `value` before it does.")

    def _resume(self, kept: Checkpoint) -> None:
        self._run.resume(kept)
        set_random(kept.state["random"])
        self.resumed = {**kept.state["plain"], **dict(zip(kept.state["names"], kept.arrays["state"], strict=True))}
        self._since = dict(kept.state.get("since", {}))
        self._state = self.resumed
        if kept.over or self._training.epochs >= self._count:
            self._end()
            if kept.over and self._run.has_weights(self._training):
                self._training.weights = None  # they were kept when the next training began

    def _end(self) -> None:
        """The training is over, after its last epoch or, where `train` has left the loop, earlier."""
        if self._over:
            return
        self._over = True
        self._run.fitting = False
        self._run.returned()
        if self._state is not None:
            self._saver.ended()

    def _weights(self) -> Weights | None:
        if self._state is None:
            return None
        arrays, rest = split(self._state)
        copies = [array.copy() for array in arrays.values()]
        return Weights(self._training.epochs - 1, copies, list(arrays), None, state=rest)

    def _look(self) -> list[Finding] | None:
        """The run's findings, which the losses alone show; None where they are what they were."""
        run, training = self._run, self._training
        if run.policy.broken == "ignore":
            return None
        history, objective = training.history, training.objective
        found = [
            *exploding(history.get("loss", [])),
            *overfitting(history, objective.direction, objective.name),
        ]
        kinds = {item.kind for item in found}
        self._since = {kind: self._since.get(kind, training.epochs - 1) for kind in kinds}
        before = run.findings
        now = [replace(item, since=(item.since or self._since[item.kind]) + training.first) for item in found]
        run.findings = [*self._earlier, *by_gravity(now)]
        return None if run.findings == before else run.findings


def _taken(training: Epochs | None) -> State:
    state = training._state if training is not None else None
    arrays, rest = split(state or {})
    since = training._since if training is not None else {}
    return {"state": [array.copy() for array in arrays.values()]}, {
        "names": list(arrays),
        "plain": rest,
        "since": since,
    }


def _numbers(metrics: Mapping[str, float]) -> dict[str, float]:
    """Metrics as Python's floats.

    Raises:
        StudyError: a name is no text, or a value no number.
    """
    found = {}
    for name, value in metrics.items():
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise StudyError(f"The metric {name!r} must be a number, not {value!r}.") from None
        if not isinstance(name, str) or not name:
            raise StudyError(f"The name of a metric must be a text, not {name!r}.")
        found[name] = number
    return found
