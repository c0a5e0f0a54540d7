"""The last callback of a training: it reports each epoch, writes its events, and obeys the verdict."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from sweep.architecture import describe
from sweep.architecture import family as family_of
from sweep.finding import Finding
from sweep.tensorboard.event_files import TRAINING_TAG, RunWriter
from sweep.train import compiled, graphs
from sweep.train.checks import Health
from sweep.train.metric_names import canonical, metric_names
from sweep.train.model_saver import ModelSaver
from sweep.train.optimizers import learning_rates
from sweep.worker.run import Run, numbers
from sweep.worker.weights import Weights

Gradients = Callable[[keras.Model], Mapping[str, np.ndarray[Any, Any]]]


class Monitor(keras.callbacks.Callback):
    """Reports to a run. It must be the last callback, so that it sees what the others put into the logs.

    Args:
        run: the trial's run, whose present training this is.
        validation: whether each epoch will have `val_` metrics; None where that is not known beforehand.
        extended: whether other callbacks may add metrics, so that an objective which the model has not may still come.
        histograms: write histograms of each weight every so many epochs; 0 for never.
        gradients: what computes gradients on a sample batch for histograms of them; None for none.
        graph: write the model's graph.
        sample: the first rows of the inputs, from which the graph of a subclassed model is traced.
        saver: keeps the training resumable; None for not.
        health: looks for findings at the end of each epoch; None for not.
    """

    def __init__(
        self,
        run: Run,
        *,
        validation: bool | None,
        extended: bool = False,
        histograms: int = 1,
        gradients: Gradients | None = None,
        graph: bool = True,
        sample: Any = None,
        saver: ModelSaver | None = None,
        health: Health | None = None,
    ) -> None:
        super().__init__()
        self._run = run
        self._validation = validation
        self._extended = extended
        self._histograms = histograms
        self._gradients = gradients
        self._graph = graph
        self._sample = sample
        self._saver = saver
        self._health = health
        self._announced = False
        self._earlier: list[Finding] = []  # of the run's earlier trainings
        self._names: dict[str, str] = {}
        self._tags: list[str] = []
        self._config: str | None = None

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:  # noqa: ARG002  # Keras'
        """Name the run, unless an earlier training of the trial did; refuse an objective that no epoch will report.

        Where nobody can know the metrics beforehand, the run begins with its first epoch's end, so that a study whose
        objective turns out to be none leaves nothing behind.
        """
        run = self._run
        self._announced, self._names = False, {}
        self._tags, self._config = [], graphs.config(self.model) if run.policy.keep else None
        if self._health is not None:
            self._health.begin(self.model)
        kept = self._saver.restore() if self._saver is not None else None
        if kept is not None:
            self.begin(at=run.epoch + kept.epochs)
            run.resume(kept)
            return
        if self._validation is None:
            self.begin()
            return
        names = list(self._renamed(dict.fromkeys(metric_names(self.model, self._validation), 0.0)))
        foreseen = {*names, "loss", *(["val_loss"] if self._validation else [])}
        if foreseen.issuperset(run.expected()):
            self.begin()
        elif names and not self._extended:
            run.check_objective(names, validation=self._validation)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Report the epoch, write its events while the verdict is made, and obey it."""
        run, training = self._run, self._run.training
        metrics = self._renamed(numbers(logs or {}))
        run.check_objective(list(metrics), validation=self._validation)
        writer = self.begin()
        for name, rate in learning_rates(self.model).items():
            metrics.setdefault(name, rate)
        place = run.epoch
        decides = run.record(place, metrics)
        weights = self._weights()
        if decides and run.policy.keep:
            copies = [np.array(array) for array in weights.values()]
            training.weights = Weights(training.epochs - 1, copies, list(weights), self._config)
        run.reporter.send_epoch(place, metrics, training, *self._diagnose(weights))
        self._write(writer, place, metrics, weights)
        over = bool(self.model.stop_training) or epoch + 1 == self.params.get("epochs")
        if run.obey(run.reporter.receive_verdict()):
            self.model.stop_training = True
            over = over or not run.interrupted
        if self._saver is not None:
            self._saver.epoch_ended(over=over)

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:  # noqa: ARG002  # Keras'
        """Note how the epochs ran, also as a text for TensorBoard."""
        way = compiled.way(self.model)
        self._run.training.how = way or None
        if self._run.writer is not None and self._announced and way:
            self._run.writer.text(TRAINING_TAG, way, step=max(0, self._run.epoch - 1))

    def _renamed(self, logs: Mapping[str, float]) -> dict[str, float]:
        """The logs by the names that they have in every training of the trial."""
        if not logs.keys() <= self._names.keys():
            objectives = [objective.name for objective in self._run.policy.objectives]
            self._names = canonical(self.model, logs, [*objectives, *self._run.expected()])
        return {self._names[name]: value for name, value in logs.items()}

    def _diagnose(self, weights: Mapping[str, np.ndarray[Any, Any]]) -> tuple[Sequence[Finding] | None, str | None]:
        """The run's findings, None where they are what they were, and why it is to be pruned, if it is."""
        if self._health is None:
            return None, None
        run, training = self._run, self._run.training
        found = self._health.check(self.model, training.epochs - 1, weights, training.history)
        due = self._health.due(found) if run.policy.broken == "prune" else None
        before = run.findings
        run.findings = [*self._earlier, *(replace(item, since=item.since + training.first) for item in found)]
        return None if run.findings == before else run.findings, due

    def begin(self, *, at: int = 0) -> RunWriter:
        """Have the run named after the first model that is trained, with that model's graph, and announce the training.

        Args:
            at: how many epochs of an earlier attempt stay, and its graph with them.
        """
        run, training = self._run, self._run.training
        if not self._announced:
            self._announced = True
            self._earlier = [found for found in run.findings if found.since < training.first]
            training.architecture = describe(self.model)
            training.planned = (self.params.get("epochs") or 0) - training.start
            named = run.writer is not None
            planned = training.first + training.planned if self.params.get("epochs") is not None else None
            writer = run.begin(family_of(self.model, ""), training.architecture, planned, at=at)
            if run.policy.pauses and self._saver is not None:
                training.unpausable = self._saver.unpausable()
            run.reporter.begin_training(training)
            if not named and self._graph and (at == 0 or run.fresh):
                graphs.write(writer, self.model, self._sample, self._config or graphs.config(self.model))
                writer.flush()
        if run.writer is None:
            raise RuntimeError("the run of this training is closed")
        return run.writer

    def _write(
        self, writer: RunWriter, epoch: int, metrics: dict[str, float], weights: Mapping[str, np.ndarray[Any, Any]]
    ) -> None:
        self._run.write(epoch, metrics)
        if self._histograms and epoch % self._histograms == 0:
            writer.histograms(epoch, weights)
            if self._gradients is not None:
                writer.histograms(epoch, self._gradients(self.model))
        writer.flush()

    def _weights(self) -> Mapping[str, np.ndarray[Any, Any]]:
        if len(self._tags) != len(self.model.weights):  # a model may have more once it is built, or change
            self._tags = graphs.weight_tags(self.model)
        return graphs.weights(self.model, self._tags)
