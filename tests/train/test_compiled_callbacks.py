"""Epoch callbacks see, change and stop a compiled training as they do in Keras' `fit`."""

import keras
import numpy as np
import pytest

from sweep.train import compiled
from tests.train.same_as_fit import HELD_OUT, X, Y, assert_same_as_fit, dense, seeded


@pytest.mark.parametrize(
    "make",
    [
        lambda: keras.callbacks.EarlyStopping(patience=1, min_delta=1.0, restore_best_weights=True),
        lambda: keras.callbacks.ReduceLROnPlateau(patience=1, min_delta=1.0, factor=0.1),
        lambda: keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.5),
        lambda: keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(twice=2 * logs["loss"])),
    ],
    ids=["EarlyStopping", "ReduceLROnPlateau", "LearningRateScheduler", "LambdaCallback"],
)
def test_epoch_callbacks_behave_as_in_fit(make):
    assert_same_as_fit(dense, X, Y, epochs=6, callbacks=lambda: [make()], validation_data=HELD_OUT)


def test_swapped_average_weights_are_validated():
    build = lambda: dense(optimizer=keras.optimizers.Adam(0.1, use_ema=True, ema_momentum=0.5))  # noqa: E731
    swap = lambda: [keras.callbacks.SwapEMAWeights(swap_on_epoch=False)]  # noqa: E731
    assert_same_as_fit(build, X, Y, epochs=2, callbacks=swap, validation_data=HELD_OUT)


def test_model_checkpoint_keeps_the_best_epoch(tmp_path):
    path = tmp_path / "best.weights.h5"
    make = lambda: [keras.callbacks.ModelCheckpoint(path, save_best_only=True, save_weights_only=True)]  # noqa: E731
    ours, _ = assert_same_as_fit(dense, X, Y, callbacks=make, validation_data=HELD_OUT)
    best = min(ours.history.history["val_loss"])
    ours.load_weights(path)
    assert ours.evaluate(*HELD_OUT, verbose=0) == pytest.approx(best, rel=1e-5)


def test_backup_and_restore_goes_on_after_the_last_whole_epoch(tmp_path):
    class Died(Exception):
        pass

    def die(epoch, logs):
        if epoch == 2:
            raise Died

    arguments = {"epochs": 5, "batch_size": 8, "compiled": True}
    whole = seeded(dense)
    compiled.fit(whole, X, Y, **arguments)
    resumed = seeded(dense)
    backup = lambda: keras.callbacks.BackupAndRestore(tmp_path / "backup")  # noqa: E731
    with pytest.raises(Died):
        compiled.fit(resumed, X, Y, callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=die), backup()], **arguments)
    resumed = seeded(dense)
    history = compiled.fit(resumed, X, Y, callbacks=[backup()], **arguments)
    assert history.epoch == [2, 3, 4]
    np.testing.assert_allclose(history.history["loss"], whole.history.history["loss"][2:], rtol=1e-6)


class Recorder(keras.callbacks.Callback):
    """Notes every call it gets, with the names of the logs."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def note(self, hook, logs):
        self.calls.append(
            (hook, sorted(logs or {}), self.params["epochs"], self.params["steps"], self.params["verbose"])
        )

    def on_train_begin(self, logs=None):
        self.note("on_train_begin", logs)

    def on_epoch_begin(self, epoch, logs=None):
        self.note(f"on_epoch_begin {epoch}", logs)

    def on_test_begin(self, logs=None):
        self.note("on_test_begin", logs)

    def on_test_end(self, logs=None):
        self.note("on_test_end", logs)

    def on_epoch_end(self, epoch, logs=None):
        self.note(f"on_epoch_end {epoch}", logs)
        self.model.evaluate(*HELD_OUT, verbose=0)  # a user's own look must disturb nothing
        self.model.predict(X, verbose=0)

    def on_train_end(self, logs=None):
        self.note("on_train_end", logs)


def test_callbacks_are_called_in_the_order_and_with_the_logs_of_fit():
    recorders = []

    def make():
        recorders.append(Recorder())
        return recorders[-1:]

    assert_same_as_fit(lambda: dense(metrics=["mae"]), X, Y, epochs=3, callbacks=make, validation_data=HELD_OUT)
    assert recorders[1].calls == recorders[0].calls


def test_stop_training_ends_after_the_epoch_or_the_first_batch():
    def stop_after_epoch():
        stop = keras.callbacks.LambdaCallback()
        stop.on_epoch_end = lambda epoch, logs: setattr(stop.model, "stop_training", epoch == 1)
        return [stop]

    def stop_before_epoch():
        stop = keras.callbacks.LambdaCallback()
        stop.on_epoch_begin = lambda epoch, logs: setattr(stop.model, "stop_training", epoch == 1)
        return [stop]

    for make in (stop_after_epoch, stop_before_epoch):
        ours, _ = assert_same_as_fit(dense, X, Y, callbacks=make, validation_data=HELD_OUT)
        assert ours.history.epoch == [0, 1]


def test_a_schedule_set_when_training_begins_holds():
    def make():
        change = keras.callbacks.LambdaCallback()
        schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 3, 0.5)
        change.on_train_begin = lambda logs: setattr(change.model.optimizer, "learning_rate", schedule)
        return [change]

    assert_same_as_fit(lambda: dense(optimizer=keras.optimizers.SGD(0.001)), X, Y, callbacks=make)
