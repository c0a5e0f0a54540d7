"""The training and validation passes of one training: their programs, and the order of the rows in each epoch."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from sweep.train import sharing
from sweep.train.data import Rows
from sweep.train.metric_names import remember
from sweep.train.optimizers import optimizers
from sweep.train.program_cache import Loan


class Passes:
    """Passes of one model over its rows, ready to run; `end` gives their programs back.

    Preparing them builds the model, its loss, metrics and optimizer, so that the names of the logs are known.

    Args:
        model: a compiled model.
        training: the rows to train on.
        validation: the rows to validate on, or None.
        shuffle: as for `fit`.

    Raises:
        Unsuitable: a step does not trace.
    """

    def __init__(self, model: keras.Model, training: Rows, validation: Rows | None, shuffle: bool | str) -> None:
        self._training = training
        self._validation = validation
        self._shuffle = shuffle
        self._seed = int(np.random.randint(2**31)) if shuffle else 0
        self._model = model
        self._began = False
        self._engines: Sequence[str] = ()  # that this training keeps to
        self._to_come = 0
        self._loans = self._prepare()

    def train(self, epoch: int, epochs_to_come: int) -> dict[str, Any]:
        """The logs of an epoch of training, as Python floats.

        Args:
            epoch: its number.
            epochs_to_come: how many are left of this training, this one included.
        """
        self._to_come = epochs_to_come
        order = self._order(epoch)
        if self._model.stop_training:  # set before the first batch: fit looks at it after the first
            return self._first_batch(order)
        if not self._began:
            self._began = True
            self._prepare_again_if_changed()
        if self._fast:
            self._loans[0].program.speed_up(self._training, epochs_to_come)
        return self._loans[0].program.run(self._training, order)

    @property
    def validates(self) -> bool:
        """Whether there are rows to validate on."""
        return self._validation is not None

    def test(self) -> dict[str, Any]:
        """The logs of a pass over the validation rows, as Python floats; empty where there are no rows."""
        if self._validation is None:
            return {}
        if self._fast:
            self._loans[1].program.speed_up(self._validation, self._to_come)
        return self._loans[1].program.run(self._validation)

    def reset_metrics(self) -> None:
        """Does what `model.reset_metrics()` does, in a tenth of its time where all metrics are Keras' own."""
        if self._key is None:
            self._model.reset_metrics()
        for value, beginning in self._beginnings:
            value.assign(beginning, read_value=False)

    @property
    def engines(self) -> list[str]:
        """What the last passes of training and of validation ran by."""
        return [loan.program.engine for loan in self._loans]

    def keep_to(self, engines: Sequence[str]) -> bool:
        """Has every pass run by the engine that a checkpoint names; whether each can."""
        self._engines = engines
        rows = [self._training] if self._validation is None else [self._training, self._validation]
        pairs = zip(self._loans, engines, rows, strict=True)
        kept = [loan.program.keep_to(engine, each) for loan, engine, each in pairs]
        return all(kept)

    def way(self) -> str:
        """How the epochs of training ran, for a person."""
        return f"Whole epochs as one program, {self._loans[0].program.way()}, without validation."

    def end(self) -> None:
        """Gives the programs back."""
        for loan in self._loans:
            loan.end()

    def _prepare(self) -> list[Loan]:
        model, rows = self._model, self._training
        try:
            sharing.build(model, rows)
            self._key: sharing.Key | None = sharing.key(model)
        except sharing.Unshareable:
            self._key = None
        own = [] if self._key is None else model.metrics_variables  # as `build` has left them, reset
        self._beginnings = [(variable.value, tf.identity(variable.value)) for variable in own]
        self._fast = self._key is not None and sharing.suits_xla(model)
        loans = [Loan(model, "train_step", rows.layout, shuffled=bool(self._shuffle), key=self._key)]
        try:
            if self._validation is not None:
                loans.append(Loan(model, "test_step", self._validation.layout, shuffled=False, key=self._key))
            key = self._key
            if key is not None and any(loan.traced for loan in loans):
                key = sharing.key(model)
            self._key_when_traced = None if key is None else key.whole
            remember(model, loans[0].program.names, loans[-1].program.names)
            self._traced_from = _traced_from(model)
        except BaseException:
            for loan in loans:
                loan.end()
            raise
        return loans

    def _prepare_again_if_changed(self) -> None:
        """`fit` traces at the first batch: what callbacks changed until then holds."""
        now, then = _traced_from(self._model), self._traced_from
        same = len(now) == len(then) and all(one is other for one, other in zip(now, then, strict=True))
        if same and self._key is not None:
            try:
                same = sharing.key(self._model).whole == self._key_when_traced
            except sharing.Unshareable:
                same = False
        if not same:
            self.end()
            self._loans = self._prepare()
            if self._engines:
                self.keep_to(self._engines)

    def _order(self, epoch: int) -> np.ndarray[Any, Any] | None:
        if not self._shuffle:
            return None
        count, batch = self._training.layout.count, self._training.layout.batch
        draw = np.random.default_rng((self._seed, epoch))
        if self._shuffle != "batch":
            return draw.permutation(count)
        return np.concatenate([start + draw.permutation(min(batch, count - start)) for start in range(0, count, batch)])

    def _first_batch(self, order: np.ndarray[Any, Any] | None) -> dict[str, Any]:
        layout = self._training.layout
        chosen = (np.arange(layout.count) if order is None else order)[: layout.batch]
        batch = layout.pack([tensor.numpy()[chosen] for tensor in self._training.tensors])
        logs: dict[str, Any] = self._model.train_function(iter([batch]))
        results = self._model.get_metrics_result()
        return dict(results if set(results) == set(logs) else logs)


def _traced_from(model: keras.Model) -> tuple[Any, ...]:
    """Objects that a trace takes from the model: another one in the place of any of them asks for another trace."""
    used = optimizers(model).values()
    # A learning rate is a Variable, or a schedule baked into the trace.
    return model.train_function, *used, *(getattr(optimizer, "_learning_rate", None) for optimizer in used)
