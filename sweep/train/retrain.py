"""`sweep.retrain`: a run's parameters trained once more, on all the data and for as many epochs as were best.

The study's own `train` runs with a trial whose parameters are fixed, so that data, batch size and callbacks are the
study's. Its `sweep.fit` trains on the rows it is given and on those it would have validated with.
"""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import optuna
import tensorflow as tf

from sweep.errors import StudyError
from sweep.store import RunRecord, Training
from sweep.train import compiled as epochs_loop
from sweep.train.batches import loading
from sweep.train.data import are_arrays
from sweep.train.restore import fill
from sweep.words import counted
from sweep.worker.weights import Weights

_OF_VALIDATION = ("validation_steps", "validation_batch_size", "validation_freq")


class Finished(BaseException):
    """The model is trained: the rest of `train` has nothing to add. Not caught by user code's `except Exception`."""


class StudyOfNoTrials:
    """The study of a retraining, which `train` may stop as it does in a sweep: there is nothing to stop."""

    def stop(self) -> None:
        """Do nothing."""


class RetrainedTrial(optuna.trial.FixedTrial):
    """The trial that `train` is given: a run's parameters, and `retraining`, which a study may ask for.

    Args:
        run: gives the parameters, the number and the seed.
        retraining: takes the calls of `sweep.fit`.
    """

    def __init__(self, run: RunRecord, retraining: "Retraining") -> None:
        super().__init__(dict(run.params), run.number)
        self.study = StudyOfNoTrials()
        self.seed = run.seed
        self.attempt = 0
        self.retraining = retraining


class Retraining:
    """What `sweep.fit` does in a retraining.

    Args:
        trainings: the run's, as the store has them.
        epochs: how many to train; None for each training's best.
    """

    def __init__(self, trainings: Sequence[Training], epochs: int | None) -> None:
        self._trainings = trainings
        self._epochs = epochs
        self._number = -1
        self._left = 0
        self._done = 0
        self.model: keras.Model | None = None

    def fit(
        self,
        model: keras.Model,
        x: Any,
        y: Any,
        *,
        epochs: int | None,
        batch_size: int | None,
        validation_data: Any,
        callbacks: Sequence[keras.callbacks.Callback],
        compiled: Any,
        **settings: Any,
    ) -> float:
        """Train on all data; returns what the run's own training returned.

        Args:
            epochs: as the call says; a model that is fitted in several calls gets its epochs one call after another.

        Raises:
            Finished: the model of a fold has all data, which the other folds would only repeat.
            StudyError: the data cannot be joined, or the run had no such training.
        """
        if model is not self.model:
            self._begin(model)
        training = self._trainings[self._number]
        count = self._left if self._epochs is not None or epochs is None else min(self._left, epochs)
        self._left -= count
        weight = settings.pop("sample_weight", None)
        x, y, weight = join(x, y, weight, validation_data, has_classes=settings.get("class_weight") is not None)
        for name in _OF_VALIDATION:
            settings.pop(name, None)
        kept, dropped = _without_validation(callbacks)
        print(self._line(training, count, x, dropped))
        if count > 0:
            arguments = {"sample_weight": weight, "callbacks": kept, "compiled": compiled, **settings}
            first, self._done = self._done, self._done + count
            epochs_loop.fit(model, x, y, batch_size=batch_size, initial_epoch=first, epochs=self._done, **arguments)
        if are_folds(self._trainings):
            raise Finished
        return training.value if training.value is not None else math.nan

    def _begin(self, model: keras.Model) -> None:
        self._number += 1
        self._done = 0
        self.model = model
        if self._number >= len(self._trainings):
            raise StudyError(
                f"train fits {self._number + 1} models, and the run fitted {len(self._trainings)}.",
                hint="Pass the train that the run was made with, or leave train= out.",
            )
        if self._epochs is not None:
            self._left = self._epochs
        elif are_folds(self._trainings):
            self._left = round(statistics.median(map(best_epochs, self._trainings)))
        else:
            self._left = best_epochs(self._trainings[self._number])

    def _line(self, training: Training, count: int, x: Any, dropped: Sequence[str]) -> str:
        if self._epochs is not None:
            why = ""
        elif are_folds(self._trainings):
            why = f", the median of the best epochs of {len(self._trainings)} folds"
        else:
            why = f", up to its best of {training.epochs}" if count == best_epochs(training) else ""
        of = (
            f" of training {training.number + 1}" if len(self._trainings) > 1 and not are_folds(self._trainings) else ""
        )
        rows = next((f" on {len(leaf)} rows" for leaf in keras.tree.flatten(x) if hasattr(leaf, "__array__")), "")
        without = f"; without {', '.join(dropped)}, which needs validation data" if dropped else ""
        return f"Training {counted(count, 'epoch')}{of}{why}{rows}, with nothing left to validate with{without}."


class Rebuilding(Retraining):
    """What `sweep.fit` does where `train` only builds a model again: nothing, but for the weights of earlier ones.

    Args:
        trainings: the run's, as the store has them.
        wanted: the number of the training to build the model of.
        get_weights: the kept weights of a training, by number; None where there are none.
        name: how the user calls the run, for messages.
    """

    def __init__(
        self, trainings: Sequence[Training], wanted: int, get_weights: Callable[[int], Weights | None], name: str
    ) -> None:
        super().__init__(trainings, None)
        self._wanted = wanted
        self._get_weights = get_weights
        self._name = name

    def fit(self, model: keras.Model, *_data: Any, **_settings: Any) -> float:
        """Give a model before the wanted one its weights; returns what its training did.

        Raises:
            Finished: the model is the wanted one.
        """
        if model is not self.model:
            self._begin(model)
        if self._number == self._wanted:
            raise Finished
        weights = self._get_weights(self._number)
        if weights is not None:
            fill(model, weights, self._name)
        value = self._trainings[self._number].value
        return value if value is not None else math.nan


def best_epochs(training: Training) -> int:
    """How many epochs a training took to its best one."""
    return training.best_epoch + 1 if training.best_epoch is not None else max(1, training.epochs)


def are_folds(trainings: Sequence[Training]) -> bool:
    """Whether a run's trainings are folds of one: several of one architecture, or labelled so (`fold 2 of 5`)."""
    if len(trainings) < 2:
        return False
    labels = [training.label for training in trainings]
    if any(labels):
        return all(label is not None and label.lower().startswith("fold") for label in labels)
    return len({training.architecture for training in trainings}) == 1


def built_by(train: Callable[[Any], Any], run: RunRecord, retraining: Retraining) -> keras.Model:
    """The model that `train` builds, with a run's parameters and seed, and trains or not.

    Args:
        train: the study's.
        retraining: takes its calls of `sweep.fit`.

    Raises:
        StudyError: `train` does not call `sweep.fit`, or it trains otherwise than the run did.
    """
    if run.seed is not None:
        keras.utils.set_random_seed(run.seed)
    try:
        train(RetrainedTrial(run, retraining))
    except Finished:
        pass
    except ValueError as error:
        if "is not found. Please set it" not in str(error):
            raise
        name = str(error).split("'")[1]
        raise StudyError(
            f"train asks for the parameter {name}, which the run does not have.",
            hint="Pass the train that the run was made with, or leave train= out.",
        ) from error
    if retraining.model is None:
        raise StudyError(
            "train calls no sweep.fit, so it cannot be run again with another one in its place.",
            hint="Build and train the model with the run's parameters yourself: sweep best --json lists them.",
        )
    return retraining.model


def join(x: Any, y: Any, weight: Any, validation: Any, *, has_classes: bool = False) -> tuple[Any, Any, Any]:
    """Training and validation data as one: arrays row after row, datasets batch after batch.

    Args:
        weight: the sample weights of the training rows; rows without any count as 1 where others have them.
        has_classes: the classes have weights, beside which Keras takes none for rows.

    Raises:
        StudyError: they are of different kinds, or of one that cannot be joined, as generators.
    """
    if validation is None:
        return x, y, weight
    if isinstance(validation, tuple | list):
        more_x, more_y, more_weight = keras.utils.unpack_x_y_sample_weight(tuple(validation))
        if are_arrays(x) and are_arrays(more_x):
            joined = _rows_after(x, more_x), None if y is None else _rows_after(y, more_y)
            if (weight is None and more_weight is None) or has_classes:
                return *joined, None
            before = _ones(x) if weight is None else weight
            after = _ones(more_x) if more_weight is None else more_weight
            return *joined, _rows_after(before, after)
    elif isinstance(x, tf.data.Dataset) and isinstance(validation, tf.data.Dataset):
        if x.cardinality() != tf.data.INFINITE_CARDINALITY:
            return x.concatenate(validation), y, weight
    elif all(isinstance(part, keras.utils.PyDataset) and part.num_batches is not None for part in (x, validation)):
        return _Joined(x, validation), y, weight
    raise StudyError(
        f"A {type(x).__name__} for training and a {type(validation).__name__} for validation cannot be joined.",
        hint="In train, when trial.retraining is set, give sweep.fit all data as x, and no validation_data.",
    )


class _Joined(keras.utils.PyDataset):
    """The batches of one dataset, then those of another."""

    def __init__(self, first: keras.utils.PyDataset, second: keras.utils.PyDataset) -> None:
        super().__init__(**loading(first))
        self._parts = (first, second)

    @property
    def num_batches(self) -> int:
        return sum(int(part.num_batches) for part in self._parts)

    def __getitem__(self, index: int) -> Any:
        first, second = self._parts
        return first[index] if index < first.num_batches else second[index - first.num_batches]

    def on_epoch_begin(self) -> None:
        for part in self._parts:
            part.on_epoch_begin()

    def on_epoch_end(self) -> None:
        for part in self._parts:
            part.on_epoch_end()


def _rows_after(these: Any, those: Any) -> Any:
    """Arrays of the same structure, one after the other; a list and a tuple are the same structure."""

    def after(left: Any, right: Any) -> Any:
        if isinstance(left, tf.Tensor) or isinstance(right, tf.Tensor):
            return tf.concat([left, tf.cast(right, tf.as_dtype(left.dtype))], axis=0)
        return np.concatenate([np.asarray(left), np.asarray(right)])

    if isinstance(these, Mapping):
        return {name: _rows_after(part, those[name]) for name, part in these.items()}
    if isinstance(these, list | tuple):
        return [_rows_after(left, right) for left, right in zip(these, those, strict=True)]
    return after(these, those)


def _ones(x: Any) -> Any:
    return np.ones(len(keras.tree.flatten(x)[0]), keras.config.floatx())


def _without_validation(callbacks: Sequence[Any]) -> tuple[list[Any], list[str]]:
    """The callbacks without those that stop or watch by a metric of validation, and the names of those."""
    kept, dropped = [], []
    for callback in callbacks:
        watches = str(getattr(callback, "monitor", "")).startswith("val_")
        if watches or isinstance(callback, keras.callbacks.EarlyStopping):
            dropped.append(type(callback).__name__)
        else:
            kept.append(callback)
    return kept, dropped
