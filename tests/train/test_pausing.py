"""A run that pauses at every rung and continues ends with the same bits as one that never paused."""

import keras
import numpy as np
import pytest
from keras import layers

import sweep
from sweep.core.pruners.asha import Schedule
from sweep.train.programs import Program
from tests.train.here import VALIDATION, Gan, X, Y, network
from tests.whole_study import run_study

EPOCHS = 6
RUNGS = "asha(rungs=[1, 2, 4])"


@pytest.fixture
def pausing(monkeypatch):
    """Every run pauses at every rung, and continues at once, though the study has no other."""
    monkeypatch.setattr("sweep.core.study.complete_of", lambda _trials, **_kind: 0)
    monkeypatch.setattr(Schedule, "_places", lambda _self, _rung: 0)
    monkeypatch.setattr(Schedule, "_is_due", lambda _self, rung, number: number not in rung.continued)


@pytest.fixture
def always_xla(monkeypatch):
    """Every pass is by XLA."""

    def speed_up(program, rows, _passes):
        if program._kept is None and program._fast is None:
            compiling = program.compile(rows, doubted=False)
            if compiling is not None:
                compiling.join()

    monkeypatch.setattr(Program, "speed_up", speed_up)
    monkeypatch.setattr(Program, "_is_graphs_turn", lambda _self, _fast: False)


def both(tmp_path, make, **study):
    """What a study leaves that never paused, and one whose run paused at every rung; with the last models of each."""
    left = []
    for name, pruner in (("whole", "nop"), ("parts", RUNGS)):
        models = []
        (tmp_path / name).mkdir()
        done = run_study(make(models), tmp_path / name, pruner=pruner, epochs=EPOCHS, **study)
        left.append((done, models))
    return left


def assert_same_bits(left, pauses=3):
    (whole, models), (parts, others) = left
    assert (whole.run.state, parts.run.state) == ("COMPLETE", "COMPLETE"), (whole.run.why, parts.run.why)
    assert parts.run.attempt == pauses
    assert [entry.continued for entry in parts.run.rungs] == [True] * pauses
    assert parts.metrics[0] == whole.metrics[0]
    assert (parts.run.value, parts.run.best, parts.run.best_epoch) == (
        whole.run.value,
        whole.run.best,
        whole.run.best_epoch,
    )
    for one, other in zip(models[-1].get_weights(), others[-1].get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def fitted(models, build, **settings):
    def train(trial):
        trial.suggest_float("x", 0, 1)
        model = build()
        models.append(model)
        return sweep.fit(trial, model, X, Y, validation_data=VALIDATION, **settings)

    return train


def compiled_model(*inner, optimizer="adam", loss="mse"):
    model = keras.Sequential([keras.Input((3,)), layers.Dense(4, "relu"), *inner, layers.Dense(1)])
    model.compile(optimizer, loss)
    return model


BUILDS = {
    "plain": network,
    "Dropout": lambda: compiled_model(layers.Dropout(0.3), layers.GaussianNoise(0.1)),
    "BatchNormalization": lambda: compiled_model(layers.BatchNormalization()),
    "momentum": lambda: compiled_model(optimizer=keras.optimizers.SGD(0.01, momentum=0.9)),
    "ema": lambda: compiled_model(optimizer=keras.optimizers.AdamW(0.01, use_ema=True)),
    "schedule": lambda: compiled_model(
        optimizer=keras.optimizers.RMSprop(keras.optimizers.schedules.ExponentialDecay(0.01, 5, 0.9))
    ),
}


@pytest.mark.parametrize("name", BUILDS)
def test_a_fit_resumes_exactly(tmp_path, pausing, name):
    assert_same_bits(both(tmp_path, lambda models: fitted(models, BUILDS[name])))


def test_a_fit_by_xla_resumes_by_xla_exactly(tmp_path, pausing, always_xla):
    left = both(tmp_path, lambda models: fitted(models, BUILDS["Dropout"], batch_size=10))
    assert_same_bits(left)
    assert "XLA" in left[0][0].run.trainings[0].how
    assert "XLA" in left[1][0].run.trainings[0].how


def test_keras_own_fit_resumes_exactly_where_it_does_not_shuffle(tmp_path, pausing):
    settings = {"compiled": False, "shuffle": False}
    assert_same_bits(both(tmp_path, lambda models: fitted(models, BUILDS["Dropout"], **settings)))


def test_mixed_precision_resumes_exactly(tmp_path, pausing):
    def build():
        keras.config.set_dtype_policy("mixed_float16")
        try:
            return compiled_model()
        finally:
            keras.config.set_dtype_policy("float32")

    assert_same_bits(both(tmp_path, lambda models: fitted(models, build)))


def test_a_stateful_layer_resumes_exactly(tmp_path, pausing):
    rows = np.repeat(X[:, None], 2, axis=1)

    def make(models):
        def train(trial):
            trial.suggest_float("x", 0, 1)
            inputs = keras.Input(batch_shape=(20, 2, 3))
            model = keras.Model(inputs, layers.Dense(1)(layers.LSTM(3, stateful=True)(inputs)))
            model.compile("adam", "mse")
            models.append(model)
            return sweep.fit(trial, model, rows, Y, batch_size=20, validation_data=(rows[:20], Y[:20]))

        return train

    assert_same_bits(both(tmp_path, make))


def test_several_optimizers_resume_exactly(tmp_path, pausing):
    def make(models):
        def train(trial):
            trial.suggest_float("x", 0, 1)
            model = Gan()
            model.compile(keras.optimizers.Adam(0.05), keras.optimizers.SGD(0.2, momentum=0.9))
            models.append(model)
            return sweep.fit(trial, model, X, Y, batch_size=30)

        return train

    assert_same_bits(both(tmp_path, make, objective="distance"))


class Halving(keras.callbacks.Callback):
    """Halves the learning rate at every second epoch that it has counted."""

    def __init__(self):
        super().__init__()
        self.count = 0
        self.seen = np.zeros(2)

    def on_epoch_end(self, epoch, logs=None):
        self.count += 1
        self.seen += [1, logs["loss"]]
        if self.count % 2 == 0:
            self.model.optimizer.learning_rate = float(self.model.optimizer.learning_rate) / 2

    def get_state(self):
        return {"count": self.count, "seen": self.seen}

    def set_state(self, state):
        self.count, self.seen = state["count"], state["seen"]


def test_callbacks_with_state_resume_exactly(tmp_path, pausing):
    seen = []

    def make(models):
        def train(trial):
            trial.suggest_float("x", 0, 1)
            own = Halving()
            seen.append(own)
            models.append(network())
            callbacks = [
                own,
                keras.callbacks.ReduceLROnPlateau(patience=0, factor=0.5),
                keras.callbacks.EarlyStopping(patience=5, restore_best_weights=True),
            ]
            return sweep.fit(trial, models[-1], X, Y, validation_data=VALIDATION, callbacks=callbacks)

        return train

    assert_same_bits(both(tmp_path, make))
    assert seen[0].count == seen[-1].count == EPOCHS
    np.testing.assert_array_equal(seen[0].seen, seen[-1].seen)


def test_folds_resume_exactly(tmp_path, pausing):
    def make(models):
        def train(trial):
            trial.suggest_float("x", 0, 1)
            values = []
            for fold in range(3):
                held = np.arange(60) % 3 == fold
                models.append(compiled_model(layers.Dropout(0.2)))
                data = (X[held], Y[held])
                values.append(sweep.fit(trial, models[-1], X[~held], Y[~held], validation_data=data, judge=fold == 1))
            return float(np.mean(values))

        return train

    assert_same_bits(both(tmp_path, make))


def test_pretraining_and_fine_tuning_resume_exactly(tmp_path, pausing):
    def make(models):
        def train(trial):
            trial.suggest_float("x", 0, 1)
            body = layers.Dense(4, "relu")
            first = keras.Sequential([keras.Input((3,)), body, layers.Dense(3)])
            first.compile("adam", "mse")
            sweep.fit(trial, first, X, X, validation_data=(X[:20], X[:20]), epochs=3, judge=False)
            body.trainable = False
            second = keras.Sequential([keras.Input((3,)), body, layers.Dropout(0.2), layers.Dense(1)])
            second.compile("adam", "mse")
            models.append(second)
            return sweep.fit(trial, second, X, Y, validation_data=VALIDATION, judge=True)

        return train

    assert_same_bits(both(tmp_path, make))


def test_the_findings_of_a_run_that_paused_are_those_of_one_that_did_not(tmp_path, pausing):
    def build():
        model = keras.Sequential(
            [keras.Input((3,)), layers.Dense(4, "relu", kernel_initializer="zeros"), layers.Dense(1)]
        )
        model.compile("adam", "mse")
        return model

    left = both(tmp_path, lambda models: fitted(models, build), broken="report")
    assert_same_bits(left)
    assert left[0][0].run.findings
    assert left[1][0].run.findings == left[0][0].run.findings


@pytest.mark.parametrize("how", ["generator", "shuffled", "callback"])
def test_what_cannot_resume_exactly_is_pruned_or_trains_on(tmp_path, pausing, how, capsys):
    class Counting(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.count = 0

    def rows():
        while True:
            yield X[:20], Y[:20]

    settings = {
        "generator": {"x": rows(), "y": None, "steps_per_epoch": 2, "shuffle": False},
        "shuffled": {"x": X, "y": Y, "compiled": False},
        "callback": {"x": X, "y": Y, "callbacks": [Counting()]},
    }[how]

    def train(trial):
        trial.suggest_float("x", 0, 1)
        return sweep.fit(trial, network(), validation_data=VALIDATION, **settings)

    done = run_study(train, tmp_path, pruner="asha(rungs=[1, 2, 4])", epochs=EPOCHS)
    assert (done.run.state, done.run.attempt) == ("COMPLETE", 0), done.run.traceback
