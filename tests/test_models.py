"""The ways to name a run for `sweep.load`, and the errors where there is no such run or model."""

import contextlib

import keras
import numpy as np
import pytest

import sweep
from sweep.errors import StoreError, StudyError
from sweep.models import find
from sweep.store import Store, Training
from sweep.train.model_state import complete
from sweep.worker.weights import Weights, save_weights
from tests.store_builder import add_study, build_store, run
from tests.version_0_1 import unpack


def keep(directory, factor, training=0):
    """A model of one weight, which tells it from others, kept as a worker keeps it."""
    directory.mkdir(parents=True, exist_ok=True)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    weights = Weights(0, [np.array([[factor]], "float32")], ["dense/kernel"], model.to_json())
    save_weights(directory, complete(model, weights, np.ones((1, 1), "float32")), training)


def factor(model):
    return float(model.get_weights()[0][0, 0])


@pytest.fixture(scope="module")
def storage(tmp_path_factory):
    """Studies `a` and `b`, with runs in every state; the best of `a` are t0002, t0000 and t0001."""
    folder = tmp_path_factory.mktemp("models")
    folds = [Training(n, f"fold {n + 1} of 3", architecture="4", epochs=3, best_epoch=1) for n in range(3)]
    ends = [("COMPLETE", 2.0), ("COMPLETE", 3.0), ("COMPLETE", 1.0), ("PRUNED", 0.5), ("FAIL", None), ("RUNNING", None)]
    with contextlib.closing(build_store(folder)) as store:
        for name in ("a", "b"):
            runs = []
            for number, (state, value) in enumerate(ends if name == "a" else ends[:2]):
                directory = folder / "runs" / name / f"mlp-t{number:04d}"
                more = {"trainings": folds} if number == 1 else {}
                runs.append(run(number, value, state=state, name=directory.name, directory=str(directory), **more))
                if state in ("COMPLETE", "PRUNED"):
                    keep(directory, number + (10 if name == "b" else 0))
            keep(folder / "runs" / name / "mlp-t0001", 100, training=2)
            add_study(store, name, runs)
        queued = run(0, None, state="RUNNING", name=None, directory=None)
        lost = run(1, 1.0, name="mlp-t0001", directory=str(folder / "gone" / "mlp-t0001"))
        add_study(store, "c", [queued, lost])
        add_study(store, "empty", [])
    (folder / "runs" / "a" / "mlp-t0000" / "weights.npz").rename(folder / "kept-elsewhere.npz")
    return f"sqlite:///{folder / 'sweep.db'}"


@pytest.mark.parametrize(
    ("reference", "expected"),
    [("a:best", 2), ("a:t0002", 2), ("a:2", 2), ("a:mlp-t0003", 3), ("b:0", 10), ("mlp-t0002", 2), ("mlp-t0003", 3)],
)
def test_a_run_is_named_as_the_best_by_its_number_or_by_its_name(storage, reference, expected):
    assert factor(sweep.load(reference, storage=storage)) == expected


def test_the_best_runs_come_as_a_list_as_many_as_there_are(storage):
    assert [factor(model) for model in sweep.load("b:best:2", storage=storage, training=0)] == [10, 11]
    assert [kept.run.number for kept in find("a:best:9", storage)] == [2, 0, 1]
    assert [factor(model) for model in sweep.load("b:best:1", storage=storage)] == [10]


def test_the_storage_may_come_from_the_environment(storage, monkeypatch):
    monkeypatch.setenv("SWEEP_STORAGE", storage)
    assert factor(sweep.load("a:best")) == 2


def test_a_directory_needs_no_database(storage, tmp_path):
    keep(tmp_path / "moved", 7)
    assert factor(sweep.load(tmp_path / "moved")) == 7
    assert factor(sweep.load(str(tmp_path / "moved"), storage="sqlite:////nowhere/sweep.db")) == 7
    assert find(find("a:2", storage)[0].directory, storage)[0].study.name == "a"


def test_one_of_several_trainings_is_named_by_number_or_label(storage):
    assert factor(sweep.load("b:1", storage=storage)) == 100, "the last one"
    for training, expected in ((0, 11), (2, 100), (-1, 100), ("fold 1 of 3", 11), ("fold 3 of 3", 100)):
        assert factor(sweep.load("b:1", storage=storage, training=training)) == expected


@pytest.mark.parametrize(
    ("reference", "settings", "error", "said"),
    [
        ("nosuch:best", {}, StoreError, "nosuch"),
        ("a:99", {}, StoreError, "99"),
        ("mlp-t0099", {}, StoreError, "mlp-t0099"),
        ("mlp-t0000", {}, StoreError, "2 studies have a run mlp-t0000. Name it a:mlp-t0000 or b:mlp-t0000."),
        ("a", {}, StudyError, "a is a study. Name one of its runs, for example a:best."),
        ("empty:best", {}, StudyError, "Study empty has no complete run yet"),
        ("a:5", {}, StudyError, "mlp-t0005 is RUNNING. Its model can be loaded when it has ended."),
        ("c:0", {}, StudyError, "t0000 of c is RUNNING, and has no name yet."),
        ("a:4", {}, StudyError, "mlp-t0004 failed, and a failed run keeps no model."),
        ("a:0", {}, StudyError, "No weights of mlp-t0000 are kept in .*--keep"),
        ("c:1", {}, StudyError, "The directory of mlp-t0001 is gone: "),
        ("a:1", {"training": 3}, StudyError, "has 3 trainings, so there is no training=3. .* from 0 to 2"),
        ("a:1", {"training": -4}, StudyError, "there is no training=-4"),
        ("a:1", {"training": 1}, StudyError, "No weights of mlp-t0001"),
        ("a:1", {"training": "last"}, StudyError, "no training labelled 'last'. Its labels are 'fold 1 of 3', 'fold 2"),
        ("a:best:2", {"model": 1}, StudyError, "names several"),
    ],
)
def test_an_error_says_what_is_missing(storage, reference, settings, error, said):
    with pytest.raises(error, match=said):
        sweep.load(reference, storage=storage, **settings)


def test_a_missing_database_is_an_error(tmp_path):
    with pytest.raises(StoreError, match=r"nosuch\.db"):
        sweep.load("a:best", storage=f"sqlite:///{tmp_path / 'nosuch.db'}")


def test_a_damaged_file_is_an_error(storage, tmp_path):
    (tmp_path / "weights.npz").write_bytes(b"not a zip file")
    with pytest.raises(StudyError, match="is damaged"):
        sweep.load(tmp_path)


def test_models_of_version_0_1_are_loaded_and_retrained(tmp_path, capsys):
    storage = unpack(tmp_path)
    directories = sorted((tmp_path / "runs" / "revived").glob("*-t0000"))
    assert sweep.load(directories[0]).compiled, "also before its database is migrated"
    Store(storage, create=True).close()
    (kept,) = find("revived:0", storage)
    x = np.linspace(-1, 1, 40, dtype="float32").reshape(-1, 1)
    y = 3 * x + np.sin(np.arange(40, dtype="float32")).reshape(-1, 1)
    model = sweep.load("revived:0", storage=storage)
    assert model.evaluate(x, y, verbose=0) == pytest.approx(kept.run.best, rel=1e-5)
    again = sweep.retrain("revived:0", storage=storage)
    assert again.count_params() == model.count_params()
    assert f"Training {kept.run.best_epoch + 1} epoch" in capsys.readouterr().out
