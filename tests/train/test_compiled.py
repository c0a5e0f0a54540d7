"""`compiled.fit` against `keras.Model.fit`: the same weights, metrics and History, and the reasons to fall back."""

import logging

import keras
import numpy as np
import pytest
import tensorflow as tf

from sweep.errors import SweepError
from sweep.train import compiled
from tests.train.same_as_fit import CLASSES, HELD_OUT, ROWS, X, Y, assert_same_as_fit, dense, state


def test_epochs_give_what_keras_fit_gives():
    ours, theirs = assert_same_as_fit(
        lambda: dense(metrics=["mae", "mse"]), X, Y, validation_data=HELD_OUT, validation_batch_size=4
    )
    np.testing.assert_allclose(ours.evaluate(*HELD_OUT, verbose=0), theirs.evaluate(*HELD_OUT, verbose=0), rtol=1e-6)
    np.testing.assert_allclose(ours.predict(X, verbose=0), theirs.predict(X, verbose=0), rtol=1e-5, atol=1e-6)


def test_a_second_fit_by_either_goes_on_where_the_first_ended():
    ours, theirs = assert_same_as_fit(dense, X, Y, epochs=2)
    theirs.fit(X, Y, shuffle=False, epochs=4, initial_epoch=2, batch_size=8, verbose=0)
    compiled.fit(ours, X, Y, shuffle=False, epochs=4, initial_epoch=2, batch_size=8, compiled=True)
    assert ours.history.epoch == [2, 3]
    theirs.fit(X, Y, shuffle=False, verbose=0)
    ours.fit(X, Y, shuffle=False, verbose=0)
    for one, other in zip(state(ours), state(theirs), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("batch_size", [None, 5, 37, 64, 1])
def test_any_batch_size_will_do_also_one_larger_than_the_data(batch_size):
    assert_same_as_fit(dense, X, Y, batch_size=batch_size, epochs=2, validation_data=HELD_OUT)


@pytest.mark.parametrize(
    "arguments",
    [
        {"validation_split": 0.3},
        {"validation_split": 0.3, "sample_weight": np.linspace(0.0, 2.0, ROWS)},
        {"validation_data": (*HELD_OUT, np.linspace(0.0, 2.0, 11)), "sample_weight": np.linspace(0.0, 2.0, ROWS)},
        {"validation_data": HELD_OUT, "validation_freq": 2},
        {"validation_data": HELD_OUT, "validation_freq": [1, 4]},
        {"initial_epoch": 3, "validation_data": list(HELD_OUT)},
    ],
    ids=lambda arguments: "-".join(arguments),
)
def test_arguments_mean_what_they_mean_in_fit(arguments):
    build = lambda: dense(metrics=["mae"], weighted_metrics=["mse"])  # noqa: E731
    assert_same_as_fit(build, X, Y, **arguments)


def test_no_epochs_left_leave_the_model_as_it_is():
    model = dense()
    before = model.get_weights()
    assert compiled.fit(model, X, Y, initial_epoch=5, epochs=5, compiled=True).history == {}
    np.testing.assert_array_equal(model.get_weights()[0], before[0])


def test_class_weights_weigh_rows():
    build = lambda: dense(  # noqa: E731
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True), outputs=3, weighted_metrics=["accuracy"]
    )
    assert_same_as_fit(build, X, CLASSES, class_weight={0: 3.0, 1: 0.5})
    one_hot = lambda: dense(loss="mse", outputs=3, metrics=["accuracy"])  # noqa: E731
    assert_same_as_fit(one_hot, X, np.eye(3)[CLASSES], class_weight={0: 3.0, 2: 0.5})


def test_a_seeded_training_shuffles_the_same_way_again_and_each_epoch_anew():
    def train(seed):
        keras.utils.set_random_seed(seed)
        model = dense(optimizer=keras.optimizers.SGD(0.0))
        seen = []
        model.test_step = None  # nothing is validated
        watch = Watch(seen)
        model.compile(optimizer=keras.optimizers.SGD(0.0), loss=watch)
        compiled.fit(model, X, np.arange(ROWS, dtype="float32"), epochs=2, batch_size=8, compiled=True)
        return np.array(seen).reshape(2, ROWS)

    first, again, other = train(1), train(1), train(2)
    np.testing.assert_array_equal(first, again)
    assert sorted(first[0]) == sorted(first[1]) == list(range(ROWS))
    assert list(first[0]) != list(first[1])
    assert list(first[0]) != list(other[0])


class Watch(keras.losses.Loss):
    """A loss that notes the targets in the order they come."""

    def __init__(self, seen):
        super().__init__()
        self.seen = seen

    def call(self, y_true, y_pred):
        noted = tf.py_function(lambda y: self.seen.extend(y.numpy().ravel()), [y_true], [])
        with tf.control_dependencies([noted] if noted is not None else []):
            return keras.ops.mean(keras.ops.square(y_pred), -1)


def test_shuffle_batch_shuffles_within_batches():
    seen = []
    model = dense()
    model.compile(optimizer="sgd", loss=Watch(seen))
    compiled.fit(model, X, np.arange(ROWS, dtype="float32"), batch_size=8, shuffle="batch", compiled=True)
    assert seen != list(range(ROWS))
    for start in range(0, ROWS, 8):
        assert sorted(seen[start : start + 8]) == list(range(start, min(start + 8, ROWS)))


# Names of logs


class Names(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        self.names = compiled.metric_names(self.model, has_validation=True)


@pytest.mark.parametrize("how", [True, False])
def test_names_of_logs_are_known_when_training_begins(how):
    names = Names()
    model = keras.Sequential([keras.layers.Dense(3, activation="softmax")])
    model.compile(
        loss="sparse_categorical_crossentropy", metrics=["accuracy", keras.metrics.SparseTopKCategoricalAccuracy(2)]
    )
    history = compiled.fit(model, X, CLASSES, validation_split=0.2, callbacks=[names], compiled=how)
    assert names.names == list(history.history) == sorted(history.history)
    assert names.names == compiled.metric_names(model, has_validation=True)


def test_names_of_logs_are_known_for_a_dataset_and_empty_for_a_generator():
    for data, expected in [
        (tf.data.Dataset.from_tensor_slices((X, Y)).batch(8), ["loss", "mae", "val_loss", "val_mae"]),
        (((X, Y) for _ in range(1)), []),
    ]:
        names = Names()
        model = dense(metrics=["mae"])
        compiled.fit(model, data, steps_per_epoch=1 if not expected else None, shuffle=False, callbacks=[names])
        assert names.names == expected


# Falling back


class Each(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        pass


class OwnFit(keras.Model):
    def make_train_function(self, force=False):
        return super().make_train_function(force)


@pytest.mark.parametrize(
    ("reason", "compile", "arguments"),
    [
        ("runs eagerly", {"run_eagerly": True}, {}),
        ("steps_per_execution=2", {"steps_per_execution": 2}, {}),
        ("Each is called for each batch", {}, {"callbacks": [Each()]}),
        ("TerminateOnNaN", {}, {"callbacks": [keras.callbacks.TerminateOnNaN()]}),
        (
            "LambdaCallback",
            {},
            {"callbacks": [keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None)]},
        ),
        ("steps_per_epoch", {}, {"steps_per_epoch": 2}),
        ("DatasetV2|BatchDataset", {}, {"validation_data": tf.data.Dataset.from_tensor_slices(HELD_OUT).batch(4)}),
        ("SparseTensor", {}, {"x": tf.sparse.from_dense(X.astype("float32"))}),
    ],
)
def test_what_needs_keras_own_fit_gets_it_and_is_told_why(reason, compile, arguments, caplog):
    model = dense(**compile)
    x = arguments.pop("x", X)
    assert reason_matches(reason, compiled.why_not(model, x, Y, **arguments))
    with pytest.raises(SweepError, match="compiled=True cannot train whole epochs as one program"):
        compiled.fit(model, x, Y, compiled=True, **arguments)
    compiled._said.clear()
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert len(compiled.fit(model, x, Y, **arguments).history["loss"]) == 1
    assert len([record for record in caplog.records if "Keras' own fit" in record.message]) == 1
    assert reason_matches(reason, compiled.reason(model))


def reason_matches(alternatives, text):
    return any(one in text for one in alternatives.split("|"))


def test_generators_datasets_and_py_datasets_are_left_to_keras():
    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 2

        def __getitem__(self, number):
            return X[number * 8 : number * 8 + 8], Y[number * 8 : number * 8 + 8]

    for data in (Batches(), tf.data.Dataset.from_tensor_slices((X, Y)).batch(8)):
        model = dense()
        assert compiled.why_not(model, data) is not None
        assert compiled.fit(model, data, shuffle=False).history["loss"]


def test_a_model_with_a_train_function_of_its_own_is_left_to_keras():
    inputs = keras.Input((6,))
    model = OwnFit(inputs, keras.layers.Dense(1)(inputs))
    model.compile(loss="mse")
    assert compiled.why_not(model, X, Y) == "the model has a make_train_function of its own"


def test_an_error_in_the_model_is_told_by_keras():
    with pytest.raises(ValueError, match="incompatible"):
        compiled.fit(dense(), X[:, :3], Y)


def test_compiled_false_is_keras_fit_and_logs_nothing(caplog):
    model = dense()
    compiled.fit(model, X, Y, compiled=False)
    assert compiled.reason(model) == "compiled=False asks for it"
    assert not caplog.records


def test_compiled_is_one_of_three():
    with pytest.raises(SweepError, match=r"compiled must be True, False or .auto., not 'always'"):
        compiled.fit(dense(), X, Y, compiled="always")


def test_a_training_that_was_compiled_has_no_reason():
    model = dense()
    assert compiled.why_not(model, X, Y, epochs=3) is None
    compiled.fit(model, X, Y)
    assert compiled.reason(model) is None
