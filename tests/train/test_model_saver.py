"""A training that is put back into the queue in the middle, and goes on."""

import logging
import math
from pathlib import Path

import keras
import numpy as np
import pytest

import sweep
from sweep.control.revive import queue_revival
from sweep.errors import SweepError
from sweep.store import Store
from sweep.tensorboard import event_files
from sweep.worker.run import Requeued
from tests.train.here import VALIDATION, Gan, Line, X, Y, network
from tests.whole_study import run_study, scalars


class StopAt(keras.callbacks.Callback):
    """Raises what puts a trial back into the queue, before an epoch counted from 0, the first time only."""

    stopped = False

    def __init__(self, epoch):
        super().__init__()
        self.at = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.at and not StopAt.stopped:
            StopAt.stopped = True
            raise Requeued("stopped")


@pytest.fixture(autouse=True)
def _not_stopped_yet():
    StopAt.stopped = False


def train_with(build=network, *, stop=None, epochs=6, models=None, **settings):
    """A `train` that stops before an epoch, once."""

    def train(trial):
        trial.suggest_float("x", 0, 1)
        model = build()
        value = sweep.fit(
            trial,
            model,
            X,
            Y,
            validation_data=VALIDATION,
            epochs=epochs,
            checkpoint=0,
            callbacks=[StopAt(stop)] if stop is not None else [],
            **settings,
        )
        if models is not None:
            models.append(model)
        return value

    return train


def both(tmp_path, make, **study):
    """What a study leaves that trained in one go, and one whose trial was stopped and went on."""
    (tmp_path / "whole").mkdir()
    (tmp_path / "parts").mkdir()
    whole = run_study(make(None), tmp_path / "whole", **study)
    return whole, run_study(make(4), tmp_path / "parts", **study)


OPTIMIZERS = {
    "adam": lambda: keras.optimizers.Adam(0.01),
    "momentum": lambda: keras.optimizers.SGD(0.01, momentum=0.9, nesterov=True),
    "ema": lambda: keras.optimizers.AdamW(0.01, use_ema=True, ema_momentum=0.9),
    "schedule": lambda: keras.optimizers.RMSprop(keras.optimizers.schedules.ExponentialDecay(0.01, 5, 0.9)),
}


@pytest.mark.parametrize(("name", "compiled"), [*((name, True) for name in OPTIMIZERS), ("adam", False)])
def test_a_resumed_training_ends_where_an_uninterrupted_one_does(tmp_path, name, compiled):
    models = []

    def build():
        model = keras.Sequential(
            [keras.Input((3,)), keras.layers.Dense(4, "relu"), keras.layers.BatchNormalization(), keras.layers.Dense(1)]
        )
        model.compile(OPTIMIZERS[name](), loss="mse")
        return model

    def make(stop):
        return train_with(build, stop=stop, models=models, compiled=compiled, shuffle=compiled)

    whole, parts = both(tmp_path, make)
    assert parts.run.state == "COMPLETE"
    assert (parts.run.attempt, parts.run.epoch) == (1, 6)
    assert sorted(parts.metrics[0]) == list(range(6))
    for epoch in range(6):
        assert parts.metrics[0][epoch] == pytest.approx(whole.metrics[0][epoch], rel=1e-5)
    for one, other in zip(models[0].get_weights(), models[-1].get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    assert (parts.run.best, parts.run.last) == pytest.approx((whole.run.best, whole.run.last), rel=1e-5)
    assert parts.run.best_epoch == whole.run.best_epoch


@pytest.mark.parametrize("compiled", ["auto", False])
def test_a_model_with_optimizers_of_its_own_continues_with_their_state(tmp_path, compiled):
    models = []

    def make(stop):
        def train(trial):
            trial.suggest_float("x", 0, 1)
            model = Gan()
            model.compile(keras.optimizers.Adam(0.05), keras.optimizers.SGD(0.2, momentum=0.9))
            stops = [StopAt(stop)] if stop is not None else []
            settings = {"shuffle": False, "batch_size": 30, "checkpoint": 0, "compiled": compiled}
            value = sweep.fit(trial, model, X, Y, epochs=6, callbacks=stops, **settings)
            models.append(model)
            return value

        return train

    whole, parts = both(tmp_path, make, objective="distance")
    assert (parts.run.attempt, parts.run.epoch) == (1, 6)
    for epoch in range(6):
        assert parts.metrics[0][epoch] == pytest.approx(whole.metrics[0][epoch], rel=1e-4)
    for one, other in zip(models[0].get_weights(), models[-1].get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    rates = {name: value for name, value in parts.metrics[0][5].items() if name.startswith("learning_rate")}
    assert rates == pytest.approx({"learning_rate/d_optimizer": 0.2, "learning_rate/g_optimizer": 0.05})


def test_dropout_draws_on_where_it_stood(tmp_path):
    def build():
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dropout(0.5), keras.layers.Dense(1)])
        model.compile("sgd", loss="mse")
        return model

    whole, parts = both(tmp_path, lambda stop: train_with(build, stop=stop, compiled=True))
    assert parts.metrics[0][5] == pytest.approx(whole.metrics[0][5], rel=1e-5)


def test_what_keras_callbacks_count_goes_on(tmp_path):
    seen = []

    def make(stop):
        def train(trial):
            trial.suggest_float("x", 0, 1)
            early = keras.callbacks.EarlyStopping("val_loss", patience=5, min_delta=1e6, restore_best_weights=True)
            plateau = keras.callbacks.ReduceLROnPlateau("val_loss", patience=3, min_delta=1e6, factor=0.5)
            model = network()
            stops = [StopAt(stop)] if stop is not None else []
            callbacks = [early, plateau, *stops]
            value = sweep.fit(
                trial, model, X, Y, validation_data=VALIDATION, epochs=9, checkpoint=0, callbacks=callbacks
            )
            seen.append((early.stopped_epoch, early.best_epoch, early.best, model.get_weights()))
            return value

        return train

    whole, parts = both(tmp_path, make)
    assert whole.run.epoch == parts.run.epoch == 6
    assert [whole.metrics[0][epoch]["learning_rate"] for epoch in range(6)] == [
        parts.metrics[0][epoch]["learning_rate"] for epoch in range(6)
    ]
    (stopped, best_epoch, best, weights), (*also, others) = seen
    assert (stopped, best_epoch) == tuple(also[:2]) == (5, 0)
    assert best == pytest.approx(also[2])
    for one, other in zip(weights, others, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)


def test_stateful_layers_go_on_with_their_states(tmp_path):
    def make(stop):
        def train(trial):
            trial.suggest_float("x", 0, 1)
            layers = [keras.Input((3, 1), batch_size=20), keras.layers.LSTM(3, stateful=True), keras.layers.Dense(1)]
            model = keras.Sequential(layers)
            model.compile(keras.optimizers.Adam(0.05), loss="mse")
            x, (x_test, y_test) = X[..., None], (VALIDATION[0][..., None], VALIDATION[1])
            stops = [StopAt(stop)] if stop is not None else []
            settings = {"batch_size": 20, "shuffle": False, "epochs": 6, "checkpoint": 0, "callbacks": stops}
            return sweep.fit(trial, model, x, Y, validation_data=(x_test, y_test), **settings)

        return train

    whole, parts = both(tmp_path, make)
    assert parts.metrics[0][4] == pytest.approx(whole.metrics[0][4], rel=1e-6)


def test_averaged_weights_are_swapped_back_in_a_resumed_training(tmp_path):
    def make(stop):
        def train(trial):
            trial.suggest_float("x", 0, 1)
            model = network()
            model.compile(keras.optimizers.Adam(0.01, use_ema=True), loss="mse")
            stops = [StopAt(stop)] if stop is not None else []
            callbacks = [keras.callbacks.SwapEMAWeights(swap_on_epoch=True), *stops]
            return sweep.fit(
                trial, model, X, Y, validation_data=VALIDATION, epochs=6, checkpoint=0, callbacks=callbacks
            )

        return train

    whole, parts = both(tmp_path, make)
    assert parts.metrics[0][5] == pytest.approx(whole.metrics[0][5], rel=1e-5)


def test_the_history_is_that_of_the_whole_training(tmp_path):
    models = []
    _, parts = both(tmp_path, lambda stop: train_with(stop=stop, models=models))
    assert models[-1].history.epoch == list(range(6))
    assert set(models[-1].history.history) == {"loss", "mae", "val_loss", "val_mae"}
    assert models[-1].history.history["loss"] == [parts.metrics[0][epoch]["loss"] for epoch in range(6)]


def test_tensorboard_has_each_epoch_once_and_the_head_of_the_first_attempt(tmp_path):
    _, parts = both(tmp_path, lambda stop: train_with(stop=stop))
    directory = Path(parts.run.directory)
    assert len(event_files.files(directory)) == 3  # the attempt, the mark from which on it is forgotten, what went on
    assert sorted(scalars(directory, "loss")) == list(range(6))
    starts = [event.step for event in event_files.read(directory) if event.HasField("session_log")]
    assert starts == [0, 4]
    heads = [v.tag for e in event_files.read(directory) for v in e.summary.value if v.tag.startswith("_hparams_")]
    assert heads == ["_hparams_/session_start_info", "_hparams_/session_end_info"]
    assert sum(bool(event.graph_def) for event in event_files.read(directory)) == 1


def test_a_second_training_of_the_trial_goes_on_too(tmp_path):
    calls = []

    def make(stop):
        def train(trial):
            trial.suggest_float("x", 0, 1)
            model = network()
            stops = [StopAt(stop)] if stop is not None else []
            sweep.fit(trial, model, X, Y, validation_data=VALIDATION, epochs=2, checkpoint=0)
            model.compile(keras.optimizers.SGD(0.001), loss="mse", metrics=["mae"])
            value = sweep.fit(trial, model, X, Y, validation_data=VALIDATION, epochs=4, checkpoint=0, callbacks=stops)
            calls.append((model.history.epoch, model.get_weights()))
            return value

        return train

    whole, parts = both(tmp_path, make)
    assert calls[0][0] == calls[1][0] == [2, 3, 4, 5]
    for epoch in range(6):
        assert parts.metrics[0][epoch] == pytest.approx(whole.metrics[0][epoch], rel=1e-5)
    for one, other in zip(calls[0][1], calls[1][1], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    assert sorted(scalars(Path(parts.run.directory), "loss")) == list(range(6))


def test_a_training_that_had_come_to_its_end_is_not_repeated(tmp_path):
    trained = []

    def train(trial):
        trial.suggest_float("x", 0, 1)
        counting = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: trained.append(epoch))
        value = sweep.fit(
            trial, network(), X, Y, validation_data=VALIDATION, epochs=3, checkpoint=0, callbacks=[counting]
        )
        if not StopAt.stopped:
            StopAt.stopped = True
            raise Requeued("after the training")
        return value

    kept = run_study(train, tmp_path)
    assert trained == [0, 1, 2]
    assert (kept.run.state, kept.run.epoch, kept.run.attempt) == ("COMPLETE", 3, 1)


def test_a_trial_whose_model_has_changed_since_its_checkpoint_starts_from_its_beginning(tmp_path, caplog):
    units = iter([4, 5, 5])
    with caplog.at_level(logging.WARNING):
        kept = run_study(train_with(lambda: network(units=next(units)), stop=4), tmp_path)
    assert "the model of its sweep.fit call 1 was 4 and is now 5" in caplog.text
    assert (kept.run.state, kept.run.epoch) == ("COMPLETE", 6)
    assert scalars(Path(kept.run.directory), "loss")[0] == pytest.approx(kept.metrics[0][0]["loss"])


def test_an_unbuilt_model_is_resumed_once_it_is_built(tmp_path):
    def build():
        model = Line()
        model.compile(keras.optimizers.Adam(0.05), loss="mse")
        return model

    whole, parts = both(tmp_path, lambda stop: train_with(build, stop=stop))
    assert parts.metrics[0][5] == pytest.approx(whole.metrics[0][5], rel=1e-4)


def test_checkpoints_are_gone_with_a_complete_trial_and_stay_with_a_pruned_one(tmp_path):
    kept = run_study(train_with(), tmp_path)
    assert not (Path(kept.run.directory) / "checkpoints").exists()

    def broken(trial):
        trial.suggest_float("x", 0, 1)
        ends = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(loss=math.nan))
        return sweep.fit(trial, network(), X, Y, validation_data=VALIDATION, checkpoint=0, callbacks=[ends])

    pruned = run_study(broken, tmp_path, name="pruned")
    assert pruned.run.state == "PRUNED"
    assert (Path(pruned.run.directory) / "checkpoints").exists()


def test_a_pruned_run_goes_on_in_another_that_has_all_its_epochs(tmp_path):
    seen = []

    def train(trial):
        trial.suggest_float("x", 0, 1)
        model = network()
        note = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: seen.append((trial.number, epoch)))
        return sweep.fit(
            trial, model, X, Y, validation_data=VALIDATION, epochs=6, checkpoint=0, callbacks=[note], compiled=True
        )

    kept = run_study(train, tmp_path, pruner="threshold(upper=-1.0, n_warmup_steps=2)")
    assert (kept.run.state, kept.run.epoch) == ("PRUNED", 3)
    store = Store(kept.storage)
    queue_revival(store, kept.study, kept.run)
    store.close()
    kept = run_study(train, tmp_path, pruner="threshold(upper=-1.0, n_warmup_steps=2)", trials=2)
    old, new = kept.runs
    assert (new.state, new.epoch, new.params) == ("COMPLETE", 6, old.params)
    assert [epoch for number, epoch in seen if number == 1] == [3, 4, 5]
    for epoch in range(3):
        assert kept.metrics[1][epoch] == kept.metrics[0][epoch]
    assert sorted(scalars(Path(new.directory), "loss")) == list(range(6))
    heads = [
        v.tag for e in event_files.read(Path(new.directory)) for v in e.summary.value if v.tag.startswith("_hparams_")
    ]
    assert heads == ["_hparams_/session_start_info", "_hparams_/session_end_info"]


def test_cheap_trainings_write_none(tmp_path, monkeypatch):
    def train(trial):
        trial.suggest_float("x", 0, 1)
        return sweep.fit(trial, network(), X, Y, validation_data=VALIDATION, epochs=6, callbacks=[StopAt(4)])

    saved = []
    monkeypatch.setattr("sweep.worker.saver.save", lambda run, checkpoint: saved.append(checkpoint))
    kept = run_study(train, tmp_path)
    assert saved == []
    assert (kept.run.state, kept.run.epoch) == ("COMPLETE", 6)
    assert sorted(kept.metrics[0]) == list(range(6))


def test_a_checkpoint_that_cannot_be_written_costs_no_trial(tmp_path, monkeypatch, caplog):
    def full(run, checkpoint, **_how):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sweep.worker.saver.save", full)
    kept = run_study(train_with(), tmp_path)
    assert kept.run.state == "COMPLETE"
    assert "No space left on device" in caplog.text


@pytest.mark.parametrize("wrong", [-1, math.nan, "often"])
def test_the_time_between_checkpoints_is_a_number_of_seconds(tmp_path, wrong):
    with pytest.raises(SweepError, match="checkpoint must be a number of seconds, or 0 for every epoch"):
        run_study(lambda trial: sweep.fit(trial, network(), X, Y, checkpoint=wrong), tmp_path)
