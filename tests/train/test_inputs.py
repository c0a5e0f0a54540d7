"""What `keras.Model.fit` accepts: the same callbacks, and data that are loaded exactly as often as Keras loads them."""

import threading
from collections import Counter
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import sweep
from sweep.tensorboard import event_files
from sweep.train import compiled
from tests.train.here import VALIDATION, X, Y, network
from tests.train.same_as_fit import seeded
from tests.train.test_optimizers import Gan
from tests.whole_study import run_study

BATCH = 20


class Files(keras.utils.PyDataset):
    """Three batches, each of which stands for a file: nothing but the index of one opens it."""

    def __init__(self, **settings):
        super().__init__(**settings)
        self.opened = Counter()
        self._lock = threading.Lock()

    def __len__(self):
        return 3

    def __getitem__(self, index):
        if not isinstance(index, int):
            raise FileNotFoundError(f"file-{index}.npz")
        with self._lock:
            self.opened[index] += 1
        start = index * BATCH
        return X[start : start + BATCH], Y[start : start + BATCH]


def streamed(opened):
    """The same batches from a generator that has those of two epochs."""
    for index in range(6):
        opened[index] += 1
        yield X[index % 3 * BATCH :][:BATCH], Y[index % 3 * BATCH :][:BATCH]


def dataset(opened):
    """The same batches as a `tf.data.Dataset`, which counts those that it is asked for."""

    def batches():
        for index in range(3):
            opened[index] += 1
            yield X[index * BATCH :][:BATCH], Y[index * BATCH :][:BATCH]

    specs = (tf.TensorSpec((None, 3)), tf.TensorSpec((None, 1)))
    made = tf.data.Dataset.from_generator(batches, output_signature=specs)
    return made.apply(tf.data.experimental.assert_cardinality(3))


def prepared(kind):
    """Data of a kind, what counts the batches that are loaded of them, and the arguments that belong to them."""
    if kind == "PyDataset":
        files = Files()
        return files, files.opened, {}
    if kind == "PyDataset with workers":
        files = Files(workers=2)
        return files, files.opened, {}
    opened = Counter()
    return (streamed(opened), opened, {"steps_per_epoch": 3}) if kind == "generator" else (dataset(opened), opened, {})


@pytest.mark.parametrize("kind", ["PyDataset", "PyDataset with workers", "generator", "dataset"])
def test_each_batch_is_loaded_as_often_as_keras_loads_it(kind, tmp_path):
    def by_sweep(model, data, **how):
        run_study(lambda trial: sweep.fit(trial, model, data, **how), tmp_path)

    counts, weights = [], []
    for fit in (keras.Model.fit, compiled.fit, by_sweep):
        data, opened, how = prepared(kind)
        held_out, validated, _ = prepared("dataset" if kind == "generator" else kind)
        model = seeded(network)
        fit(model, data, validation_data=held_out, epochs=2, shuffle=False, verbose=0, **how)
        counts.append((opened, validated))
        weights.append(model.get_weights())
    assert counts[1] == counts[2] == counts[0]
    for one, other in zip(weights[1], weights[0], strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_names_of_logs_are_known_for_a_py_dataset_when_training_begins():
    names = []
    note = keras.callbacks.LambdaCallback(
        on_train_begin=lambda logs: names.extend(compiled.metric_names(note.model, has_validation=True))
    )
    model = keras.Sequential([keras.layers.Dense(1)])  # which its first batch builds
    model.compile(loss="mse", metrics=["mae"])
    compiled.fit(model, Files(), validation_data=VALIDATION, callbacks=note)
    assert names == ["loss", "mae", "val_loss", "val_mae"]


class Each(keras.callbacks.Callback):
    """Counts epochs, and batches where it is asked to, which only Keras' own `fit` can do."""

    def __init__(self, batches=False):
        super().__init__()
        self.epochs = []
        if batches:
            self.on_train_batch_end = lambda batch, logs=None: None

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append(epoch)


FORMS = {
    "one": lambda one, model: one,
    "tuple": lambda one, model: (one,),
    "nested": lambda one, model: [[one], ()],
    "CallbackList": lambda one, model: keras.callbacks.CallbackList([one], add_history=True, model=model),
}


@pytest.mark.parametrize("batches", [False, True])
def test_callbacks_may_be_given_in_every_form_that_keras_takes(batches):
    model = network()
    for name, form in FORMS.items():
        epochs = []
        for fit in (model.fit, lambda *args, **how: compiled.fit(model, *args, **how)):
            one = Each(batches)
            history = fit(X, Y, callbacks=form(one, model), initial_epoch=2, epochs=4, verbose=0)
            assert history.epoch == [2, 3], name
            epochs.append(one.epochs)
        assert epochs == [[2, 3], [2, 3]], name
        assert (compiled.reason(model) is None) is not batches
    assert compiled.fit(model, X, Y, callbacks=None).epoch == [0]


# Models of one's own


def test_a_gan_trains_with_its_own_optimizers_whose_rates_are_recorded(tmp_path, caplog):
    def train(trial):
        model = Gan()
        model.compile(keras.optimizers.Adam(0.25), keras.optimizers.SGD(trial.suggest_float("rate", 0.5, 0.5)))
        return sweep.fit(trial, model, X[:, :2], Y, epochs=2)

    kept = run_study(train, tmp_path, objective="g_loss", broken="report")
    (epochs,) = kept.metrics.values()
    assert kept.run.state == "COMPLETE"
    assert [set(metrics) for metrics in epochs.values()] == [
        {"d_loss", "g_loss", "learning_rate/d_optimizer", "learning_rate/g_optimizer"}
    ] * 2
    assert epochs[1]["learning_rate/d_optimizer"] == 0.25
    assert [record.message for record in caplog.records if record.levelname != "INFO"] == []


def test_a_gan_may_read_a_py_dataset(tmp_path):
    class Rows(Files):
        def __getitem__(self, index):
            return super().__getitem__(index)[0][:, :2]

    def train(trial):
        model = Gan()
        model.compile(keras.optimizers.Adam(0.25), keras.optimizers.SGD(0.5))
        return sweep.fit(trial, model, Rows(), epochs=1)

    assert run_study(train, tmp_path, objective="d_loss", broken="report").run.state == "COMPLETE"


def test_a_metric_that_is_built_again_in_a_trial_is_the_same_metric(tmp_path):
    returned = []

    def train(trial):
        for _ in range(2):
            model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, "sigmoid")])
            model.compile(loss="binary_crossentropy", metrics=[keras.metrics.AUC()])
            labels = (Y > 0).astype("float32")
            returned.append(sweep.fit(trial, model, X, labels, validation_data=(X, labels), epochs=2))
        return sum(returned) / 2

    kept = run_study(train, tmp_path, objective="val_auc", direction="maximize", broken="report")
    (epochs,) = kept.metrics.values()
    assert {frozenset(metrics) for metrics in epochs.values()} == {
        frozenset({"auc", "loss", "val_auc", "val_loss", "learning_rate"})
    }
    assert returned == [max(epochs[first + place]["val_auc"] for place in (0, 1)) for first in (0, 2)]
    assert kept.run.value == sum(returned) / 2


def test_a_learning_rate_that_is_a_hyperparameter_is_no_metric_of_tensorboard_too(tmp_path):
    def train(trial):
        model = network(rate=trial.suggest_float("learning_rate", 0.01, 0.02))
        return sweep.fit(trial, model, X, Y, validation_data=VALIDATION, epochs=2)

    kept = run_study(train, tmp_path)
    tags = {value.tag for event in event_files.read(Path(kept.run.directory)) for value in event.summary.value}
    assert "val_loss" in tags
    assert [tag for tag in tags if "learning_rate" in tag] == []
    assert "learning_rate" in kept.metrics[0][0]
