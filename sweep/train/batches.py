"""The first validation batch of a training, used later to check that a loaded model predicts the same.

Nothing is loaded for it. Arrays are sliced; everything else is wrapped, so that its first batch is remembered when the
training loads it.
"""

import math
import types
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from sweep.train.data import are_arrays


class FirstBatch:
    """Finds the inputs of the first validation batch; without validation data, of the first training batch.

    Hand its `x` and `validation_data` to `fit` in place of the user's.

    Args:
        x, validation_data, validation_split, batch_size: as in `keras.Model.fit`.
        wanted: whether anybody will ask for the inputs; if not, nothing is wrapped.

    Attributes:
        x, validation_data: what was given, or a wrapper that gives the same batches.
        inputs: of the batch, once the training has loaded it; None where they cannot be remembered, as with a PyTorch
            DataLoader.
    """

    def __init__(
        self,
        x: Any,
        validation_data: Any = None,
        validation_split: float = 0.0,
        batch_size: int | None = None,
        *,
        wanted: bool = True,
    ) -> None:
        self.x = x
        self.validation_data = validation_data
        self.inputs: Any = None
        self._index: float = math.inf
        rows = batch_size or 32
        if not wanted:
            return
        if validation_data is None:
            start = _rows(x) * (1.0 - validation_split) if validation_split and are_arrays(x) else 0
            self.x = self._watch(x, math.floor(start), rows)
        elif isinstance(validation_data, tuple | list):
            self._watch(keras.utils.unpack_x_y_sample_weight(tuple(validation_data))[0], 0, rows)
        else:
            self.validation_data = self._watch(validation_data, 0, rows)

    def _watch(self, data: Any, start: int, rows: int) -> Any:
        if are_arrays(data):
            self.inputs = keras.tree.map_structure(lambda leaf: _slice(leaf, start, start + rows), data)
        elif isinstance(data, keras.utils.PyDataset):
            return watched(data, self._see)
        elif isinstance(data, types.GeneratorType):
            return self._watch_generator(data)
        elif isinstance(data, tf.data.Dataset) and not tf.distribute.has_strategy():
            return self._watch_dataset(data)
        return data

    def _see(self, batch: Any, index: int = 0) -> None:
        if index < self._index:
            self._index = index
            self.inputs = keras.utils.unpack_x_y_sample_weight(tuple(batch) if isinstance(batch, list) else batch)[0]

    def _watch_generator(self, generator: Iterator[Any]) -> Iterator[Any]:
        for batch in generator:
            self._see(batch)
            yield batch

    def _watch_dataset(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
        spec = dataset.element_spec
        if not all(isinstance(leaf, tf.TensorSpec) for leaf in tf.nest.flatten(spec)):
            return dataset  # ragged and sparse tensors cannot be kept

        def see(*leaves: tf.Tensor) -> bool:
            self._see(tf.nest.pack_sequence_as(spec, leaves))
            return True

        def look(index: tf.Tensor, element: Any) -> Any:
            leaves = tf.nest.flatten(element)
            seen = tf.cond(index == 0, lambda: tf.py_function(see, leaves, tf.bool), lambda: True)
            with tf.control_dependencies([seen]):
                return tf.nest.map_structure(tf.identity, element)

        return dataset.enumerate().map(look)


def _rows(arrays: Any) -> int:
    return int(keras.tree.flatten(arrays)[0].shape[0])


def _slice(leaf: Any, start: int, stop: int) -> np.ndarray[Any, Any]:
    return np.asarray(leaf.iloc[start:stop] if hasattr(leaf, "iloc") else leaf[start:stop])


def loading(dataset: keras.utils.PyDataset) -> dict[str, Any]:
    """How Keras is to load a dataset's batches, for another one that has the same."""
    return {name: getattr(dataset, name) for name in ("workers", "use_multiprocessing", "max_queue_size")}


def watched(dataset: keras.utils.PyDataset, see: Any) -> keras.utils.PyDataset:
    """The same batches in the same order; `see` is called with each and its index."""

    class Watched(keras.utils.PyDataset):
        def __init__(self) -> None:
            super().__init__(**loading(dataset))

        def __getitem__(self, index: int) -> Any:
            batch = dataset[index]
            see(batch, index)
            return batch

        @property
        def num_batches(self) -> int | None:
            count: int | None = dataset.num_batches
            return count

        def on_epoch_begin(self) -> None:
            dataset.on_epoch_begin()

        def on_epoch_end(self) -> None:
            dataset.on_epoch_end()

    Watched.__name__ = type(dataset).__name__
    return Watched()
