"""The callback that stands last in a training: it reports each epoch, writes its events, and obeys the verdict."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from sweep.architecture import describe
from sweep.architecture import family as family_of
from sweep.events import RunWriter
from sweep.train import graphs
from sweep.train.compiled import metric_names
from sweep.train.findings import diagnose
from sweep.train.run import Run, numbers

Gradients = Callable[[keras.Model], Mapping[str, np.ndarray[Any, Any]]]


class Monitor(keras.callbacks.Callback):
    """Reports to a run. It must be the last callback, so that it sees what the others put into the logs.

    Args:
        run: the trial's run; epochs go on from those it has.
        validation: whether each epoch will have `val_` metrics; None where that is not known beforehand.
        histograms: write histograms of each weight every so many epochs; 0 for never.
        gradients: what computes gradients on a sample batch for histograms of them; None for none.
        graph: write the model's graph.
        sample: the first rows of the inputs, from which the graph of a subclassed model is traced.
    """

    def __init__(
        self,
        run: Run,
        *,
        validation: bool | None,
        histograms: int = 1,
        gradients: Gradients | None = None,
        graph: bool = True,
        sample: Any = None,
    ) -> None:
        super().__init__()
        self._run = run
        self._validation = validation
        self._histograms = histograms
        self._gradients = gradients
        self._graph = graph
        self._sample = sample
        self._tags: list[str] = []
        self.seconds = 0.0  # this callback's own time, all epochs together

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Name the run, unless an earlier training of the trial did; refuse an objective that no epoch will report."""
        if self._validation is not None:
            self._run.check_objective(metric_names(self.model, self._validation))
        self._tags = graphs.weight_tags(self.model)
        first = self._run.writer is None
        writer = self._run.begin(family_of(self.model, ""), describe(self.model), self.params.get("epochs"))
        if first and self._graph:
            graphs.write(writer, self.model, self._sample)
            writer.flush()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Report the epoch, write its events while the verdict is made, and obey it."""
        began = time.perf_counter()
        run, writer = self._run, self._run.writer
        if writer is None:
            return
        metrics = numbers(logs or {})
        run.check_objective(list(metrics))
        rate = _learning_rate(self.model)
        if rate is not None:
            metrics.setdefault("learning_rate", rate)
        epoch = run.epoch
        run.record(metrics)
        weights = graphs.weights(self.model, self._tags)
        run.finding = diagnose(run.history, weights, direction=run.direction, objective=run.objective[0]) or run.finding
        run.reporter.send_epoch(epoch, metrics, str(run.finding) if run.finding else None)
        self._write(writer, epoch, metrics, weights)
        run.epoch = epoch + 1
        if run.obey(run.reporter.receive_verdict()):
            self.model.stop_training = True
        self.seconds += time.perf_counter() - began

    def _write(
        self, writer: RunWriter, epoch: int, metrics: dict[str, float], weights: Mapping[str, np.ndarray[Any, Any]]
    ) -> None:
        writer.scalars(epoch, metrics)
        if self._histograms and epoch % self._histograms == 0:
            writer.histograms(epoch, weights)
            if self._gradients is not None:
                writer.histograms(epoch, self._gradients(self.model))
        writer.flush()


def _learning_rate(model: keras.Model) -> float | None:
    rate = getattr(getattr(model, "optimizer", None), "learning_rate", None)
    return None if rate is None else float(keras.ops.convert_to_numpy(rate))
