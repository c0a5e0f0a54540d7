"""`model.json` beside a saved model, by which a served model is traced back to its run."""

import hashlib
import json
import math

import pytest

from sweep.errors import StudyError
from sweep.provenance import check_free, record, record_file, write
from tests.store_builder import add_study, build_store, run


@pytest.fixture
def study(tmp_path):
    store = build_store(tmp_path)
    yield add_study(store, runs=[run(3, 0.5)])
    store.close()


def test_it_says_which_run_the_model_is_of_and_with_what_it_was_trained(study, tmp_path):
    model = tmp_path / "x.keras"
    model.write_bytes(b"a model")
    one = run(3, 0.5, snapshot="a" * 64)
    inputs = [{"name": "rows", "shape": [None, 9], "dtype": "float32"}]
    saved = {"epoch": 41, "training": 0, "checked": True, "inputs": inputs, "outputs": inputs, "notes": ["x"]}
    path = write(model, record(study, one, one.name, saved, place="sqlite:///sweep.db"))
    assert path == record_file(model) == tmp_path / "x.json"
    found = json.loads(path.read_text())
    assert (found["study"], found["run"], found["number"]) == ("diabetes", one.name, 3)
    assert (found["value"], found["params"], found["seed"]) == (0.5, one.params, 1003)
    assert (found["objective"], found["direction"], found["epoch"]) == (["val_loss"], ["minimize"], 41)
    assert found["code"]["snapshot"] == "a" * 64
    assert found["versions"] == {"python": "3.11.7"}
    assert found["saved_with"]["python"]
    assert found["inputs"] == found["outputs"] == inputs
    assert found["model"] == {"file": "x.keras", "bytes": 7, "sha256": hashlib.sha256(b"a model").hexdigest()}
    assert "notes" not in found


def test_numbers_that_json_does_not_have_are_texts(study, tmp_path):
    model = tmp_path / "x.npz"
    model.write_bytes(b"")
    about = record(study, run(3, 0.5, params={"lr": math.inf}), "t", {"arrays": []}, place="")
    assert json.loads(write(model, about).read_text())["params"] == {"lr": "inf"}


def test_a_model_of_no_known_study_has_its_runs_name():
    assert record(None, None, "mlp-t0003r1", {"epoch": 2}, place="x")["run"] == "mlp-t0003r1"


def test_a_file_that_is_not_of_sweep_is_not_written_over(study, tmp_path):
    model = tmp_path / "x.keras"
    check_free(model)
    (tmp_path / "x.json").write_text('{"mine": 1}')
    with pytest.raises(StudyError, match="sweep has not written it"):
        check_free(model)
    model.write_bytes(b"")
    write(model, record(study, run(3, 0.5), "t", {}, place=""))
    check_free(model)
