"""The first validation batch, found without loading anything for it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from sweep.train.batches import FirstBatch
from tests.train.here import X, Y, network


class Batches(keras.utils.PyDataset):
    """Three batches; it notes what is loaded, and knows whole numbers alone."""

    def __init__(self, start=0, **settings):
        super().__init__(**settings)
        self.start = start
        self.loaded = []
        self.ended = 0

    @property
    def num_batches(self):
        return 3

    def __getitem__(self, index):
        assert isinstance(index, int)
        self.loaded.append(index)
        first = (self.start + index) * 5
        return X[first : first + 5], Y[first : first + 5]

    def on_epoch_end(self):
        self.ended += 1


def trained(x, y=None, validation_data=None, **settings):
    first = FirstBatch(x, validation_data, settings.get("validation_split", 0.0), settings.get("batch_size"))
    model = network()
    model.fit(first.x, y, validation_data=first.validation_data, epochs=2, verbose=0, shuffle=False, **settings)
    return first.inputs, model


def test_of_arrays_it_is_a_slice():
    assert trained(X, Y)[0].tolist() == X[:32].tolist()
    assert trained(X, Y, batch_size=8)[0].tolist() == X[:8].tolist()
    assert trained(X, Y, (X[40:], Y[40:]), batch_size=8)[0].tolist() == X[40:48].tolist()
    assert trained(X, Y, validation_split=0.25)[0].tolist() == X[45:].tolist()
    assert trained(tf.constant(X), Y, batch_size=4)[0].tolist() == X[:4].tolist()


def test_of_several_inputs_each_is_sliced():
    first = FirstBatch({"a": X, "b": [X[:, :1], tf.constant(Y)]}, batch_size=3)
    assert keras.tree.map_structure(np.shape, first.inputs["b"]) == [(3, 1), (3, 1)]
    assert FirstBatch(X, [(X[5:], X[6:]), Y[5:]], batch_size=2).inputs[1].tolist() == X[6:8].tolist()


def test_a_batch_of_a_pydataset_is_remembered_and_nothing_more_is_loaded():
    plain, validation = Batches(), Batches(6)
    network().fit(plain, validation_data=validation, epochs=2, verbose=0, shuffle=False)
    watched = Batches(), Batches(6)
    inputs, _ = trained(watched[0], validation_data=watched[1])
    assert [each.loaded for each in watched] == [plain.loaded, validation.loaded]
    assert [each.ended for each in watched] == [plain.ended, validation.ended]
    assert inputs.tolist() == X[30:35].tolist()
    assert trained(Batches(2, workers=2))[0].tolist() == X[10:15].tolist()


def test_a_batch_of_a_generator_is_remembered_and_nothing_more_is_taken():
    def batches(taken):
        for start in range(0, 1000, 10):
            taken.append(start)
            yield X[start % 50 : start % 50 + 10], Y[start % 50 : start % 50 + 10]

    taken = []
    inputs, _ = trained(batches(taken), steps_per_epoch=3)
    assert taken == list(range(0, 10 * len(taken), 10)), "each once, in order; TensorFlow takes a few more beforehand"
    assert inputs.tolist() == X[:10].tolist()


@pytest.mark.parametrize("structure", ["pair", "dict", "alone"])
def test_a_batch_of_a_dataset_is_remembered_and_the_dataset_read_once_an_epoch(structure):
    begun = []

    def rows():
        begun.append(1)
        yield from zip(X, Y, strict=True)

    spec = (tf.TensorSpec((3,), tf.float32), tf.TensorSpec((1,), tf.float32))
    dataset = tf.data.Dataset.from_generator(rows, output_signature=spec).batch(20).prefetch(1)
    first = FirstBatch(
        {
            "pair": dataset,
            "dict": dataset.map(lambda x, y: ({"a": x, "b": y}, y)),
            "alone": dataset.map(lambda x, y: x),
        }[structure]
    )
    assert first.x.element_spec is not None
    assert first.inputs is None, "nothing is read before the training"
    for _ in range(2):
        batches = list(first.x)
    assert (len(batches), len(begun)) == (3, 2)
    inputs = first.inputs["a"] if structure == "dict" else first.inputs
    assert np.asarray(inputs).tolist() == X[:20].tolist()


def test_a_watched_dataset_trains_as_it_would_have():
    keras.utils.set_random_seed(3)
    dataset = tf.data.Dataset.from_tensor_slices((X, Y)).shuffle(60, seed=2).batch(8)
    plain = network()
    plain.fit(dataset, epochs=3, verbose=0, shuffle=False)
    keras.utils.set_random_seed(3)
    dataset = tf.data.Dataset.from_tensor_slices((X, Y)).shuffle(60, seed=2).batch(8)
    watched = network()
    watched.fit(FirstBatch(dataset).x, epochs=3, verbose=0, shuffle=False)
    assert all(map(np.array_equal, plain.get_weights(), watched.get_weights()))


@pytest.mark.parametrize("data", [None, "text", [[1.0, 2.0]], tf.ragged.constant([[1], [2, 3]]), iter([1])])
def test_of_what_it_does_not_know_it_remembers_nothing(data):
    first = FirstBatch(data)
    assert first.inputs is None
    assert first.x is data
    ragged = tf.data.Dataset.from_tensors(tf.ragged.constant([[1], [2, 3]]))
    assert FirstBatch(ragged).x is ragged


def test_where_nobody_asks_for_the_inputs_nothing_is_wrapped():
    dataset, validation = tf.data.Dataset.from_tensor_slices((X, Y)).batch(8), Batches()
    first = FirstBatch(dataset, validation, wanted=False)
    assert (first.x, first.validation_data, first.inputs) == (dataset, validation, None)
