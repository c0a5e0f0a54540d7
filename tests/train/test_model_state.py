"""What a run keeps of its model: the weights of the best epoch, and what makes them a model again."""

from pathlib import Path

import keras
import numpy as np
import pytest

import sweep
from sweep.errors import StudyError
from sweep.rundir import remove_weights, weights_file, weights_files
from sweep.train.model_state import BYTES, ROWS, complete, difference
from sweep.worker.weights import Weights, load_weights, save_weights
from tests.train.here import VALIDATION, X, Y, network
from tests.whole_study import run_study


def fit(trial, model=None, **settings):
    trial.suggest_float("x", 0, 1)
    return sweep.fit(trial, model or network(rate=1.0), X, Y, validation_data=VALIDATION, **{"epochs": 6, **settings})


def kept_of(model, epoch=0):
    return Weights(epoch, [np.array(weight) for weight in model.get_weights()], [], model.to_json())


def test_only_the_best_runs_keep_theirs(tmp_path):
    def train(trial):
        trial.suggest_float("x", 0, 1)
        rate = [1e-5, 1e-2, 1e-3, 1e-4][trial.number]
        return fit(trial, network(rate=rate))

    kept = run_study(train, tmp_path, trials=4, pruner="nop", broken="ignore", settings={"keep": "best:2"})
    ranked = sorted(kept.runs, key=lambda run: run.best)
    have = {run.number for run in kept.runs if (Path(run.directory) / "weights.npz").exists()}
    assert have == {run.number for run in ranked[:2]}


def test_a_failed_run_keeps_none_and_a_pruned_one_does(tmp_path):
    def train(trial):
        fit(trial)
        raise ValueError("afterwards")

    kept = run_study(train, tmp_path)
    assert kept.run.state == "FAIL"
    assert not (Path(kept.run.directory) / "weights.npz").exists()

    def broken(trial):
        ends = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: logs.update(loss=float("nan")) if epoch == 2 else None
        )
        return fit(trial, callbacks=[ends])

    pruned = run_study(broken, tmp_path, name="pruned")
    assert pruned.run.state == "PRUNED"
    model = sweep.load(pruned.run.directory)
    assert np.isfinite(model.predict(X, verbose=0)).all()


@pytest.mark.parametrize("wrong", ["best", "best:0", "some", "best:-1", ""])
def test_what_to_keep_is_one_of_three(tmp_path, wrong):
    with pytest.raises(StudyError, match="keep must be all, none or best:N"):
        run_study(fit, tmp_path, settings={"keep": wrong})
    assert list(tmp_path.iterdir()) == []


def test_of_several_objectives_there_is_no_best(tmp_path):
    with pytest.raises(StudyError, match="one objective"):
        run_study(
            fit,
            tmp_path,
            objective=["val_loss", "val_mae"],
            direction=["minimize", "minimize"],
            settings={"keep": "best:2"},
        )


def test_recording_predictions_leaves_the_model_as_the_training_left_it():
    model = network()
    model.fit(X, Y, epochs=2, verbose=0)
    best = kept_of(model)
    model.fit(X, Y, epochs=1, verbose=0)
    before = [variable.numpy() for variable in [*model.variables, *model.optimizer.variables]]
    np.random.seed(5)
    completed = complete(model, best, X[:20])
    drawn = np.random.normal()
    np.random.seed(5)
    assert drawn == np.random.normal()
    after = [variable.numpy() for variable in [*model.variables, *model.optimizer.variables]]
    assert all(map(np.array_equal, before, after))
    model.set_weights(best.arrays)
    np.testing.assert_allclose(completed.predictions, model.predict(X[:20], verbose=0), rtol=1e-5)
    assert (completed.unchecked, completed.completed) == (None, True)


def test_a_random_layer_draws_as_if_no_predictions_had_been_recorded():
    class Noisy(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.generator = keras.random.SeedGenerator(1)

        def call(self, inputs):
            return inputs + keras.random.normal(keras.ops.shape(inputs), seed=self.generator)

    model = keras.Sequential([keras.Input((3,)), Noisy(), keras.layers.Dense(1)])
    state = model.layers[0].generator.state.numpy()
    completed = complete(model, kept_of(model), X[:4])
    assert np.array_equal(state, model.layers[0].generator.state.numpy())
    assert completed.predictions is None
    assert completed.unchecked == "the model predicts something else each time"
    assert len(completed.inputs) == 4  # an unbuilt model is built from them


@pytest.mark.parametrize(
    ("batch", "rows"),
    [
        (np.zeros((1000, 3), "float32"), ROWS),
        (np.zeros((10, 3), "float32"), 10),
        (np.zeros((64, BYTES // 16), "float32"), 4),  # 64 KiB a row
        (np.zeros((2, BYTES), "float32"), 1),  # a row that is too large is kept all the same
        (np.zeros((1, 20 * 1024**2), "uint8"), None),  # unless it is larger than 16 MiB
    ],
)
def test_of_a_batch_at_most_32_rows_and_256_kib_are_kept(batch, rows):
    model = keras.Sequential([keras.Input(batch.shape[1:]), keras.layers.Lambda(lambda x: x[:, :1])])
    inputs = complete(model, kept_of(model), batch).inputs
    assert (None if inputs is None else len(inputs)) == rows


def test_a_batch_that_only_makes_sense_whole_is_kept_whole():
    nodes, adjacency = keras.Input(batch_shape=(40, 3)), keras.Input(batch_shape=(40, 40))
    model = keras.Model([nodes, adjacency], keras.layers.Dense(1)(keras.ops.matmul(adjacency, nodes)))
    completed = complete(model, kept_of(model), [np.ones((40, 3), "float32"), np.eye(40, dtype="float32")])
    assert completed.unchecked is None
    assert completed.predictions.shape == (40, 1)


@pytest.mark.parametrize("batch", [None, "text", [], {"a": object()}, np.array([object()])])
def test_without_a_batch_the_reason_is_recorded(batch):
    model = network()
    completed = complete(model, kept_of(model), batch)
    assert completed.predictions is None
    assert completed.unchecked in ("the first validation batch is unknown", "the inputs are no arrays")


def test_a_layer_that_cannot_be_saved_ends_no_trial():
    class Broken(keras.layers.Layer):
        def call(self, inputs):
            return inputs

        def save_own_variables(self, store):
            raise RuntimeError("no")

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1), Broken()])
    before = model.get_weights()
    completed = complete(model, Weights(0, [weight + 1 for weight in before], [], None), X[:4])
    assert completed.unchecked == "a layer cannot be saved (RuntimeError: no)"
    assert all(map(np.array_equal, before, model.get_weights()))


def test_inputs_and_predictions_come_back_in_their_structure(tmp_path):
    inputs = {"a": np.ones((2, 1), "float32"), "b": [np.array([["x"], ["longer"]]), (np.arange(2), None)]}
    weights = Weights(1, [np.zeros(3)], ["w"], None, completed=True, inputs=inputs, predictions=(np.ones(2),))
    save_weights(tmp_path, weights, training=2)
    assert [path.name for path in weights_files(tmp_path)] == ["weights-2.npz"]
    found = load_weights(tmp_path, 2)
    assert found.inputs["b"][0].tolist() == [["x"], ["longer"]]
    assert (found.inputs["b"][1][0].tolist(), found.inputs["b"][1][1]) == ([0, 1], None)
    assert isinstance(found.predictions, tuple)
    assert load_weights(tmp_path) is None


def test_every_file_of_a_kept_model_is_listed_and_removed(tmp_path):
    for name in ("weights.npz", "weights-1.npz", "weights-10.npz", "weights-2.npz", "weights.txt", "my-weights-1.npz"):
        (tmp_path / name).write_bytes(b"")
    names = [path.name for path in weights_files(tmp_path)]
    assert names == ["weights.npz", "weights-1.npz", "weights-2.npz", "weights-10.npz"]
    assert weights_file(tmp_path, 0).name == "weights.npz"
    remove_weights(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["my-weights-1.npz", "weights.txt"]


def test_predictions_are_compared_relative_to_the_largest_of_each_output():
    small = np.array([1e-8, 2e-8])
    assert difference(small, small) == 0
    assert difference(small * 2, small) == pytest.approx(1)
    assert difference({"a": small, "b": np.ones(2)}, {"a": small, "b": np.array([1, 1.00001])}) < 1.1e-5
    assert difference(np.ones(2), np.ones(3)) == float("inf")
    assert difference(np.array([np.nan, 1]), np.array([np.nan, 1])) == 0
    assert difference(np.array([np.nan, 1]), np.array([1, 1])) == float("inf")
    assert difference(np.array(["a"]), np.array([b"a"])) == 0
