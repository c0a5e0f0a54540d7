"""`sweep.retrain`: the best parameters on all the data, for as many epochs as were best."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import sweep
from sweep.errors import StudyError
from sweep.store import Training
from sweep.train.retrain import Rebuilding, are_folds, best_epochs, built_by, join
from sweep.worker.weights import load_weights
from tests.train.here import X, Y, network
from tests.whole_study import run_study

TRAINED = []
"""The rows and epochs of each training, as its model saw them."""


class Counting(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        TRAINED.append([])

    def on_epoch_begin(self, epoch, logs=None):
        TRAINED[-1].append(epoch)


def single(trial):
    rate = trial.suggest_float("rate", 0.1, 1)
    stops = keras.callbacks.EarlyStopping(monitor="val_loss", patience=50)
    return sweep.fit(
        trial,
        network(rate=rate),
        X[20:],
        Y[20:],
        validation_data=(X[:20], Y[:20]),
        epochs=6,
        callbacks=[Counting(), stops],
    )


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    return run_study(single, tmp_path_factory.mktemp("single"), trials=2, pruner="nop", broken="ignore")


def retrain(kept, reference="test:best", **settings):
    TRAINED.clear()
    return sweep.retrain(reference, storage=kept.storage, **settings)


def test_the_best_parameters_are_trained_on_all_rows_for_the_best_number_of_epochs(kept, capsys):
    best = min(kept.runs, key=lambda run: run.value)
    model = retrain(kept, train=single)
    assert [list(range(best.best_epoch + 1))] == TRAINED
    assert float(model.optimizer.learning_rate) == pytest.approx(best.params["rate"])
    said = capsys.readouterr().out
    assert f"{best.best_epoch + 1} epoch" in said
    assert "up to its best of 6 on 60 rows, with nothing left to validate with" in said
    assert "without EarlyStopping, which needs validation data" in said
    again = retrain(kept, train=single)
    assert all(map(np.array_equal, model.get_weights(), again.get_weights()))


def test_any_run_is_retrained_and_for_as_many_epochs_as_are_asked_for(kept):
    model = retrain(kept, "test:0", train=single, epochs=3)
    assert TRAINED == [[0, 1, 2]]
    assert float(model.optimizer.learning_rate) == pytest.approx(kept.runs[0].params["rate"])


def test_a_train_that_may_stop_its_study_is_retrained_all_the_same(kept):
    def train(trial):
        trial.study.stop()
        return single(trial)

    retrain(kept, train=train, epochs=1)
    assert TRAINED == [[0]]


def test_what_cannot_be_retrained_is_refused(kept):
    with pytest.raises(StudyError, match="names several runs"):
        retrain(kept, "test:best:2", train=single)
    with pytest.raises(StudyError, match="asks for the parameter units, which the run does not have"):
        retrain(kept, train=lambda trial: trial.suggest_int("units", 1, 4))
    with pytest.raises(StudyError, match=r"train calls no sweep\.fit"):
        retrain(kept, train=lambda trial: 0.0)
    with pytest.raises(StudyError, match="at least 1"):
        retrain(kept, train=single, epochs=0)

    def twice(trial):
        single(trial)
        single(trial)

    with pytest.raises(StudyError, match="train fits 2 models, and the run fitted 1"):
        retrain(kept, train=twice)


def test_of_folds_one_model_is_trained_on_all_rows_for_the_median_of_their_epochs(tmp_path, capsys):
    def folds(trial):
        scores = []
        for fold in range(3):
            held = np.arange(60) % 3 == fold
            data = {"validation_data": (X[held], Y[held]), "epochs": 4, "callbacks": Counting()}
            scores.append(sweep.fit(trial, network(rate=0.3), X[~held], Y[~held], **data))
        return sum(scores) / 3

    kept = run_study(folds, tmp_path)
    epochs = sorted(training.best_epoch + 1 for training in kept.run.trainings)
    retrain(kept, train=folds)
    assert [list(range(epochs[1]))] == TRAINED
    assert "the median of the best epochs of 3 folds on 60 rows" in capsys.readouterr().out


def test_a_pretraining_and_what_follows_are_trained_each_for_its_best(tmp_path):
    def pretrained(trial):
        encoder = network(3, name="encoder")
        sweep.fit(trial, encoder, X, X[:, :1], validation_split=0.25, epochs=3, callbacks=[Counting()])
        model = network(5, name="regressor")
        sweep.fit(trial, model, X, Y, validation_split=0.25, epochs=2, callbacks=[Counting()])
        return sweep.fit(trial, model, X, Y, validation_split=0.25, epochs=2, callbacks=[Counting()])

    kept = run_study(pretrained, tmp_path)
    first, second = (training.best_epoch + 1 for training in kept.run.trainings)
    model = retrain(kept, train=pretrained)
    assert model.name == "regressor"
    assert [epoch for call in TRAINED[1:] for epoch in call] == list(range(second))
    assert TRAINED[0] == list(range(first))


def test_a_model_is_rebuilt_after_those_before_it_have_their_weights_back(tmp_path):
    seen = []

    def pretrained(trial):
        encoder = network(3, name="encoder")
        sweep.fit(trial, encoder, X, X[:, :1], validation_split=0.25, epochs=2)
        seen.append(encoder.get_weights())
        model = network(5, name="regressor")
        return sweep.fit(trial, model, X, Y, validation_split=0.25, epochs=2)

    kept = run_study(pretrained, tmp_path)
    directory = Path(kept.run.directory)
    rebuilding = Rebuilding(kept.run.trainings, 1, lambda number: load_weights(directory, number), kept.run.name)
    model = built_by(pretrained, kept.run, rebuilding)
    assert model.name == "regressor"
    assert all(map(np.array_equal, seen[1], load_weights(directory, 0).arrays))


def test_the_study_file_is_run_as_it_was(tmp_path):
    file = tmp_path / "line.py"
    file.write_text(
        """
import keras
import numpy as np
import sweep

keras.config.set_floatx("float64")
X = np.arange(8.0)[:, None]

def train(trial):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(trial.suggest_int("units", 2, 2)),
                              keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    assert trial.retraining is None or trial.seed is not None
    return sweep.fit(trial, model, X / 8, X, validation_split=0.5, epochs=2)

study = sweep.Study(train, objective="val_loss", direction="minimize", trials=1, workers=1)
"""
    )
    from sweep.control.start import start_file
    from sweep.options import Settings

    storage = f"sqlite:///{tmp_path / 'sweep.db'}"
    start_file(str(file), Settings(storage=storage, logdir=str(tmp_path / "runs")))
    file.unlink()
    model = sweep.retrain("line:best", storage=storage)
    assert (model.layers[0].units, model.dtype) == (2, "float64")
    assert keras.config.floatx() == "float32"


@pytest.mark.parametrize(
    ("labels", "architectures", "are"),
    [
        ([None], ["4"], False),
        ([None, None], ["4", "4"], True),
        ([None, None], ["4", "8"], False),
        (["fold 1 of 2", "Fold 2 of 2"], ["4", "8"], True),
        (["teacher", "student"], ["4", "4"], False),
        (["fold 1 of 2", None], ["4", "4"], False),
    ],
)
def test_folds_are_told_from_other_trainings(labels, architectures, are):
    pairs = enumerate(zip(labels, architectures, strict=True))
    trainings = [Training(number, label, architecture=of, epochs=3) for number, (label, of) in pairs]
    assert are_folds(trainings) is are
    assert best_epochs(trainings[0]) == 3


def test_training_and_validation_data_are_joined():
    x, y, weight = join(X[:4], Y[:4], None, (X[4:6], Y[4:6]))
    assert (x.tolist(), y.tolist(), weight) == (X[:6].tolist(), Y[:6].tolist(), None)
    x, y, weight = join(X[:4], Y[:4], np.full(4, 2.0), [X[4:6], Y[4:6]])
    assert weight.tolist() == [2, 2, 2, 2, 1, 1]
    x, y, weight = join(X[:4], Y[:4], None, (X[4:6], Y[4:6], np.full(2, 3.0)), has_classes=True)
    assert weight is None
    x, y, weight = join({"a": tf.constant([[1]])}, [np.zeros(1)], None, ({"a": tf.constant([[2]])}, [np.ones(1)]))
    assert (x["a"].numpy().tolist(), y[0].tolist()) == ([[1], [2]], [0, 1])
    assert join(X, Y, None, None) == (X, Y, None)


class Batches(keras.utils.PyDataset):
    def __init__(self, data):
        super().__init__()
        self.data = data

    def __len__(self):
        return len(self.data)

    def __getitem__(self, index):
        return self.data[index]


def test_datasets_are_joined_batch_after_batch():
    first, second = (tf.data.Dataset.from_tensor_slices(rows).batch(2) for rows in (X[:4], X[4:6]))
    assert len(list(join(first, None, None, second)[0])) == 3
    joined = join(Batches([1, 2]), None, None, Batches([3]))[0]
    assert [joined[index] for index in range(joined.num_batches)] == [1, 2, 3]


@pytest.mark.parametrize(
    ("x", "validation"),
    [
        ((batch for batch in [X]), (X, Y)),
        (tf.data.Dataset.from_tensor_slices(X).repeat(), tf.data.Dataset.from_tensor_slices(X)),
        (X, tf.data.Dataset.from_tensor_slices(X)),
    ],
)
def test_data_that_cannot_be_joined_are_left_to_the_study(x, validation):
    with pytest.raises(StudyError, match=r"cannot be joined.*when trial\.retraining is set"):
        join(x, None, None, validation)
