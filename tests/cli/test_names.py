"""`sweep names`: what run names a study gives, before anything trains."""

import json

import pytest

from sweep.cli import run as sweep
from tests.refusals import refusal_of
from tests.store_builder import add_study, build_store, run

STUDY = """
import sweep

print("study code may print")

def train(trial):
    if trial.suggest_categorical("booster", ["tree", "linear"]) == "tree":
        trial.suggest_int("max_depth", 2, 8)
    return trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True)

study = sweep.Study(train, objective="error", direction="minimize", trials=5, seed=1)
"""


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("SWEEP_STORAGE", raising=False)
    monkeypatch.chdir(tmp_path)


def test_a_study_file_shows_examples_keys_and_search_space_and_writes_nothing(tmp_path, capsys):
    (tmp_path / "boost.py").write_text(STUDY)
    assert sweep(["names", "boost.py", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["study"] == "boost"
    assert len({example["name"] for example in shown["examples"]}) == len(shown["examples"]) == 8
    assert shown["keys"]["learning_rate"] == "lr"
    assert shown["space"]["booster"] == "tree, linear"
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix != "") == ["boost.py"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import nothing_of_that_name", "broken.py: ModuleNotFoundError: No module named"),
        ("x = 1", "does not bind a sweep.Study to the name `study`"),
        ("def train(:", "is not valid Python: line 1"),
    ],
)
def test_a_study_file_is_refused_with_the_reason(tmp_path, capsys, text, expected):
    (tmp_path / "broken.py").write_text(text)
    assert sweep(["names", "broken.py"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert expected in refusal_of(said.err)


def test_a_stored_study_shows_its_first_names_and_its_key_table(tmp_path, capsys):
    store = build_store(tmp_path)
    space = '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 0.1, "log": true}}'
    add_study(store, runs=[run(0), run(1)], space={"learning_rate": [space]})
    store.close()
    assert sweep(["names", "diabetes"]) == 0
    assert capsys.readouterr().out == (
        "dnn-lr=0.001-bs=32-t0000\n"
        "dnn-lr=0.002-bs=32-t0001\n"
        "key  parameter      search space\n"
        "lr   learning_rate  [0.0001, 0.1] log\n"
        "bs   batch_size\n"
    )
