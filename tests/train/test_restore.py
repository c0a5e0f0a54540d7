"""Models of every kind, trained in one study: they predict what they did in the worker, or an error says why not."""

import ast
import json
import shutil
import sys
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest

import sweep
from sweep.cli import run as command
from sweep.control.start import start_here
from sweep.errors import StudyError
from sweep.models import find
from sweep.options import Settings
from sweep.study_file import load as load_study
from sweep.train.model_file import save
from sweep.train.model_state import complete, difference, predict
from sweep.train.restore import NotCompiled
from sweep.worker.weights import load_weights, save_weights
from tests.whole_study import read

MODELS = Path(__file__).parent / "models"


def names_of(group):
    """The builders in a list of the study file, which this process must not have imported."""
    tree = ast.parse((MODELS / "zoo.py").read_text())
    (value,) = (node.value for node in tree.body if isinstance(node, ast.Assign) and node.targets[0].id == group)
    return [name.id for name in value.elts if isinstance(name, ast.Name)]


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    """The study, run; afterwards the process knows as little of its file as one that has never seen it."""
    return trained(tmp_path_factory.mktemp("zoo"))


@pytest.fixture(scope="module")
def rare_zoo(tmp_path_factory):
    """The study of the rarer kinds of models, run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOO", "rare")
        return trained(tmp_path_factory.mktemp("rare"))


def trained(folder):
    """Run the study in a folder, of which only what the study keeps is left."""
    shutil.copytree(MODELS, folder / "study")
    storage = f"sqlite:///{folder / 'sweep.db'}"
    path, modules, registry = list(sys.path), set(sys.modules), keras.saving.get_custom_objects()
    registered = dict(registry)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study = load_study(folder / "study" / "zoo.py")
        start_here(study, Settings(storage=storage, logdir=str(folder / "runs")))
    sys.path[:] = path
    for name in {"beside", "sweep_study_zoo"} - modules:
        del sys.modules[name]
    registry.clear()
    registry.update(registered)
    shutil.rmtree(folder / "study")  # only the snapshot is left
    return read(storage, "zoo", folder)


def run_of(zoo, kind):
    (run,) = (run for run in zoo.runs if run.params["kind"] == kind)
    assert run.state == "COMPLETE", run.traceback
    return run


@pytest.mark.parametrize("kind", names_of("WHOLE"))
def test_a_model_predicts_what_it_did_in_the_worker(zoo, kind):
    predicts_as_in_the_worker(zoo, kind)


@pytest.mark.slow
@pytest.mark.parametrize("kind", names_of("RARE"))
def test_a_model_of_a_rare_kind_predicts_what_it_did_in_the_worker(rare_zoo, kind):
    predicts_as_in_the_worker(rare_zoo, kind)


def predicts_as_in_the_worker(zoo, kind):
    run = run_of(zoo, kind)
    weights = load_weights(Path(run.directory))
    assert weights.unchecked is None
    before = dict(sys.modules), keras.config.dtype_policy(), list(sys.path), dict(keras.saving.get_custom_objects())
    with warnings.catch_warnings():
        warnings.simplefilter("error", NotCompiled)
        model = sweep.load(f"zoo:{run.number}", storage=zoo.storage)
    after = sys.modules, keras.config.dtype_policy(), list(sys.path), dict(keras.saving.get_custom_objects())
    assert all(after[0][name] is module for name, module in before[0].items())
    assert after[1:3] == before[1:3]
    assert before[3].items() <= after[3].items()
    assert model.compiled
    batch = 20 if kind == "recurrent" else None
    predictions = model.predict(weights.inputs, batch_size=batch, verbose=0) if kind not in _TEXTS else None
    if predictions is not None:
        for mine, recorded in zip(*map(keras.tree.flatten, (predictions, weights.predictions)), strict=True):
            np.testing.assert_allclose(mine, recorded, rtol=0.02 if kind == "half_precision" else 1e-4, atol=1e-4)


_TEXTS = ("adapted_text_vectorization", "adapted_string_lookup", "adapted_feature_space", "adapted_and_nested")


def test_a_loaded_model_has_the_loss_that_the_study_recorded(zoo):
    for kind in ("adapted_normalization", "own_loss_function", "own_loss_class", "split_off"):
        run = run_of(zoo, kind)
        model = sweep.load(run.directory)
        weights = load_weights(Path(run.directory))
        start, stop = (45, 60) if kind == "split_off" else (0, 20)
        y = weights_targets(zoo)[start:stop]
        assert model.evaluate(weights.inputs, y, verbose=0)[0] == pytest.approx(run.best, rel=1e-4)


def weights_targets(zoo):
    generator = np.random.default_rng(3)
    raw = (generator.normal(size=(60, 3)) * 50 + 300).astype("float32")
    return ((raw - 300) / 50 @ np.array([[1.0], [-2.0], [0.5]])).astype("float32")


def test_a_loss_in_a_function_is_not_taken_for_one_of_keras_by_its_name(zoo):
    run = run_of(zoo, "loss_in_a_function")
    with pytest.warns(NotCompiled, match="its loss or metric huber is not at the top level") as warned:
        model = sweep.load(run.directory)
    assert (len(warned), model.compiled) == (1, False)


def test_a_model_that_predicts_at_random_is_loaded_unchecked(zoo):
    run = run_of(zoo, "random_predictions")
    assert load_weights(Path(run.directory)).unchecked == "the model predicts something else each time"
    assert sweep.load(run.directory).compiled


def test_a_gan_is_loaded_uncompiled(zoo):
    run = run_of(zoo, "adversarial")
    with pytest.warns(NotCompiled, match="its class has a compile\\(\\) of its own"):
        model = sweep.load(run.directory)
    assert [weight.shape for weight in model.weights] == [(2, 3), (3,)]


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("state_that_nothing_saves", r"predicts something else than it did in the study.*save_own_variables"),
        ("subclass_without_a_config", r"cannot write the configuration.*sweep\.load\('given-.*', model=model\)"),
        ("class_in_a_function", r"Local is not at the top level of its study file.*model=model"),
    ],
)
def test_a_model_that_cannot_be_loaded_is_refused_with_advice(zoo, kind, said):
    with pytest.raises(StudyError, match=said):
        sweep.load(run_of(zoo, kind).directory)


def test_check_false_loads_a_model_that_predicts_something_else(zoo):
    model = sweep.load(run_of(zoo, "state_that_nothing_saves").directory, check=False)
    assert model.compiled


def test_a_model_that_is_given_takes_weights_and_states(zoo):
    run = run_of(zoo, "subclass_without_a_config")

    class Given(keras.Model):
        def __init__(self):
            super().__init__()
            self.layer = keras.layers.Dense(1)

        def call(self, inputs):
            return self.layer(inputs)

    model = Given()
    assert sweep.load(run.directory, model=model) is model  # it is built from the inputs that were recorded
    lookup = run_of(zoo, "adapted_string_lookup")
    layer = keras.layers.StringLookup(output_mode="one_hot")
    layer.set_vocabulary(["w", "x", "y", "z"])
    inputs = keras.Input((1,), dtype="string")
    hidden = keras.layers.Dense(4, "relu")(layer(inputs))
    given = keras.Model(inputs, keras.layers.Dense(1)(hidden))
    sweep.load(lookup.directory, model=given)
    assert sorted(layer.get_vocabulary()) == ["[UNK]", "a", "b", "c", "d"]
    with pytest.raises(StudyError, match=r"other weights than .*: their shapes are \(3, 1\), \(1,\), and those of"):
        sweep.load(lookup.directory, model=model)


@pytest.mark.parametrize("kind", ["subclass_without_a_config", "class_in_a_function", "loss_in_a_function"])
def test_the_studys_train_builds_a_model_that_keras_cannot(zoo, kind):
    run = run_of(zoo, kind)
    weights = load_weights(Path(run.directory))
    model = sweep.load(run.directory, rebuild=True)
    assert difference(predict(model, weights.inputs), weights.predictions) < 1e-5
    assert model.evaluate(weights.inputs, weights_targets(zoo)[:20], verbose=0)[0] == pytest.approx(run.best, rel=1e-4)


def test_weights_of_version_0_1_are_loaded_or_an_error_says_what_they_lack(zoo, tmp_path):
    def as_before(kind):
        directory = tmp_path / kind
        directory.mkdir()
        weights = load_weights(Path(run_of(zoo, kind).directory))
        save_weights(directory, type(weights)(weights.epoch, weights.arrays, weights.names, weights.config))
        return directory, weights

    directory, weights = as_before("plain")
    np.testing.assert_allclose(sweep.load(directory).predict(weights.inputs, verbose=0), weights.predictions, rtol=1e-4)
    directory, weights = as_before("adapted_normalization")
    np.testing.assert_allclose(sweep.load(directory).predict(weights.inputs, verbose=0), weights.predictions, rtol=1e-4)
    directory, weights = as_before("adapted_discretization")
    np.testing.assert_allclose(sweep.load(directory).predict(weights.inputs, verbose=0), weights.predictions, rtol=1e-4)
    for kind in ("adapted_string_lookup", "adapted_text_vectorization"):
        with pytest.raises(StudyError, match="was kept without the vocabulary of its layer"):
            sweep.load(as_before(kind)[0])


def test_importing_the_study_file_again_changes_nothing_in_the_process(zoo, tmp_path, monkeypatch):
    monkeypatch.setattr("sweep.train.source._sources", {})
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "beside.py").write_text("Scale = None")
    import beside

    run = run_of(zoo, "class_of_the_module_beside")
    find(run.directory)[0].source()
    assert sweep.load(run.directory).layers[1].factor == 3.0
    assert sys.modules["beside"] is beside
    assert beside.Scale is None
    del sys.modules["beside"]


def test_completing_a_loaded_model_again_gives_the_same(zoo):
    run = run_of(zoo, "adapted_and_nested")
    weights = load_weights(Path(run.directory))
    model = sweep.load(run.directory)
    again = complete(model, weights, weights.inputs)
    assert again.states.keys() == weights.states.keys()
    assert all(np.array_equal(again.states[name], weights.states[name]) for name in weights.states)
    assert set(weights.inputs) == {"number", "word"}


def save_as(zoo, kind, file):
    kept = find(run_of(zoo, kind).directory)[0]
    return save(kept.weights(None), kept.name, kept.source, file)


@pytest.mark.parametrize("kind", ["adapted_and_nested", "adapted_text_vectorization", "half_precision", "quantized"])
def test_a_saved_file_predicts_what_the_worker_did(zoo, tmp_path, kind):
    file = tmp_path / "model.keras"
    weights = load_weights(Path(run_of(zoo, kind).directory))
    saved = save_as(zoo, kind, file)
    assert (saved["epoch"], saved["checked"], saved["notes"]) == (weights.epoch, True, [])
    (given,) = saved["outputs"]
    assert given["shape"][0] is None
    if kind == "adapted_and_nested":
        assert [(each["name"], each["dtype"]) for each in saved["inputs"]] == [
            ("number", "float32"),
            ("word", "string"),
        ]
    back = predict(keras.models.load_model(file), weights.inputs)
    assert difference(back, weights.predictions) < (0.01 if kind == "half_precision" else 1e-5)
    assert [path.name for path in tmp_path.iterdir()] == ["model.keras"]


def test_a_file_with_the_studys_own_classes_says_how_to_read_it(zoo, tmp_path):
    file = tmp_path / "model.keras"
    saved = save_as(zoo, "registered_class", file)
    assert saved["checked"]
    (note,) = saved["notes"]
    assert note.endswith("model.keras', custom_objects={...}). It has Registered of the study file.")
    assert save_as(zoo, "loss_in_a_function", file)["notes"][0].startswith("The model of ")
    notes = save_as(zoo, "random_predictions", file)["notes"]
    assert notes[0].endswith("compared with those in the study: the model predicts something else each time.")


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        ("adapted_string_lookup", "model.h5", "or save it as .keras, which holds more"),  # HDF5 has no vocabulary
        ("lambda_layer", "model.keras", "cannot read the model back"),  # Keras' lambda sees no names of its module
        ("class_of_the_module_beside", "model.keras", "cannot read the model back"),  # its __init__ takes no name
        ("state_that_nothing_saves", "model.keras", "predicts something else"),
        ("class_in_a_function", "model.keras", "not at the top level"),
    ],
)
def test_a_file_that_does_not_hold_the_model_is_not_left_behind(zoo, tmp_path, kind, name, said):
    (tmp_path / name).write_text("an older file")
    with pytest.raises(StudyError, match=said):
        save_as(zoo, kind, tmp_path / name)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(name, "an older file")]


def test_an_hdf5_file_is_read_back_without_its_loss_where_keras_does_not_find_it(zoo, tmp_path):
    saved = save_as(zoo, "batch_normalization", tmp_path / "model.h5")
    assert saved["checked"]
    assert saved["notes"] == [f"Read it with keras.models.load_model('{tmp_path / 'model.h5'}', compile=False)."]


def test_the_command_saves_the_best_model_and_refuses_what_cannot_be_saved(zoo, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    best = min((run for run in zoo.runs if run.value is not None), key=lambda run: run.value)
    arguments = ["best", "zoo", "--storage", zoo.storage, "--save"]
    code = command([*arguments, "model.keras"])
    shown = capsys.readouterr()
    if best.params["kind"] in names_of("WHOLE"):
        assert (code, (tmp_path / "model.keras").exists()) == (0, True)
        assert f"model.keras is the model of {best.name}, after epoch" in shown.out
        assert "read back and predicting what it did in the study" in " ".join(shown.out.split())
        assert json.loads((tmp_path / "model.json").read_text())["run"] == best.name
    else:
        assert (code, (tmp_path / "model.keras").exists()) == (2, False)
    assert command([*arguments, "model.zip"]) == 2
    assert "Keras saves a model as .keras or .h5, not as model.zip." in capsys.readouterr().err
