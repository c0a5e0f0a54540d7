"""studies/softmax.py: a study in plain NumPy, which loads no Keras."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

FILE = Path(__file__).parents[2] / "studies" / "softmax.py"


def run(folder, *arguments):
    """A command of `sweep` in a folder; what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "sweep", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_imports_no_keras():
    tree = ast.parse(FILE.read_text())
    imported = {
        name.name.partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names
    }
    assert imported == {"numpy", "optuna", "sweep"}


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """The folder in which four of its trials have run."""
    folder = tmp_path_factory.mktemp("softmax")
    run(folder, "start", str(FILE), "--trials", "4", "--epochs", "4", "--workers", "1", "--pruner", "nop")
    return folder


def test_it_finds_a_good_classifier_whose_weights_are_kept(swept):
    best, *others = json.loads(run(swept, "best", "softmax", "--json"))
    assert len(others) == 3
    assert best["value"] > 0.9
    assert best["name"].startswith("softmax-64_10-lr=")
    said = run(swept, "best", "softmax", "--save", "best.npz")
    assert f"is the state of {best['name']}" in said
    with np.load(swept / "best.npz") as state:
        assert state["weights"].shape == (64, 10)


def test_its_state_cannot_be_saved_as_a_model_of_keras(swept):
    line = [sys.executable, "-m", "sweep", "best", "softmax", "--save", "best.keras"]
    done = subprocess.run(line, cwd=swept, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "was trained without Keras" in done.stderr
    assert "Try --save state.npz." in done.stderr
    assert not (swept / "best.keras").exists()
