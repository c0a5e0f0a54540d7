"""`sweep.check`: the findings of a model and its data before any sweep, in a notebook or a script."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from sweep.errors import StudyError
from sweep.finding import Finding
from sweep.train import compiled
from sweep.train.checks.health import Health, Material
from sweep.train.graphs import weight_tags, weights
from sweep.train.requirements import listed
from sweep.worker.run import numbers

EPOCHS = 3


class Findings(tuple[Finding, ...]):
    """Findings, the gravest first; printed one a line."""

    def __repr__(self) -> str:
        return "\n".join(map(str, self)) or "no findings"


def check(
    model: keras.Model,
    x: Any,
    y: Any,
    *,
    validation_data: Any = None,
    validation_split: float = 0.0,
    epochs: int = EPOCHS,
    **settings: Any,
) -> Findings:
    """What is wrong with a model or its data, as `sweep.fit` would find in the first epochs; the model stays as it is.

        >>> sweep.check(model, x, y)
        symmetric-neurons since epoch 1: all 32 units of dense/kernel have the same weights; initialise kernels ...

    It trains the model for some epochs, quietly, and gives it back its weights and a new optimizer of the same
    settings. Python's, NumPy's and Keras' random states go on.

    Args:
        model: compiled, and built or to be built by its first batch.
        x, y, validation_data, validation_split: as in `keras.Model.fit`.
        epochs: how many to look at; overfitting shows after eleven at the earliest.
        settings: more of `keras.Model.fit`'s arguments, such as `batch_size`.

    Raises:
        StudyError: the model is not compiled, or `epochs` is no whole number of at least 1.
    """
    if getattr(model, "optimizer", None) is None:
        raise StudyError("sweep.check needs a compiled model.", "Call model.compile(...) first.")
    if isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 1:
        raise StudyError(f"epochs must be a whole number of at least 1, not {epochs!r}.")
    material = Material.of(x, y, validation_data, validation_split)
    health = Health(material, direction="minimize", objective="val_loss")
    watching = Watching(health)
    callbacks = [*listed(settings.pop("callbacks", None)), watching]
    with _as_it_was(model), _explained(health):
        compiled.fit(
            model,
            x,
            y,
            epochs=epochs,
            validation_data=validation_data,
            validation_split=validation_split,
            callbacks=callbacks,
            **settings,
        )
    return Findings(watching.findings)


class Watching(keras.callbacks.Callback):
    """Asks for the findings at the end of each epoch, and stops a training that is not a number any more."""

    def __init__(self, health: Health) -> None:
        super().__init__()
        self._health = health
        self._history: dict[str, list[float]] = {}
        self.findings: Sequence[Finding] = ()

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:  # noqa: ARG002  # Keras'
        """Look at the data."""
        self._health.begin(self.model)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Look at the epoch."""
        for name, value in numbers(logs or {}).items():
            self._history.setdefault(name, []).append(value)
        tags = weight_tags(self.model)
        self.findings = self._health.check(self.model, epoch, weights(self.model, tags), self._history)
        if any(found.kind == "not-a-number" for found in self.findings):
            self.model.stop_training = True


@contextmanager
def _explained(health: Health) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        health.explain(error)
        raise


@contextmanager
def _as_it_was(model: keras.Model) -> Iterator[None]:
    """Give a model back its weights and its optimizer's state, or a fresh optimizer where it has not stepped yet."""
    before = [np.array(array) for array in model.get_weights()] if model.built else None
    optimizer = model.optimizer
    steps = [np.array(variable.numpy()) for variable in optimizer.variables] if optimizer.built else None
    fresh = type(optimizer).from_config(optimizer.get_config()) if steps is None else None
    try:
        yield
    finally:
        if before is not None:
            model.set_weights(before)
        if fresh is not None:
            model.optimizer = fresh
        elif steps is not None:
            for variable, value in zip(optimizer.variables, steps, strict=True):
                variable.assign(value)
        model.stop_training = False
